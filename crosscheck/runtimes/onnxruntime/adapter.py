"""ONNX Runtime: what only code can do. Sessions and modes are texts (`network.py`, `modes.py`)."""

from crosscheck.probe.texts import TextAdapter


class ONNXRuntime(TextAdapter):
    """`onnxruntime.InferenceSession` with the CPU execution provider."""

    def load(self) -> str:
        """Import the runtime; sessions, and the threads they start, come later, in each trial."""
        import onnxruntime

        return str(onnxruntime.__version__)
