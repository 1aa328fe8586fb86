"""crosscheck's own failures, as one tree; what a runtime does is never one of them.

    CrosscheckError             something is wrong, and the message says what to do
    ├── UsageError              the words of a command (exit code 2)
    │   └── NetworkError        a network file that cannot be used (exit code 2)
    ├── CatalogError            a runtime's folder (releases.toml, locks, adapter) is broken (3)
    ├── EnvironmentFailure      an environment could not be made; becomes a status of its cells
    │   ├── Unavailable         no interpreter, no wheel for this platform
    │   └── InstallFailed       the installer said no
    └── ProbeError              the probe server broke its protocol (3)

Every message is one or two sentences: what is wrong, where, and the remedy.
"""

__all__ = [
    "CatalogError",
    "CrosscheckError",
    "EnvironmentFailure",
    "InstallFailed",
    "NetworkError",
    "ProbeError",
    "Unavailable",
    "UsageError",
]


class CrosscheckError(Exception):
    """Something is wrong on crosscheck's side of the fence; the message carries the remedy."""


class UsageError(CrosscheckError):
    """The words of a command cannot be carried out."""


class NetworkError(UsageError):
    """A network file cannot be used: it is missing, broken, or outside what crosscheck lowers."""


class CatalogError(CrosscheckError):
    """A runtime's folder (releases.toml, locks, adapter.py) contradicts itself."""


class EnvironmentFailure(CrosscheckError):
    """An environment could not be made. The cells that need it carry the message as their reason."""


class Unavailable(EnvironmentFailure):
    """This machine lacks what the release needs (an interpreter, a wheel for the platform)."""


class InstallFailed(EnvironmentFailure):
    """Everything seemed to be there, and the installer failed."""


class ProbeError(CrosscheckError):
    """The probe server did not speak its protocol."""
