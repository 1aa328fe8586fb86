"""Modules of torch."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import numpy as np

from crosscheck.cells import Array
from crosscheck.live.model import Batches, LiveModel, Norm, Tensor, batch_of
from crosscheck.live.nested import applied, leaves, mapped

__all__ = ["TorchModule"]

#: Where modules and parameters keep the hooks that a call may leave.
HOOKS = (
    *("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"),
    "_post_accumulate_grad_hooks",
)
#: What a batch normalization keeps.
TRACKED = ("running_mean", "running_var", "num_batches_tracked")
#: What a batch normalization is told, and what calls are known to switch for a while.
SETTINGS = ("momentum", "track_running_stats")


class TorchModule(LiveModel):
    """A `torch.nn.Module`; of one that `torch.compile` made, the module that it was made of."""

    takes = "torch.nn.Module"
    runtime = "torch"
    mode = "eval.autograd-grad"

    def __init__(self, model: Any) -> None:
        self.torch = sys.modules["torch"]
        self.given = model
        self.module = getattr(model, "_orig_mod", model)

    def tensors(self) -> Iterator[Tensor]:
        """Parameters and buffers, those that no state dict has, too."""
        for name, parameter in self.module.named_parameters():
            if self.torch.nn.parameter.is_lazy(parameter):
                raise ValueError("the model is lazy and has no weights yet: call it once before")
            yield Tensor(name, parameter, True)
        for name, buffer in self.module.named_buffers():
            yield Tensor(name, buffer, False)

    def flags(self) -> Mapping[str, object]:
        """The mode of each module, settings of batch normalizations, and torch's own switches."""
        found: dict[str, object] = {
            "torch.is_grad_enabled()": self.torch.is_grad_enabled(),
            "torch.is_inference_mode_enabled()": self.torch.is_inference_mode_enabled(),
        }
        for name, part in self.module.named_modules():
            prefix = f"{name}." if name else "model."
            found[prefix + "training"] = part.training
            if isinstance(part, self.torch.nn.modules.batchnorm._BatchNorm):
                found |= {prefix + word: getattr(part, word) for word in SETTINGS}
        return found

    def left(self) -> Mapping[str, Any]:
        """Gradients of parameters, parameters that take none, and how many hooks modules and parameters have."""
        found: dict[str, Any] = {}
        for name, parameter in self.module.named_parameters():
            if parameter.grad is not None:
                found[f"{name}.grad"] = parameter.grad
            if not parameter.requires_grad:
                found[f"{name}.requires_grad"] = np.array(False)
        for name, part in (*self.module.named_modules(), *self.module.named_parameters()):
            if count := sum(len(getattr(part, kind, None) or ()) for kind in HOOKS):
                found[f"{name or 'model'}.hooks"] = np.array(count)
        return found

    def norms(self) -> Iterator[Norm]:
        """The layers that keep running statistics."""
        return self._norms(self.module)

    def _norms(self, module: Any) -> Iterator[Norm]:
        for name, layer in module.named_modules():
            if isinstance(layer, self.torch.nn.modules.batchnorm._BatchNorm) and layer.running_mean is not None:
                prefix = f"{name}." if name else ""
                mean, variance, counter = (prefix + word for word in TRACKED)
                yield Norm(name or "model", layer, mean, variance, layer.momentum, layer.eps, 1, counter)

    def predict(self, x: Any, predict: Callable[[Any, Any], Any] | None) -> Any:
        """On a copy, in evaluation mode unless the caller predicts, without gradients and without drawing numbers."""
        with self._twin() as twin:
            if predict is not None:
                return predict(twin, x)
            if any(part.training for part in twin.modules()):
                twin.eval()
            return applied(twin, x)

    @contextmanager
    def _twin(self) -> Iterator[Any]:
        """A copy for calls without gradients, which leave torch's random numbers as they were."""
        devices = {tensor.value.device for tensor in self.tensors()}
        numbers = [device.index for device in devices if device.type == "cuda"]
        with self.torch.random.fork_rng(devices=numbers), self.torch.no_grad(), self._copy() as twin:
            yield twin

    @contextmanager
    def _copy(self) -> Iterator[Any]:
        """A deep copy; the module itself if it has none, with flags and buffers put back afterwards."""
        try:
            twin = copy.deepcopy(self.module)
        except (RuntimeError, TypeError):  # it has tensors that are no leaves, or objects that cannot be copied
            modes = {part: part.training for part in self.module.modules()}
            values = {tensor: tensor.detach().clone() for tensor in self.module.buffers()}
            try:
                yield self.module
            finally:
                for part, training in modes.items():
                    part.training = training
                for tensor, value in values.items():
                    if not self.torch.equal(tensor, value):
                        tensor.copy_(value)
        else:
            yield twin

    def copied(self, x: Any) -> Any:
        """A copy that takes no part in any gradient."""
        return mapped(lambda leaf: leaf.detach().clone() if isinstance(leaf, self.torch.Tensor) else leaf, x)

    def gradient(self, x: Any) -> Any:
        """By `torch.autograd.grad`, which leaves nothing on parameters."""
        inputs = self.copied(x)
        wanted = [leaf.requires_grad_() for _, leaf in leaves(inputs) if self._differentiable(leaf)]
        with self.torch.enable_grad():
            outputs = [leaf for _, leaf in leaves(applied(self.given, inputs)) if self._differentiable(leaf)]
            return self.torch.autograd.grad(sum(leaf.sum() for leaf in outputs), wanted, allow_unused=True)

    def _differentiable(self, leaf: Any) -> bool:
        return isinstance(leaf, self.torch.Tensor) and leaf.is_floating_point()

    def array(self, value: Any) -> Array:
        """A copy; of types that numpy lacks (bfloat16) as float32, of sparse and quantized tensors as plain ones."""
        if not isinstance(value, self.torch.Tensor):
            return np.array(value)
        value = value.detach()
        if value.is_quantized:
            value = value.dequantize()
        if value.layout != self.torch.strided:
            value = value.to_dense()
        if value.is_floating_point() and value.element_size() < 4 and value.dtype != self.torch.float16:
            value = value.float()
        return np.array(value.resolve_conj().resolve_neg().cpu().numpy())

    @contextmanager
    def watched(self) -> Iterator[Batches]:
        """By hooks, which compiled modules do not run."""
        with self._hooked(self.module) as batches:
            yield batches

    def replay(self, x: Any) -> Batches:
        """On a copy, of which the batch normalizations alone are in training mode."""
        with self._twin() as twin, self._hooked(twin) as batches:
            twin.eval()
            for norm in self._norms(twin):
                norm.layer.train()
            applied(twin, x)
        return batches

    @contextmanager
    def _hooked(self, module: Any) -> Iterator[Batches]:
        batches: Batches = {}

        def see(norm: Norm, layer: Any, inputs: Any) -> None:
            if layer.training and inputs and not self.torch.compiler.is_compiling():
                with suppress(RuntimeError, TypeError):  # of a tensor inside of a transform, which has no values
                    batches.setdefault(norm.name, []).append(batch_of(self.array(inputs[0]), norm.axis))

        handles = [norm.layer.register_forward_pre_hook(partial(see, norm)) for norm in self._norms(module)]
        try:
            yield batches
        finally:
            for handle in handles:
                handle.remove()
