"""Keras models: the tensors that no other library has, and the layers' flags."""

from typing import Any, Dict, FrozenSet, NamedTuple, Optional

import numpy as np

from crosscheck.probe.adapter import Network, Tensor
from crosscheck.probe.texts import Model, TextAdapter


class KerasAdapter(TextAdapter):
    """The verbs of libraries whose networks are Keras models."""

    def __init__(self) -> None:
        self.built: Dict[Model, Dict[str, bool]] = {}
        self.made: Dict[Model, Dict[str, Part]] = {}

    def state(self, model: Model) -> Dict[str, Tensor]:
        """All weights, and what the optimizer has counted."""
        # All are read before any is recorded: where one cannot be, nothing is said of the others.
        found = {name: self.numpy(value) for name, value in TextAdapter.state(self, model).items()}
        layers = [layer for layer in model.names["net"].layers if layer.weights]
        if self.executes_at_once(model):
            shown = {id(model.evaluate(expression)) for expression, _ in model.source["tensors"].values()}
            hidden = [w for layer in layers for w in layer.weights if id(w) not in shown]
            found.update({self.called(model, path(w)): w for w in hidden})
            optimizer = getattr(model.names["net"], "optimizer", None)
            if optimizer is not None:
                found["optimizer.iterations"] = optimizer.iterations
        return found

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """The network; what its layers are, and which of them are trainable, is kept."""
        model = TextAdapter.build(self, network, mode, shares)
        self.built[model], self.made[model] = self.trainable(model), parts(model.names["net"])
        return model

    def left(self, model: Model) -> Dict[str, Tensor]:
        """What has become of the layers: attributes that they did not have, and functions that are others by now."""
        found: Dict[str, Tensor] = {}
        made = self.made.get(model, {})
        for name, part in parts(model.names["net"]).items() if made else ():
            before = made.get(name)
            if before is None or before.layer is not part.layer:
                found[name + ".layer"] = np.array(True)
                continue
            found.update((name + "." + key + ".attribute", np.array(True)) for key in part.names - before.names)
            if "activation" in before.names and part.activation is not before.activation:
                found[name + ".activation"] = np.array(True)
        return found

    def switched(self, model: Model) -> Dict[str, bool]:
        """Layers whose `trainable` is neither what it was at first nor what the user's lines set it to."""
        built = self.built.get(model, {})
        return {
            name: trainable
            for name, trainable in self.trainable(model).items()
            if trainable != (built.get(name, trainable) and model.left != "frozen")
        }

    def trainable(self, model: Model) -> Dict[str, bool]:
        """The flag of each layer that has weights."""
        return {layer.name: bool(layer.trainable) for layer in model.names["net"].layers if layer.weights}

    def executes_at_once(self, model: Model) -> bool:
        """Whether variables are read without a session."""
        raise NotImplementedError


class Part(NamedTuple):
    """A layer: itself, the names of its public attributes, and its activation."""

    layer: Any
    names: FrozenSet[str]
    activation: Any


def parts(net: Any) -> Dict[str, Part]:
    """The layers of a Keras model, by name; none of what is no such model."""
    return {
        layer.name: Part(
            layer,
            frozenset(name for name in vars(layer) if not name.startswith("_")),
            vars(layer).get("activation"),
        )
        for layer in getattr(net, "layers", ())
        if hasattr(layer, "name")
    }


def path(variable: Any) -> str:
    """A variable's name with that of its layer, which Keras 3 calls its path."""
    return str(getattr(variable, "path", variable.name))
