"""Networks that are torch modules: their tensors by the names of the graph, and torch's flags."""

from typing import Any, Dict, Optional

import numpy as np

from crosscheck.probe.adapter import Network, Tensor
from crosscheck.probe.texts import Model, TextAdapter

#: Where a module keeps its hooks.
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class TorchAdapter(TextAdapter):
    """The verbs of runtimes whose networks are torch modules; `load` leaves torch in `torch`.

    The source says of each tensor of the module that it is `<layer>.<attribute>`.
    """

    torch: Any = None

    def __init__(self) -> None:
        self.built: Dict[Model, Dict[str, int]] = {}

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """The network; how many hooks its modules have is kept."""
        model = TextAdapter.build(self, network, mode, shares)
        self.built[model] = hooks(model.names["net"])
        return model

    def module(self, model: Model) -> Any:
        """The module whose tensors are looked at."""
        return model.names["net"]

    def keys(self, model: Model) -> Dict[str, str]:
        """What the graph calls a tensor, by its key in the module's state dict."""
        layers = {id(layer): name for name, layer in model.names["net"].named_modules()}
        found = {}
        for name, (expression, _) in model.source["tensors"].items():
            layer, _, attribute = expression.rpartition(".")
            if attribute.isidentifier():
                found["{}.{}".format(layers.get(id(model.evaluate(layer))), attribute)] = name
        return found

    def state(self, model: Model) -> Dict[str, Tensor]:
        """Parameters and buffers: those that the module has by now, for a call may have removed some."""
        names = self.keys(model)
        tensors = self.module(model).state_dict()
        return {names.get(key, self.called(model, key)): value for key, value in tensors.items()}

    def left(self, model: Model) -> Dict[str, Tensor]:
        """Gradients on parameters, parameters that take none any more, and how many hooks a module has by now."""
        names, own, found = self.keys(model), model.says("parameter.requires_grad"), {}
        for key, parameter in self.module(model).named_parameters():
            name = names.get(key, self.called(model, key))
            if parameter.grad is not None:
                found[name + ".grad"] = parameter.grad
            if not parameter.requires_grad and not own:
                found[name + ".requires_grad"] = np.array(False)
        built = self.built.get(model, {})
        for key, count in hooks(self.module(model)).items():
            if count > built.get(key, 0):
                found[key + ".hooks"] = np.array(count)
        return found

    def switched(self, model: Model) -> Dict[str, bool]:
        """Modules in another mode than the user's lines put them in."""
        norm = self.torch.nn.modules.batchnorm._BatchNorm
        return {
            key or "net": part.training
            for key, part in self.module(model).named_modules()
            if model.left and part.training != model.trains(isinstance(part, norm))
        }

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """What `named_parameters()` of the module shows: no statistics."""
        names = self.keys(model)
        tensors = self.module(model).named_parameters()
        return {names.get(key, self.called(model, key)): value for key, value in tensors}

    def flags(self) -> Dict[str, bool]:
        """Whether autograd records, and from 1.9 on whether inference mode is on."""
        found = {"grad": bool(self.torch.is_grad_enabled())}
        if hasattr(self.torch, "is_inference_mode_enabled"):
            found["inference"] = bool(self.torch.is_inference_mode_enabled())
        return found


def hooks(module: Any) -> Dict[str, int]:
    """How many hooks each part of a module has."""
    return {key: sum(len(getattr(part, kind, ())) for kind in HOOKS) for key, part in module.named_modules()}
