"""Networks that are torch modules: their tensors by the names of the graph, and torch's flags."""

from typing import Any, Dict, FrozenSet, Mapping, NamedTuple, Optional

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
        self.built: Dict[Model, Dict[str, Part]] = {}

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """The network; what its modules are is kept."""
        model = TextAdapter.build(self, network, mode, shares)
        self.built[model] = parts(model.names["net"])
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
        """Gradients on parameters, parameters that take none any more, and what has become of the modules.

        That is how many hooks each has by now, attributes that it did not have, layers that are others or gone, and
        layers that compute in place by now, or no longer do.
        """
        names, own, found = self.keys(model), model.says("parameter.requires_grad"), {}
        for key, parameter in self.module(model).named_parameters():
            name = names.get(key, self.called(model, key))
            if parameter.grad is not None:
                found[name + ".grad"] = parameter.grad
            if not parameter.requires_grad and not own:
                found[name + ".requires_grad"] = np.array(False)
        found.update(changed(self.built.get(model, {}), parts(self.module(model))))
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


class Part(NamedTuple):
    """A part of a module: itself, how many hooks it has, the names of its attributes, and its `inplace`."""

    part: Any
    hooks: int
    attributes: FrozenSet[str]
    inplace: Optional[bool]


def parts(module: Any) -> Dict[str, Part]:
    """All parts of a module, by name; itself as ""."""
    return {
        key: Part(
            part,
            sum(len(getattr(part, kind, ())) for kind in HOOKS),
            frozenset(vars(part)).union(part._parameters, part._buffers),
            getattr(part, "inplace", None),
        )
        for key, part in module.named_modules()
    }


def changed(built: Mapping[str, Part], now: Mapping[str, Part]) -> Dict[str, Tensor]:
    """What has become of a module's parts; nothing without an earlier look at them."""
    found = {}
    for key in built:
        if key not in now or now[key].part is not built[key].part:
            found[key + ".layer"] = np.array(key in now)
    for key, part in now.items():
        before = built.get(key, Part(None, 0, frozenset(), None))
        if part.hooks > before.hooks:
            found[key + ".hooks"] = np.array(part.hooks)
        if before.part is part.part:
            found.update(
                (key + "." + name + ".attribute", np.array(True)) for name in part.attributes - before.attributes
            )
            if part.inplace != before.inplace:
                found[key + ".inplace"] = np.array(part.inplace)
    return found
