"""ncnn: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

import importlib.util

from crosscheck.probe.texts import TextAdapter


class NCNN(TextAdapter):
    """`ncnn.Net`, and pnnx, which converts ONNX files for it."""

    def load(self) -> str:
        """Import ncnn; pnnx is a program beside its package, whose import would want torch."""
        import ncnn

        if importlib.util.find_spec("pnnx") is None:
            raise ImportError("pnnx is not installed")
        return str(ncnn.__version__)
