"""Locates and builds environments: a folder per hash of lock, interpreter and platform, built under a file lock."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs
from filelock import FileLock

from crosscheck.environments import interpreters, machine, npm
from crosscheck.environments.installed import installed
from crosscheck.environments.installer import run_installer
from crosscheck.environments.interpreters import Interpreter, uv
from crosscheck.environments.sources import sources
from crosscheck.errors import InstallFailed
from crosscheck.runtimes.catalog import Native, Release, Runtime, System, Variant
from crosscheck.whole_files import whole

__all__ = ["Environment", "cache_folder", "describe", "installation", "make", "new_folder"]


#: Minimum size (MB) of an environment that caches the bytecode of imported modules, a few percent of its size.
#: A second import of torch 2.13 then takes 1.7 seconds instead of 3.7, of TensorFlow 2.21 3.1 instead of 8. Small
#: environments save less than a second for 10% of their size. Compiling all of torch on installation: 20 s, 166 MB.
LARGE = 400
#: The first CPython with a separate bytecode folder (`PYTHONPYCACHEPREFIX`).
PREFIXED = (3, 8)
#: The list of what is installed, in the environment's folder.
PACKAGES = "packages.json"


@dataclass(frozen=True)
class Environment:
    """A folder with an interpreter and the packages of one lock.

    `key` is the hash of the contents: results are reused only under an equal key.
    `bytecode`: folder of cached bytecode, or None.
    `listed`: what another machine has installed under the same key, by name -> version; {} if it is this machine's.
    `links`: library paths that the release searches -> the machine's files to link there.
    """

    key: str
    folder: Path
    interpreter: Interpreter
    lock: Path
    library_path: tuple[Path, ...]
    links: Mapping[Path, Path] = field(default_factory=dict)
    bytecode: Path | None = None
    listed: Mapping[str, str] = field(default_factory=dict)

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.folder / "bin" / "python"

    @property
    def exists(self) -> bool:
        """Whether the environment is complete, and its interpreter there: a link to one that may have been removed."""
        return (self.folder / "complete.json").exists() and os.access(self.python, os.X_OK)

    @property
    def packages(self) -> dict[str, str]:
        """What is installed, by name -> version, as listed when it was made; {} if it is absent."""
        return dict(_packages(self.folder)) if self.exists and not self.listed else dict(self.listed)


def cache_folder() -> Path:
    """The folder of all environments: `CROSSCHECK_CACHE`, or the user's cache folder."""
    return Path(os.environ.get("CROSSCHECK_CACHE") or platformdirs.user_cache_dir("crosscheck"))


def describe(runtime: Runtime, release: Release, variant: Variant, fetch: bool = True) -> Environment:
    """The environment of a release on this machine, built or not; `fetch` lets uv download its interpreter.

    Raises Unavailable if the machine lacks an interpreter, library or program, InstallFailed if the lock is missing.
    """
    lock = runtime.lock(release, variant)
    folder_of_npm = runtime.npm_lock(release)
    locks = [lock, *(runtime.native_lock(native) for native in release.native)]
    locks += [] if folder_of_npm is None else [folder_of_npm / name for name in npm.FILES]
    for path in locks:
        if not path.exists():
            raise InstallFailed(
                f"{path.name} is missing from {path.parent}. Make it with `crosscheck lock {runtime.name}`."
            )
    interpreter = interpreters.find(variant.python, fetch)
    libraries_of = {system: machine.find(system) for system in release.system if not system.modes}
    parts = [path.read_bytes() for path in locks]
    parts.append(f"{interpreter.version} {platform.system()} {platform.machine()}".encode())
    parts += [repr(native).encode() for native in release.native]
    # Links are resolved: another version of the machine's library is another environment.
    parts += [f"{name} {path.resolve()}".encode() for paths in libraries_of.values() for name, path in paths.items()]
    key = hashlib.sha256(b"\0".join(parts)).hexdigest()[:20]
    folder = cache_folder() / "environments" / f"{runtime.name}-{release.version}-{key}"
    libraries = [
        path for native in release.native for path in (_links(folder, native), _carrier(folder, native).parent)
    ]
    links = {
        _links(folder, system) / link: paths[link]
        for system, paths in libraries_of.items()
        for link, _ in system.libraries
    }
    libraries += [link.parent for link in links]
    # A library's dependencies are in its folder; the loader's own folders need no LD_LIBRARY_PATH.
    libraries += [target.parent for target in links.values() if not machine.loader_knows(target.parent)]
    keeps = (release.disk_mb or 0) >= LARGE and tuple(map(int, interpreter.minor.split("."))) >= PREFIXED
    bytecode = folder / "bytecode" if keeps else None
    return Environment(key, folder, interpreter, lock, tuple(dict.fromkeys(libraries)), links, bytecode)


def make(runtime: Runtime, release: Release, environment: Environment) -> None:
    """Build the environment unless it exists. Safe under concurrent builds and after a kill.

    Raises InstallFailed with the installer's message.
    """
    if environment.exists:
        return
    folder = environment.folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(folder.name + ".lock")):
        if environment.exists:
            return
        # A folder without complete.json is left over from a killed run, one without an interpreter is damaged.
        shutil.rmtree(folder, ignore_errors=True)
        _run(
            runtime,
            release,
            new_folder(environment),
        )
        _install(runtime, release, environment.lock, ["--python", str(environment.python)])
        for native in release.native:
            carrier = folder / "native" / native.name
            target = ["--target", str(carrier), "--python", str(environment.python)]
            foreign = [
                "--python-version",
                native.python,
                "--python-platform",
                "x86_64-manylinux2014",
                "--only-binary",
                ":all:",
            ]
            _install(runtime, release, runtime.native_lock(native), target + foreign)
            _links(folder, native).mkdir(parents=True)
            files = sorted(carrier.glob(native.file))
            if not files:
                raise InstallFailed(
                    f"{native.requires} contains no {native.file}; correct releases.toml of {runtime.name}."
                )
            (_links(folder, native) / native.link).symlink_to(files[0])
        for link, library in environment.links.items():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(library)
        npm_lock = runtime.npm_lock(release)
        if npm_lock is not None:
            npm.link_node(folder)
            _run(runtime, release, npm.install_command(environment.python, npm_lock, folder), "npm")
            npm.prune(folder)
        _list(folder)
        (folder / "complete.json").write_text(json.dumps({"python": environment.interpreter.version}))


@functools.cache
def _packages(folder: Path) -> Mapping[str, str]:
    """The list beside the environment, which early ones lack, and which may be damaged."""
    path = folder / PACKAGES
    with contextlib.suppress(OSError, ValueError):
        packages = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(packages, dict):
            return packages
    _list(folder)
    listed: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return listed


def _list(folder: Path) -> None:
    """Write what is installed, whole or not at all."""
    path = folder / PACKAGES
    with whole(path) as unfinished:
        unfinished.write_text(json.dumps(installed(folder), indent=2) + "\n", encoding="utf-8")


def _links(folder: Path, native: Native | System) -> Path:
    return folder / "native" / f"{native.name}-links"


def _carrier(folder: Path, native: Native) -> Path:
    return folder / "native" / native.name / native.file


def _install(runtime: Runtime, release: Release, lock: Path, options: Sequence[str]) -> None:
    _run(runtime, release, installation(lock, options))


def new_folder(environment: Environment) -> list[str]:
    """The command that makes the environment's folder, with its interpreter alone."""
    interpreter, folder = str(environment.interpreter.path), str(environment.folder)
    return uv("venv", "--quiet", "--no-project", "--no-config", "--python", interpreter, folder)


def installation(lock: Path, options: Sequence[str]) -> list[str]:
    """The command that installs what a lock has; `options` say where."""
    return uv(
        "pip",
        "install",
        "--quiet",
        "--no-config",
        "--no-deps",
        "--require-hashes",
        "--requirement",
        str(lock),
        "--build-constraints",  # pins the setuptools that builds source distributions
        str(lock),
        *sources(lock.read_text()),
        *options,
    )


def _run(runtime: Runtime, release: Release, command: Sequence[str], installer: str = "uv") -> None:
    try:
        process = run_installer(command)
    except OSError as problem:
        raise InstallFailed(
            f"uv cannot be started ({problem}). Install it with `python3 -m pip install uv`."
        ) from problem
    if process.returncode:
        stderr = process.stderr.strip()[-2000:]
        raise InstallFailed(
            f"{runtime.name} {release.version} could not be installed. {_remedy(stderr)} {installer} said: {stderr}"
        )


#: Part of an installer's message -> remedy.
REMEDIES = {
    "no space left": "The disk is full: free some space, or name another folder in CROSSCHECK_CACHE.",
    "hash mismatch": "The lock does not fit what the index serves: fetch crosscheck again, or lock it again.",
    "eintegrity": "The lock does not fit what the registry serves: fetch crosscheck again, or lock it again.",
    "error sending request": "The package index cannot be reached: check the network and run again.",
    "dns error": "The package index cannot be reached: check the network and run again.",
    "network request": "The npm registry cannot be reached: check the network and run again.",
    "network connectivity": "The npm registry cannot be reached: check the network and run again.",
    "no wheels with a matching": "There is no wheel for this platform: run it on Linux x86_64.",
}


def _remedy(stderr: str) -> str:
    """The remedy for an installer's message."""
    remedies = (remedy for sign, remedy in REMEDIES.items() if sign in stderr.lower())
    return next(remedies, "Run again; if it persists, report it.")
