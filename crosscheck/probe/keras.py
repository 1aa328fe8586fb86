"""Keras models: the tensors that no other library has, and the layers' flags."""

from typing import Any, Dict

import numpy as np

from crosscheck.probe.adapter import Tensor
from crosscheck.probe.texts import Model, TextAdapter


class KerasAdapter(TextAdapter):
    """The verbs of libraries whose networks are Keras models."""

    def state(self, model: Model) -> Dict[str, Tensor]:
        """All weights, the layers' flags as the runtime left them, and what the optimizer has counted."""
        # All are read before any is recorded: where one cannot be, nothing is said of the others.
        found = {name: self.numpy(value) for name, value in TextAdapter.state(self, model).items()}
        layers = [layer for layer in model.names["net"].layers if layer.weights]
        # Flags that the user's own lines have put to False count as True.
        frozen = model.left == "frozen"
        found["trainable"] = np.array([bool(layer.trainable) != frozen for layer in layers], np.int64)
        if self.executes_at_once(model):
            shown = {id(model.evaluate(expression)) for expression, _ in model.source["tensors"].values()}
            found.update({path(w): w for layer in layers for w in layer.weights if id(w) not in shown})
            optimizer = getattr(model.names["net"], "optimizer", None)
            if optimizer is not None:
                found["optimizer.iterations"] = optimizer.iterations
        return found

    def executes_at_once(self, model: Model) -> bool:
        """Whether variables are read without a session."""
        raise NotImplementedError


def path(variable: Any) -> str:
    """A variable's name with that of its layer, which Keras 3 calls its path."""
    return str(getattr(variable, "path", variable.name))
