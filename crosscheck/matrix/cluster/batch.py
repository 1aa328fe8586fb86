"""What travels between the host of a run and the workers of a cluster: data, pickled by one version of crosscheck."""

from __future__ import annotations

import functools
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import crosscheck
from crosscheck.cells import Trial
from crosscheck.matrix.cache import folder_digest
from crosscheck.matrix.journal import Record
from crosscheck.matrix.ledger import Failure
from crosscheck.matrix.selection import Target
from crosscheck.matrix.server import Limits

__all__ = ["Batch", "Errand", "Files", "Installation", "Kit", "Outcome", "installation"]

#: The files of a folder: path in it -> SHA-256 of the content.
Files = Mapping[str, str]


@dataclass(frozen=True)
class Installation:
    """The crosscheck of a machine: its version, that of its Python, and a digest of its code."""

    version: str
    python: str
    code: str

    def unlike(self, host: Installation) -> str:
        """How it differs from the host's; "" if it does not."""
        if self.version != host.version:
            return f"crosscheck {self.version}, and this machine {host.version}"
        if self.python != host.python:
            return f"Python {self.python}, and this machine {host.python}"
        return "" if self.code == host.code else f"other code of crosscheck {self.version} than this machine"


@functools.cache
def installation() -> Installation:
    """That of this process. Of Python's version, what decides whether one understands the other's pickles."""
    code = folder_digest(Path(crosscheck.__file__).parent)
    return Installation(crosscheck.__version__, ".".join(platform.python_version_tuple()[:2]), code)


@dataclass(frozen=True)
class Kit:
    """What a worker needs of a release.

    target: with what probe server and environment need of its runtime, whose folder has `files`. environment,
    interpreter: the key of its environment on the host, and its Python's version there.
    """

    target: Target
    files: Files
    environment: str
    interpreter: str


@dataclass(frozen=True)
class Errand:
    """A trial, its isolation, the probe's input for it, and the name of its network's files in the batch."""

    trial: Trial
    isolation: str
    request: Mapping[str, Any]
    network: str

    def work(self, trial: Trial) -> Mapping[str, Any]:
        """The probe's input."""
        return self.request


@dataclass(frozen=True)
class Batch:
    """Trials of one release, which one probe server runs.

    run: tells runs apart that a worker has seen. round: trials of another round are run by another server, as those
    that are repeated because a server's memory may have decided their outcome. isolation: the release's own. networks:
    name of a network's files -> the files.
    """

    run: str
    round: int
    kit: Kit
    isolation: str
    limits: Limits
    errands: tuple[Errand, ...]
    networks: Mapping[str, Files]
    installation: Installation = field(default_factory=installation)

    @property
    def digests(self) -> set[str]:
        """Those of all files."""
        return {digest for files in (self.kit.files, *self.networks.values()) for digest in files.values()}


@dataclass(frozen=True)
class Outcome:
    """What became of a batch on a worker.

    records: in their order. unasked: trials that were not begun, in their order. lost: trials that the machine spoilt,
    and why. lacking: digests of files that the worker does not have; nothing was begun. failure: why the release cannot
    be measured; of_machine: whether that may be this machine alone. packages, import_seconds: of the environment.
    made: whether it was made now. unlike: as in `Installation.unlike`.
    """

    worker: str
    records: tuple[tuple[Trial, Record], ...] = ()
    unasked: tuple[Trial, ...] = ()
    lost: tuple[tuple[Trial, str], ...] = ()
    lacking: tuple[str, ...] = ()
    failure: Failure | None = None
    of_machine: bool = False
    packages: Mapping[str, str] = field(default_factory=dict)
    import_seconds: float | None = None
    made: bool = False
    unlike: str = ""
