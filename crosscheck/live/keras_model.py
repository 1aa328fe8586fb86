"""Keras's models and layers, on every backend."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import numpy as np

from crosscheck.cells import Array
from crosscheck.live.model import Batches, LiveModel, Norm, Tensor, batch_of, seen_by
from crosscheck.live.nested import leaves, mapped
from crosscheck.live.torch_module import TorchModule

__all__ = ["KerasModel", "layer_norms", "named", "tape_gradient", "watched_layers", "weights_of"]

#: Backend -> the way of asking that leaves a model as it was.
MODES = {"tensorflow": "tf.tape.eval", "jax": "jax.grad.eval", "torch": "torch.grad.eval"}


class KerasModel(LiveModel):
    """A Keras model, or a layer that is used as one. With the backend of torch it is a torch module, too."""

    takes = "keras.Model"
    unseen = "layers in a compiled function are called with symbols"
    runtime = "keras"

    def __init__(self, model: Any, library: Any) -> None:
        self.model, self.library = model, library
        self.backend: str = library.backend.backend()
        self.mode = MODES[self.backend]
        self.module = TorchModule(model) if self.backend == "torch" else None

    def tensors(self) -> Iterator[Tensor]:
        """All variables, seeds and what the optimizer keeps included; metrics are not."""
        if not self.model.built:
            raise ValueError("the model has no weights yet: call it once before")
        parameters = {id(variable) for layer in self._layers() for variable in weights_of(layer)}
        for name, variable in named(self.model.variables).items():
            yield Tensor(name, variable, id(variable) in parameters)
        optimizer = getattr(self.model, "optimizer", None)
        kept = () if optimizer is None else optimizer.variables
        for name, variable in named(kept() if callable(kept) else kept).items():
            yield Tensor(f"optimizer/{name}", variable, False)

    def _layers(self) -> list[Any]:
        return list(self.model._flatten_layers())

    def flags(self) -> Mapping[str, object]:
        """Which layers are trainable; with the backend of torch, the modes of the modules, too."""
        found: dict[str, object] = {f"{layer.name}.trainable": layer.trainable for layer in self._layers()}
        return found if self.module is None else {**self.module.flags(), **found}

    def left(self) -> Mapping[str, Any]:
        """With the backend of torch, what is left on a module; nothing else has gradients or hooks."""
        return {} if self.module is None else self.module.left()

    def norms(self) -> Iterator[Norm]:
        """Every `BatchNormalization` inside."""
        return layer_norms(self._layers(), named(self.model.variables), self.library)

    def predict(self, x: Any, predict: Callable[[Any, Any], Any] | None) -> Any:
        """A call with `training=False`."""
        with nullcontext() if self.module is None else self.module.torch.no_grad():
            return self.model(x, training=False) if predict is None else predict(self.model, x)

    def copied(self, x: Any) -> Any:
        """A copy as far as arrays of the backend can be written: numpy's and torch's."""
        return super().copied(x) if self.module is None else self.module.copied(super().copied(x))

    def gradient(self, x: Any) -> Any:
        """Of a call that says nothing about training."""
        if self.backend == "tensorflow":
            return tape_gradient(self.model, x)
        if self.backend == "jax":
            jax = sys.modules["jax"]
            return jax.grad(lambda inputs: sum(leaf.sum() for _, leaf in leaves(self.model(inputs))))(x)
        torch = sys.modules["torch"]
        inputs = mapped(lambda leaf: torch.as_tensor(leaf).detach().clone().requires_grad_(), x)
        outputs = [leaf for _, leaf in leaves(self.model(inputs))]
        return torch.autograd.grad(sum(leaf.sum() for leaf in outputs), [leaf for _, leaf in leaves(inputs)])

    def array(self, value: Any) -> Array:
        """A copy, from every backend."""
        if self.module is not None and isinstance(value, self.module.torch.Tensor):
            return self.module.array(value)
        return np.array(value)

    @contextmanager
    def watched(self) -> Iterator[Batches]:
        """What layers are called with outside of compiled functions."""
        with watched_layers(self.norms(), self.library) as batches:
            yield batches

    def replay(self, x: Any) -> Batches:
        """By a stateless call, which returns new values of the variables instead of writing them (Keras 3)."""
        if not hasattr(self.model, "stateless_call"):
            return {}
        trainable, other = (
            [variable.value for variable in variables]
            for variables in (self.model.trainable_variables, self.model.non_trainable_variables)
        )
        with watched_layers(self.norms(), self.library) as batches:
            self.model.stateless_call(trainable, other, x, training=True)
        return batches


def named(variables: Iterable[Any]) -> dict[str, Any]:
    """Variables by their paths, or names in Keras 2; names that occur again are numbered."""
    found: dict[str, Any] = {}
    for variable in variables:
        name = first = str(getattr(variable, "path", variable.name))
        number = 1
        while name in found:
            number += 1
            name = f"{first}#{number}"
        found[name] = variable
    return found


def weights_of(layer: Any) -> list[Any]:
    """The layer's own variables that were made trainable, whether it is frozen or not."""
    return list(getattr(layer, "_trainable_variables", None) or getattr(layer, "_trainable_weights", None) or ())


def layer_norms(layers: Iterable[Any], variables: Mapping[str, Any], library: Any) -> Iterator[Norm]:
    """The batch normalizations among some layers; variables: by the names that they have as tensors."""
    names = {id(variable): name for name, variable in variables.items()}
    for layer in layers:
        if isinstance(layer, library.layers.BatchNormalization):
            mean, variance = names[id(layer.moving_mean)], names[id(layer.moving_variance)]
            axis = layer.axis if isinstance(layer.axis, int) else layer.axis[0]
            yield Norm(layer.name, layer, mean, variance, layer.momentum, layer.epsilon, axis)


@contextmanager
def watched_layers(norms: Iterable[Norm], library: Any) -> Iterator[Batches]:
    """Collects what these layers are called with, where it has values: not inside of compiled functions."""
    batches: Batches = {}
    known = {id(norm.layer): norm for norm in norms}

    def see(layer: Any, x: Any) -> None:
        norm = known.get(id(layer))
        # Symbolic tensors, and those of a transform, have no values, which each framework says by an error of its own.
        with suppress(Exception):
            if norm is not None:
                values = x.detach().cpu().numpy() if hasattr(x, "detach") else np.asarray(x)
                batches.setdefault(norm.name, []).append(batch_of(values, norm.axis))

    with seen_by(library.layers.BatchNormalization, "call", see):
        yield batches


def tape_gradient(model: Callable[[Any], Any], x: Any) -> Any:
    """The gradient of the sum of all outputs by TensorFlow's tape."""
    tensorflow = sys.modules["tensorflow"]
    inputs = mapped(tensorflow.convert_to_tensor, x)
    wanted = [leaf for _, leaf in leaves(inputs) if leaf.dtype.is_floating]
    with tensorflow.GradientTape() as tape:
        tape.watch(wanted)
        outputs = [tensorflow.reduce_sum(leaf) for _, leaf in leaves(model(inputs))]
    return tape.gradient(outputs, wanted)
