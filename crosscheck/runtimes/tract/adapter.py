"""tract: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

from crosscheck.probe.texts import TextAdapter


class Tract(TextAdapter):
    """The bindings of `tract` for Python."""

    def load(self) -> str:
        """Import the bindings, which bring the library."""
        import tract

        return str(tract.version())
