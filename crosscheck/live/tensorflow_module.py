"""TensorFlow's modules that are no Keras models."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from crosscheck.live.keras_model import layer_norms, named, tape_gradient, watched_layers, weights_of
from crosscheck.live.model import Batches, LiveModel, Norm, Tensor
from crosscheck.live.nested import applied

__all__ = ["TensorFlowModule"]

#: What a `__call__` calls its switch between training and inference.
SWITCHES = ("training", "is_training", "train")


class TensorFlowModule(LiveModel):
    """A `tf.Module` that can be called, with the modules and the Keras layers in its attributes."""

    takes = "tf.Module"
    unseen = "layers in a compiled function are called with symbols"
    runtime = "tensorflow"
    mode = "tape.eval"

    def __init__(self, model: Any, kerases: tuple[Any, ...]) -> None:
        self.tensorflow = sys.modules["tensorflow"]
        self.model, self.kerases = model, kerases

    def _parts(self) -> Iterator[tuple[str, Any]]:
        """(path, part) of every module, Keras layer and variable, each once."""
        layers = tuple(library.layers.Layer for library in self.kerases)
        known = {id(self.model)}
        stack: list[tuple[str, Any]] = [("", self.model)]
        while stack:
            path, part = stack.pop()
            container = isinstance(part, (list, tuple, Mapping))
            if not container:
                yield path, part
            if isinstance(part, (*layers, self.tensorflow.Variable)):
                continue
            inside = part.items() if isinstance(part, Mapping) else enumerate(part) if container else vars(part).items()
            for name, value in inside:
                looked_into = (self.tensorflow.Module, self.tensorflow.Variable, list, tuple, Mapping, *layers)
                if isinstance(value, looked_into) and id(value) not in known:
                    known.add(id(value))
                    stack.append((f"{path}.{name}".strip("."), value))

    def _layers(self) -> list[tuple[Any, Any]]:
        """(layer, its library) of the Keras layers, those inside of others, too."""
        return [
            (layer, library)
            for _, part in self._parts()
            for library in self.kerases
            if isinstance(part, library.layers.Layer)
            for layer in part._flatten_layers()
        ]

    def _variables(self) -> dict[str, Any]:
        own = {path: part for path, part in self._parts() if isinstance(part, self.tensorflow.Variable)}
        roots = [part for _, part in self._parts() if any(isinstance(part, k.layers.Layer) for k in self.kerases)]
        return own | named(variable for layer in roots for variable in layer.variables)

    def tensors(self) -> Iterator[Tensor]:
        """All variables. Those that are not trainable are no parameters."""
        layers = {id(variable) for layer, _ in self._layers() for variable in weights_of(layer)}
        for name, variable in self._variables().items():
            own = isinstance(variable, self.tensorflow.Variable) and variable.trainable
            yield Tensor(name, variable, own or id(variable) in layers)

    def flags(self) -> Mapping[str, object]:
        """Plain switches in the attributes of modules, and which Keras layers are trainable."""
        found = {
            f"{path}.{name}".strip("."): value
            for path, part in self._parts()
            if isinstance(part, self.tensorflow.Module)
            for name, value in vars(part).items()
            if isinstance(value, bool) and not name.startswith("_self_")
        }
        return found | {f"{layer.name}.trainable": layer.trainable for layer, _ in self._layers()}

    def norms(self) -> Iterator[Norm]:
        """The batch normalizations among the Keras layers."""
        for library in self.kerases:
            yield from layer_norms(
                [layer for layer, own in self._layers() if own is library], self._variables(), library
            )

    def predict(self, x: Any, predict: Callable[[Any, Any], Any] | None) -> Any:
        """A call with the switch of `__call__` off, if it has one."""
        if predict is not None:
            return predict(self.model, x)
        taken = inspect.signature(self.model.__call__).parameters
        off = {word: False for word in SWITCHES if word in taken}
        return applied(lambda *args, **kwargs: self.model(*args, **kwargs, **off), x)

    def gradient(self, x: Any) -> Any:
        """By the tape, of a call that says nothing about training."""
        return tape_gradient(lambda inputs: applied(self.model, inputs), x)

    @contextmanager
    def watched(self) -> Iterator[Batches]:
        """What Keras layers are called with outside of compiled functions."""
        found: Batches = {}
        with ExitStack() as stack:
            each = [stack.enter_context(watched_layers(self.norms(), library)) for library in self.kerases]
            yield found
        for batches in each:
            found.update(batches)
