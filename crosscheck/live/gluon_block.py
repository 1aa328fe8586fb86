"""Gluon blocks of MXNet."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from crosscheck.cells import Array
from crosscheck.live.model import Batches, LiveModel, Norm, Tensor, batch_of
from crosscheck.live.nested import applied, leaves, mapped

__all__ = ["GluonBlock"]


class GluonBlock(LiveModel):
    """A `mxnet.gluon.Block`."""

    takes = "mxnet.gluon.Block"
    unseen = "the layers of a hybridized block run no hooks"
    runtime = "mxnet"
    mode = "gluon.eval.eval"

    def __init__(self, model: Any) -> None:
        self.mx = sys.modules["mxnet"]
        self.block = model

    def tensors(self) -> Iterator[Tensor]:
        """All parameters; running statistics are declared as not differentiable."""
        for name, parameter in self.block.collect_params().items():
            try:
                values = parameter.list_data()
            except RuntimeError as problem:  # DeferredInitializationError among them
                raise ValueError(
                    f"{name} has no values yet: initialize the model, and call it once before"
                ) from problem
            for number, value in enumerate(values):
                yield Tensor(f"{name}[{number}]" if number else name, value, parameter._differentiable)

    def flags(self) -> Mapping[str, object]:
        """Autograd's two flags, and of each parameter what becomes of its gradient."""
        autograd = self.mx.autograd
        found: dict[str, object] = {
            "autograd.is_training()": autograd.is_training(),
            "autograd.is_recording()": autograd.is_recording(),
        }
        return found | {f"{name}.grad_req": one.grad_req for name, one in self.block.collect_params().items()}

    def left(self) -> Mapping[str, Any]:
        """Gradients of parameters that accumulate them (others are overwritten), and how many hooks blocks have."""
        found: dict[str, Any] = {}
        for name, parameter in self.block.collect_params().items():
            if parameter.grad_req == "add":
                found |= {f"{name}.grad[{number}]": value for number, value in enumerate(parameter.list_grad())}
        for name, part in self._blocks():
            if count := len(part._forward_hooks) + len(part._forward_pre_hooks):
                found[f"{name}.hooks"] = np.array(count)
        return found

    def _blocks(self) -> Iterator[tuple[str, Any]]:
        stack = [self.block]
        while stack:
            part = stack.pop()
            yield part.name, part
            stack.extend(part._children.values())

    def norms(self) -> Iterator[Norm]:
        """`nn.BatchNorm` and what derives from it."""
        for name, layer in self._blocks():
            if isinstance(layer, self.mx.gluon.nn.BatchNorm):
                told = layer._kwargs
                statistics = layer.running_mean.name, layer.running_var.name
                yield Norm(name, layer, *statistics, told["momentum"], told["eps"], told.get("axis", 1))

    def predict(self, x: Any, predict: Callable[[Any, Any], Any] | None) -> Any:
        """A call outside of every recording, which is in prediction mode."""
        with self.mx.autograd.pause(train_mode=False):
            return applied(self.block, x) if predict is None else predict(self.block, x)

    def copied(self, x: Any) -> Any:
        """Arrays of MXNet and of numpy."""
        return mapped(lambda leaf: leaf.copy() if hasattr(leaf, "copy") else leaf, x)

    def gradient(self, x: Any) -> Any:
        """As `autograd.record()` is by default."""
        inputs = self.copied(x)
        for _, leaf in leaves(inputs):
            leaf.attach_grad()
        with self.mx.autograd.record():
            outputs = [leaf for _, leaf in leaves(applied(self.block, inputs))]
        self.mx.autograd.backward(outputs)
        return mapped(lambda leaf: leaf.grad, inputs)

    def array(self, value: Any) -> Array:
        """A copy; reading waits."""
        return np.array(value.asnumpy()) if hasattr(value, "asnumpy") else np.array(value)

    def settle(self) -> None:
        """`waitall`, MXNet's only full fence."""
        self.mx.nd.waitall()

    @contextmanager
    def watched(self) -> Iterator[Batches]:
        """By hooks, which the layers of a hybridized block do not run."""
        batches: Batches = {}

        def see(norm: Norm, layer: Any, inputs: Any) -> None:
            if self.mx.autograd.is_training() and hasattr(inputs[0], "asnumpy"):
                batches.setdefault(norm.name, []).append(batch_of(self.array(inputs[0]), norm.axis))

        handles = [norm.layer.register_forward_pre_hook(partial(see, norm)) for norm in self.norms()]
        try:
            yield batches
        finally:
            for handle in handles:
                handle.detach()
