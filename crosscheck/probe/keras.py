"""Keras models: the tensors that no other library has, and the layers' flags."""

from typing import Any, Dict, Optional

from crosscheck.probe.adapter import Network, Tensor
from crosscheck.probe.texts import Model, TextAdapter


class KerasAdapter(TextAdapter):
    """The verbs of libraries whose networks are Keras models."""

    def __init__(self) -> None:
        self.built: Dict[Model, Dict[str, bool]] = {}

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
        """The network; which of its layers are trainable is kept."""
        model = TextAdapter.build(self, network, mode, shares)
        self.built[model] = self.trainable(model)
        return model

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


def path(variable: Any) -> str:
    """A variable's name with that of its layer, which Keras 3 calls its path."""
    return str(getattr(variable, "path", variable.name))
