"""MegEngine: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

import importlib
from typing import Any, Dict

from crosscheck.probe.adapter import Tensor
from crosscheck.probe.texts import Model, TextAdapter


class MegEngine(TextAdapter):
    """Releases of the `megengine` package, on the CPU."""

    def load(self) -> str:
        """Import MegEngine, which logs that it finds no GPU, and what networks and modes take of it."""
        self.megengine = importlib.import_module("megengine")
        self.batchnorm: Any = importlib.import_module("megengine.module.batchnorm")
        self.tracing: Any = importlib.import_module("megengine.jit.tracing")
        for name in ("megengine.traced_module", "megengine.utils.comp_graph_tools"):
            importlib.import_module(name)
        return str(self.megengine.__version__)

    def left(self, model: Model) -> Dict[str, Tensor]:
        """Gradients on parameters, which `backward` adds to."""
        found = {}
        for name in model.source["public"]:
            parameter, _, layout = model.source["tensors"][name][0].partition(".numpy()")
            if model.evaluate(parameter + ".grad") is not None:
                found[name + ".grad"] = model.evaluate(parameter + ".grad.numpy()" + layout)
        return found

    def switched(self, model: Model) -> Dict[str, bool]:
        """Modules in another mode than the user's lines put them in."""
        return {
            name or "net": module.training
            for name, module in model.names["net"].named_modules()
            if model.left and module.training != model.trains(isinstance(module, self.batchnorm._BatchNorm))
        }

    def settle(self, model: Model) -> None:
        """Wait for the thread that carries out operations."""
        self.megengine._full_sync()

    def flags(self) -> Dict[str, bool]:
        """Whether operations are traced."""
        return {"tracing": bool(self.tracing.is_tracing())}
