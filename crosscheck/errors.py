"""The exception hierarchy: crosscheck's own failures, never a runtime's.

    CrosscheckError             base class; the message contains the remedy
    ├── UsageError              invalid arguments of a command (exit code 2)
    │   └── NetworkError        a network file that cannot be used (exit code 2)
    ├── CatalogError            a runtime's folder (releases.toml, locks, adapter) is broken (3)
    ├── EnvironmentFailure      an environment could not be made; becomes a status of its cells
    │   ├── Unavailable         no interpreter, no wheel for this platform
    │   └── InstallFailed       the installer failed
    └── ProbeError              the probe server broke its protocol (3)

Every message is one or two sentences: the problem, its location, and the remedy.
"""

import errno

__all__ = [
    "CatalogError",
    "CrosscheckError",
    "EnvironmentFailure",
    "InstallFailed",
    "NetworkError",
    "ProbeError",
    "RuntimeLeftOut",
    "Unavailable",
    "UsageError",
    "remedy_of",
]

#: A full disk or quota.
FULL = (errno.ENOSPC, errno.EDQUOT)


class CrosscheckError(Exception):
    """A failure of crosscheck; the message contains the remedy."""


class UsageError(CrosscheckError):
    """The arguments of a command are invalid."""


class NetworkError(UsageError):
    """A network file is missing, invalid or unsupported."""


class CatalogError(CrosscheckError):
    """A runtime's folder (releases.toml, locks, adapter.py) contradicts itself."""


class RuntimeLeftOut(UserWarning):
    """An installed package offers a runtime that cannot be used."""


class EnvironmentFailure(CrosscheckError):
    """An environment could not be built. The message becomes the reason of its cells."""


class Unavailable(EnvironmentFailure):
    """This machine lacks a requirement of the release (an interpreter, a wheel for the platform)."""


class InstallFailed(EnvironmentFailure):
    """The installer failed although all requirements seem present."""


class ProbeError(CrosscheckError):
    """The probe server violated its protocol."""


def remedy_of(problem: OSError) -> str:
    """What to do about a failed call of the system, as the beginning of a sentence."""
    return "Free space" if problem.errno in FULL else "Mend that"
