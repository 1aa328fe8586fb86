"""A new machine of a CI system, and the project that it checks out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import crosscheck

ROOT = Path(crosscheck.__file__).parents[1]
#: What crosscheck's package is built from.
SOURCES = ("crosscheck", "models", "pyproject.toml", "README.md", "LICENSE")
#: Seconds that a step may take on a busy machine.
LIMIT = 600


@dataclass(frozen=True)
class Project:
    """A repository: files by their paths, and crosscheck as a submodule in the folder `crosscheck`."""

    files: Mapping[str, str]

    def check_out(self, folder: Path, submodules: bool) -> None:
        """What the CI system does first."""
        for path, text in self.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        (folder / "crosscheck").mkdir()
        for name in SOURCES if submodules else ():
            source, to = ROOT / name, folder / "crosscheck" / name
            if source.is_dir():
                shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, to)


def python_of(folder: Path) -> dict[str, str]:
    """Variables of a shell with a new Python, which has what crosscheck depends on, as from pip's cache."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "cached.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    path = os.pathsep.join([f"{folder}/bin", str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "VIRTUAL_ENV": str(folder), "CI": "true"}


def shell(options: str, script: str, folder: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """Execute a script by bash; return its exit code and all that it printed."""
    ended = subprocess.run(
        ["/bin/bash", *options.split(), "-c", script], cwd=folder, env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    return ended.returncode, ended.stdout


def copy(source: Path, to: Path) -> None:
    """Copy a file or a folder."""
    to.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, to, dirs_exist_ok=True)
    else:
        shutil.copy(source, to)
