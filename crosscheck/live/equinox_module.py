"""Equinox's modules, with the state that goes in and comes out beside them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from crosscheck.cells import Array
from crosscheck.live.model import Batches, LiveModel, Norm, Tensor, batch_of, seen_by
from crosscheck.live.nested import leaves
from crosscheck.live.nnx_module import FLAGS, jax_array

__all__ = ["EquinoxModule", "holds_module"]


class EquinoxModule(LiveModel):
    """An `equinox.Module` for one example; or a tuple, list, dict or object that holds one module and its state.

    Modules and states never change. What can change is which ones a list, a dict or an object holds, so that they are
    looked up anew each time; and a state becomes invalid when another is made of it.
    """

    takes = "equinox.Module"
    runtime = "equinox"
    mode = "batch.inference-mode.grad"

    def __init__(self, model: Any) -> None:
        self.equinox, self.jax = sys.modules["equinox"], sys.modules["jax"]
        self.model = model
        self._index = getattr(self.equinox.nn, "StateIndex", ())
        if self._state() is None and self._indices():
            raise TypeError("this equinox module has a state: pass both, as equinox.nn.make_with_state returns them")

    def _module(self) -> Any:
        return next(part for part in held(self.model) if isinstance(part, self.equinox.Module))

    def _state(self) -> Any:
        return next((part for part in held(self.model) if isinstance(part, self.equinox.nn.State)), None)

    def _paths(self) -> Iterator[tuple[str, Any]]:
        tree = self.jax.tree_util
        flat, _ = tree.tree_flatten_with_path(self._module(), is_leaf=lambda part: isinstance(part, self._index))
        for path, leaf in flat:
            yield tree.keystr(path).removeprefix("."), leaf

    def _indices(self) -> list[tuple[str, Any]]:
        return [(path, leaf) for path, leaf in self._paths() if isinstance(leaf, self._index)]

    def tensors(self) -> Iterator[Tensor]:
        """The arrays of the module, and those of its state."""
        for path, leaf in self._paths():
            if isinstance(leaf, (self.jax.Array, np.ndarray)):
                yield Tensor(path, leaf, True)
        for path, index in self._indices():
            for place, leaf in leaves(self._state().get(index), path):
                yield Tensor(place, leaf, False)

    def flags(self) -> Mapping[str, object]:
        """Plain leaves of the module, such as `inference`."""
        return {path: leaf for path, leaf in self._paths() if isinstance(leaf, FLAGS)}

    def _layers(self) -> list[Any]:
        kind = self.equinox.nn.BatchNorm
        found = self.jax.tree_util.tree_leaves(self._module(), is_leaf=lambda part: isinstance(part, kind))
        return [layer for layer in found if isinstance(layer, kind)]

    def norms(self) -> Iterator[Norm]:
        """Every `equinox.nn.BatchNorm`. In mode "batch" it keeps averages from zero, which inference corrects."""
        paths = {id(index): path for path, index in self._indices()}
        for layer in self._layers():
            index = next(
                value
                for name in ("batch_state_index", "ema_state_index", "state_index")
                if (value := getattr(layer, name, None)) is not None
            )
            path = paths[id(index)]
            name = path.rpartition(".")[0] or "model"
            yield Norm(name, layer, f"{path}[0]", f"{path}[1]", layer.momentum, layer.eps, 1)

    def _called(self, module: Any, x: Any) -> Any:
        """The output for a batch; a tuple is several inputs."""
        inputs = x if isinstance(x, tuple) else (x,)
        state = self._state()
        name = next((layer.axis_name for layer in self._layers()), "batch")
        if state is None:
            return self.jax.vmap(module, axis_name=name)(*inputs)
        axes = (*[0] * len(inputs), None)
        return self.jax.vmap(module, axis_name=name, in_axes=axes, out_axes=(0, None))(*inputs, state)[0]

    def predict(self, x: Any, predict: Callable[[Any, Any], Any] | None) -> Any:
        """The module in inference mode, on each example of a batch; the state that comes back is dropped."""
        if predict is not None:
            return predict(self.model, x)
        return self._called(self.equinox.nn.inference_mode(self._module()), x)

    def gradient(self, x: Any) -> Any:
        """By `jax.grad`; the state that comes back is dropped."""
        module = self._module()
        return self.jax.grad(lambda x: sum(leaf.sum() for _, leaf in leaves(self._called(module, x))))(x)

    def array(self, value: Any) -> Array:
        """A copy; of random keys, their numbers."""
        return jax_array(value)

    def replay(self, x: Any) -> Batches:
        """A call in training mode, whose state is dropped."""
        # Layers inside of a transform are other objects.
        norms = {id(norm.layer): norm for norm in self.norms()}
        batches: Batches = {}

        def see(layer: Any, x: Any) -> None:
            if (norm := norms.get(id(layer))) is not None and hasattr(x, "val"):
                values = np.moveaxis(jax_array(x.val), x.batch_dim, 0)
                batches.setdefault(norm.name, []).append(batch_of(values, norm.axis))

        with seen_by(self.equinox.nn.BatchNorm, "__call__", see):
            self._called(self._module(), x)
        return batches


def held(model: Any) -> list[Any]:
    """What a tuple, a list, a dict or an object holds; a module holds itself."""
    if isinstance(model, sys.modules["equinox"].Module):
        return [model]
    if isinstance(model, Mapping):
        return list(model.values())
    return list(model) if isinstance(model, (tuple, list)) else list(getattr(model, "__dict__", {}).values())


def holds_module(model: Any, equinox: Any) -> bool:
    """Whether the model is an equinox module, or holds exactly one, and at most one state."""
    parts = held(model)
    return (
        sum(isinstance(part, equinox.Module) for part in parts) == 1
        and sum(isinstance(part, equinox.nn.State) for part in parts) <= 1
    )
