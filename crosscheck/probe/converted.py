"""Torch modules that a converter makes of ONNX files: which of them a mode asks, and what is fed to it."""

import sys
import types
import weakref
from typing import Any, Dict, Mapping, Optional, Sequence

from crosscheck.probe.adapter import Network, Tensor
from crosscheck.probe.texts import Model
from crosscheck.probe.torch import TorchAdapter


def name_torchvision(parts: Mapping[str, Sequence[str]]) -> None:
    """Let a converter import torchvision, whose operators of detectors it needs for these alone.

    parts: submodule -> the names that the converter imports of it.
    """
    vision = sys.modules["torchvision"] = types.ModuleType("torchvision")
    for part, names in parts.items():
        module = sys.modules["torchvision." + part] = types.ModuleType("torchvision." + part)
        vars(module).update(dict.fromkeys(names))
        vars(vision)[part] = module


class ConvertedAdapter(TorchAdapter):
    """The verbs of such converters; `load` leaves torch in `torch`."""

    def __init__(self) -> None:
        super().__init__()
        #: Model -> the module that its mode asks, which is another one than `net` where a form has a file of its own.
        self.asked: "weakref.WeakKeyDictionary[Model, Any]" = weakref.WeakKeyDictionary()

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """Execute the source, and what the mode's users write once: it opens the form's own file."""
        model = super().build(network, mode, shares)
        self.prepare(model, mode)
        names = model.names
        self.asked[model] = names.get("training", names.get("gradient", names["net"]))
        return model

    def module(self, model: Model) -> Any:
        """The module that the mode asks."""
        return self.asked[model]

    def state(self, model: Model) -> Dict[str, Tensor]:
        """Parameters and buffers, and the statistics that are fed."""
        found = super().state(model)
        for name, (expression, _) in model.source["tensors"].items():
            if expression.startswith("statistics["):
                found[name] = model.evaluate(expression)
        return found

    def switched(self, model: Model) -> Dict[str, bool]:
        """Modules in another mode than the user's lines put them in; for one as converted these lines are both."""
        return {} if model.says("as_converted") else super().switched(model)
