"""Loads networks for commands; a user's file in another format than ONNX is first exported by its own runtime.

What was exported is kept beside the environments, by the content of the file and all that the export depends on.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

from crosscheck import networks
from crosscheck.environments.environment import Environment, cache_folder, describe, make
from crosscheck.errors import EnvironmentFailure, NetworkError, UsageError
from crosscheck.matrix.scratch import scratch_folder
from crosscheck.matrix.selection import Target
from crosscheck.matrix.server import variables
from crosscheck.networks import FileOptions, Network
from crosscheck.networks.foreign import Foreign, recognised, taken
from crosscheck.networks.own_file import load_own
from crosscheck.onnx_models.file_options import ROWS
from crosscheck.onnx_models.read import external_files, holds_onnx
from crosscheck.runtimes.catalog import catalog
from crosscheck.whole_files import whole

__all__ = ["is_file", "load", "load_as", "onnx_file", "parts_of"]

#: Seconds that an export may take.
LIMIT = 900
#: What the text of an export writes, and where it says why it cannot.
EXPORTED, REFUSED = "network.onnx", "refused.txt"
#: Before the text of an export.
BEGINNING = """\
def refuse(message):
    with open({refused!r}, "w") as file:
        file.write(message)
    raise SystemExit(1)


shapes, batch, trusted = {shapes!r}, {batch!r}, {trusted!r}
"""


def is_file(name: str) -> bool:
    """Whether a name is a user's file or folder; also one that `load` refuses with a remedy."""
    if name in networks.names():
        return False
    return networks.is_file(name) or os.path.exists(name)  # unlike Path.exists, False for names that are too long


def load(name_or_path: str, options: FileOptions | None = None) -> Network:
    """Load a shipped network by name, or a user's file by path, as `options` say.

    Raises NetworkError with the remedy for a missing, unreadable or unsupported network.
    """
    options = options or FileOptions()
    foreign = _foreign(name_or_path, options)
    if foreign is None:
        return networks.load(name_or_path, options)
    return load_own(_exported(foreign, options), options, foreign)


def load_as(name: str, path: str, options: FileOptions | None = None) -> Network:
    """Load the file of the network `name`. Raises UsageError for a file that is another network."""
    network = load(path, options)
    if network.name != name:
        raise UsageError(f"{path} is the network '{network.name}', the cell is about '{name}'. Write its name there.")
    return network


def onnx_file(path: Path, options: FileOptions) -> Path:
    """The ONNX file itself, or what the runtime of another format exported. Raises NetworkError."""
    foreign = _foreign(str(path), options)
    return path if foreign is None else _exported(foreign, options)


def parts_of(path: Path, options: FileOptions) -> list[Path]:
    """The files that a user's network consists of, itself first. Raises NetworkError."""
    foreign = _foreign(str(path), options)
    if foreign is not None:
        return [path, *(file for part in foreign.parts.values() for file in ([part, *part.rglob("*")]))]
    return [path, *external_files(path)]


def _foreign(name_or_path: str, options: FileOptions) -> Foreign | None:
    if name_or_path in networks.names():
        return None
    path, runtimes = Path(name_or_path), catalog().values()
    if holds_onnx(path):
        return None
    foreign = recognised(path, runtimes, options.trust)
    if foreign is None and os.path.exists(path) and not networks.is_file(name_or_path):
        kind = "folder" if path.is_dir() else "file"
        raise NetworkError(f"{path}: is no {kind} that crosscheck takes; it takes {taken(runtimes)}.")
    return foreign


def _exported(foreign: Foreign, options: FileOptions) -> Path:
    """The ONNX file that the format's runtime makes of a file, made once. Raises NetworkError."""
    target = _target(foreign)
    try:
        environment = describe(target.runtime, target.release, target.variant)
        make(target.runtime, target.release, environment)
    except EnvironmentFailure as failure:
        raise NetworkError(
            f"{foreign.path}: {target.id}, which exports it to ONNX, is not there: {failure}"
        ) from failure
    rows = options.batch or ROWS
    program = BEGINNING.format(refused=REFUSED, shapes=dict(options.shapes), batch=rows, trusted=foreign.trusted)
    program += foreign.format.export
    key = hashlib.sha256(json.dumps([foreign.digest, environment.key, program]).encode()).hexdigest()
    kept = cache_folder() / "exported" / f"{key[:32]}.onnx"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(in_memory=False) as scratch:
            made = _run(foreign, target, environment, program, scratch)
            with whole(kept) as unfinished:
                shutil.copyfile(made, unfinished)
    return kept


def _target(foreign: Foreign) -> Target:
    """The release and variant that export the format."""
    runtime = foreign.runtime
    release = next(one for one in runtime.releases if one.version == foreign.format.release)
    return Target(runtime, release, next(one for one in release.variants if one.name == foreign.format.variant))


def _run(foreign: Foreign, target: Target, environment: Environment, program: str, folder: Path) -> Path:
    """Execute an export in its environment, and return the file. Raises NetworkError, with its last line of output."""
    for name, part in foreign.parts.items():
        (folder / name).symlink_to(part.resolve())
    (folder / "export.py").write_text(program, encoding="utf-8")
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [environment.python, "export.py"],
            cwd=folder,
            env=variables(target, environment, folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            process.wait(LIMIT)
        except BaseException as problem:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(problem, subprocess.TimeoutExpired):
                raise NetworkError(f"{foreign.path}: {target.id} did not export it in {LIMIT} s.") from None
            raise
    if (folder / REFUSED).exists():
        raise NetworkError(f"{foreign.path}: {(folder / REFUSED).read_text(encoding='utf-8')}")
    if process.returncode or not (folder / EXPORTED).exists():
        lines = (folder / "output").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = lines[-1] if lines else f"exit code {process.returncode}"
        raise NetworkError(f"{foreign.path}: {target.id} cannot export it to ONNX ({last}).")
    return folder / EXPORTED
