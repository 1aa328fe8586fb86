"""onnx2pytorch: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

import importlib.metadata
import sys
import types
import weakref
from typing import Any, Dict, Optional

from crosscheck.probe.adapter import Network, Tensor
from crosscheck.probe.texts import Model
from crosscheck.probe.torch import TorchAdapter


class ONNX2PyTorch(TorchAdapter):
    """`onnx2pytorch.ConvertModel`, and torch's autograd over it."""

    def __init__(self) -> None:
        super().__init__()
        #: Model -> the module that its mode asks, which is another one than `net` where a form has a file of its own.
        self.asked: "weakref.WeakKeyDictionary[Model, Any]" = weakref.WeakKeyDictionary()

    def load(self) -> str:
        """Import the converter and torch; torchvision, which operators of detectors need, is only named."""
        vision, reading, operators = (types.ModuleType("torchvision" + part) for part in ("", ".io", ".ops"))
        vars(reading).update(decode_image=None, ImageReadMode=None)
        vars(operators).update(deform_conv2d=None, roi_align=None, roi_pool=None)
        vars(vision).update(io=reading, ops=operators)
        sys.modules.update({module.__name__: module for module in (vision, reading, operators)})
        import torch
        from onnx2pytorch import ConvertModel  # noqa: F401 - so that no trial has to import it

        self.torch = torch
        return importlib.metadata.version("onnx2pytorch")

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """Execute the source, and what the mode's users write once: it opens the form's own file."""
        model = super().build(network, mode, shares)
        model.once.add(mode)
        model.run(model.texts[mode]["once"], mode + "_once")
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
