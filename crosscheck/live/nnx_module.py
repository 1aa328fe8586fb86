"""Flax's nnx modules."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from crosscheck.cells import Array
from crosscheck.live.model import Batches, LiveModel, Norm, Tensor, batch_of, seen_by
from crosscheck.live.nested import applied, leaves

__all__ = ["NnxModule", "jax_array"]

#: Kinds of attributes that can be mode flags, such as `use_running_average` and `deterministic`.
FLAGS = (bool, int, float, str, type(None))


class NnxModule(LiveModel):
    """A `flax.nnx.Module`."""

    takes = "flax.nnx.Module"
    runtime = "flax"
    mode = "nnx.eval.grad"

    def __init__(self, model: Any) -> None:
        self.nnx = sys.modules["flax.nnx"]
        self.model = model

    def _nodes(self, model: Any) -> Iterator[tuple[str, Any]]:
        """(path, value) of every module, variable and plain attribute, without what nnx itself keeps."""
        for path, value in self.nnx.iter_graph(model):
            if not any(str(part).startswith("_") for part in path):
                yield ".".join(map(str, path)), value

    def tensors(self) -> Iterator[Tensor]:
        """All variables: parameters, statistics, and the counts of random numbers."""
        for name, value in self._nodes(self.model):
            if isinstance(value, self.nnx.Variable):
                held = value.get_value() if hasattr(value, "get_value") else value.value
                yield Tensor(name, held, isinstance(value, self.nnx.Param))

    def flags(self) -> Mapping[str, object]:
        """Plain attributes of all modules."""
        return {name: value for name, value in self._nodes(self.model) if isinstance(value, FLAGS)}

    def norms(self) -> Iterator[Norm]:
        """Every `nnx.BatchNorm`."""
        return self._norms(self.model)

    def _norms(self, model: Any) -> Iterator[Norm]:
        for name, layer in self._nodes(model):
            if isinstance(layer, self.nnx.BatchNorm):
                mean, variance = (f"{name}.{word}".strip(".") for word in ("mean", "var"))
                yield Norm(name or "model", layer, mean, variance, layer.momentum, layer.epsilon, layer.axis)

    def predict(self, x: Any, predict: Callable[[Any, Any], Any] | None) -> Any:
        """On a clone, after its `eval()` unless the caller predicts."""
        twin = self.nnx.clone(self.model)
        if predict is not None:
            return predict(twin, x)
        twin.eval()
        return applied(twin, x)

    def gradient(self, x: Any) -> Any:
        """By `nnx.grad`, which writes what a call does to the module."""

        def total(model: Any, x: Any) -> Any:
            return sum(leaf.sum() for _, leaf in leaves(applied(model, x)))

        return self.nnx.grad(total, argnums=1)(self.model, x)

    def array(self, value: Any) -> Array:
        """A copy; of random keys, their numbers."""
        return jax_array(value)

    def replay(self, x: Any) -> Batches:
        """On a clone, after its `train()`."""
        twin = self.nnx.clone(self.model)
        twin.train()
        norms = {id(norm.layer): norm for norm in self._norms(twin)}
        batches: Batches = {}

        def see(layer: Any, x: Any) -> None:
            if (norm := norms.get(id(layer))) is not None:
                batches.setdefault(norm.name, []).append(batch_of(jax_array(x), norm.axis))

        with seen_by(self.nnx.BatchNorm, "__call__", see):
            applied(twin, x)
        return batches


def jax_array(value: Any) -> Array:
    """A copy of an array of JAX; of random keys, their numbers."""
    jax = sys.modules["jax"]
    if isinstance(value, jax.Array) and jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    return np.array(value)
