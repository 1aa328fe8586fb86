"""LiteRT: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

from crosscheck.probe.texts import TextAdapter


class LiteRT(TextAdapter):
    """The interpreter of `ai_edge_litert` on the CPU; compiled models are imported where a text asks one."""

    def load(self) -> str:
        """Import the interpreter; the package has its version in its metadata alone."""
        from importlib.metadata import version

        import ai_edge_litert.interpreter  # noqa: F401

        return version("ai-edge-litert")
