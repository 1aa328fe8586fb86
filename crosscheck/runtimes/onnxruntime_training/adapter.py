"""ONNX Runtime's training packages: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

import importlib
import os
import sys
import types

from crosscheck.probe.texts import TextAdapter


class ONNXRuntimeTraining(TextAdapter):
    """`onnxruntime.training.api.Module`, and `onnxruntime.InferenceSession` as the same packages have it."""

    def load(self) -> str:
        """Import sessions and the training API, without torch: `onnxruntime.training` by itself imports it."""
        import onnx  # noqa: F401 - the texts' own import of it would otherwise pass in every trial
        import onnxruntime

        package = types.ModuleType("onnxruntime.training")
        vars(package).update(__path__=[os.path.join(os.path.dirname(onnxruntime.__file__), "training")])
        sys.modules[package.__name__] = package
        for name in ("api", "artifacts", "onnxblock"):
            importlib.import_module("onnxruntime.training." + name)
        return str(onnxruntime.__version__)
