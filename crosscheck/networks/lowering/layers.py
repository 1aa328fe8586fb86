"""Rules of layers: convolutions, dense layers, batch normalizations, pools."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from crosscheck.cells import Array
from crosscheck.networks.graph import GEMM
from crosscheck.networks.lowering.step import Step

__all__ = ["RULES"]


def _gemm(step: Step) -> None:
    if step.attributes.get("transA", 0):
        raise step.refusal("transposes its input; only transA = 0 is supported")
    weight = step.constant(1)
    weight = weight if step.attributes.get("transB", 0) else weight.T
    if (alpha := step.attributes.get("alpha", 1.0)) != 1:
        weight = weight * np.float32(alpha)
    bias = np.zeros(len(weight), np.float32)
    if step.has(2):
        added = step.constant(2)
        if added.size not in (1, len(weight)):
            raise step.refusal(f"adds a bias of shape {added.shape}; it must not depend on the row")
        bias = np.broadcast_to(added.reshape(-1) * np.float32(step.attributes.get("beta", 1.0)), bias.shape)
    _dense(step, weight, bias)


def _matmul(step: Step) -> None:
    if step.is_constant(0):
        raise step.refusal("multiplies a constant from the left; only constants on the right are supported")
    rank = len(step.shape())
    if not step.is_constant(1):
        if rank < 3 or step.shape(0)[:-2] != step.shape(1)[:-2]:
            raise step.refusal("multiplies tensors of other leading axes; they must be equal")
        step.end("MatMul", [step.data(0), step.data(1)])
        return
    weight = step.constant(1)
    if weight.ndim != 2:
        raise step.refusal(f"multiplies by a constant of shape {weight.shape}; only matrices are supported")
    if rank == 2:
        _dense(step, weight.T, np.zeros(weight.shape[1], np.float32))
    else:
        step.end("MatMul", [step.data(), step.parameter(1, weight)])


def _dense(step: Step, weight: Array, bias: Array) -> None:
    """y = x · weightᵀ + bias."""
    table, output = step.table, step.proto.output[0]
    bias_name = step.proto.input[2] if step.has(2) else f"{output}.bias"
    names = [step.parameter(1, weight), table.parameter(bias_name, bias)]
    step.end("Gemm", [step.data(), *names], GEMM)


def _batch_norm(step: Step) -> None:
    if step.attributes.get("training_mode", 0):
        raise step.refusal("is in training form; export the model in inference mode")
    if not step.attributes.get("spatial", 1):
        raise step.refusal("has spatial = 0; only statistics per channel are supported")
    # Exporters store equal parameters once; a layer of a runtime has its own.
    parameters = [step.parameter(index, step.constant(index), shared=False) for index in range(1, 5)]
    # Attributes are float32 in a file, defaults included. The decimal 1e-5 is another number, and the difference counts
    # where the variance is as small.
    attributes = {
        "epsilon": float(np.float32(step.attributes.get("epsilon", 1e-5))),
        "momentum": float(np.float32(step.attributes.get("momentum", 0.9))),
    }
    step.end("BatchNormalization", [step.data(), *parameters], attributes)


def _conv(step: Step) -> None:
    weight = step.constant(1)
    axes = weight.ndim - 2
    kernel = list(weight.shape[2:])
    dilations = list(step.attributes.get("dilations", [1] * axes))
    attributes = {
        **_window(step, kernel, dilations),
        "dilations": dilations,
        "group": step.attributes.get("group", 1),
    }
    inputs = [step.data(), step.parameter(1, weight)]
    if step.has(2):
        inputs.append(step.parameter(2, step.constant(2)))
    step.end("Conv", inputs, attributes)


def _conv_transpose(step: Step) -> None:
    weight, group = step.constant(1), step.attributes.get("group", 1)
    kernel, axes = list(weight.shape[2:]), weight.ndim - 2
    _check_axes(step, axes)
    strides, dilations = (list(step.attributes.get(name, [1] * axes)) for name in ("strides", "dilations"))
    further = list(step.attributes.get("output_padding", [0] * axes))
    auto = step.attributes.get("auto_pad", b"NOTSET").decode()
    pads = list(step.attributes.get("pads", [0] * 2 * axes))
    if auto.startswith("SAME") or "output_shape" in step.attributes:
        total = [
            (size - 1) * stride + (width - 1) * apart + 1 + more - after
            for size, stride, width, apart, more, after in zip(
                step.sizes()[1:], strides, kernel, dilations, further, step.output_sizes()[1:], strict=True
            )
        ]
        if min(total) < 0:
            raise step.refusal("has an output that is larger than its windows reach; give pads and output_padding")
        less, more = [width // 2 for width in total], [width - width // 2 for width in total]
        pads = less + more if auto == "SAME_UPPER" else more + less
    attributes = {
        "dilations": dilations,
        "group": group,
        "kernel_shape": kernel,
        "output_padding": further,
        "pads": pads,
        "strides": strides,
    }
    inputs = [step.data(), step.parameter(1, weight)]
    if step.has(2):
        inputs.append(step.parameter(2, step.constant(2)))
    step.end("ConvTranspose", inputs, attributes)


def _pool(step: Step) -> None:
    op, kernel = step.proto.op_type, list(step.attributes["kernel_shape"])
    if any(width != 1 for width in step.attributes.get("dilations", ())):
        raise step.refusal("is dilated; only pools without dilation are supported")
    attributes = _window(step, kernel, [1] * len(kernel))
    counted = step.attributes.get("count_include_pad", 0)
    if step.attributes.get("ceil_mode", 0):
        more = _last_windows(step, attributes)
        if op == "AveragePool" and counted and any(more):
            raise step.refusal("has ceil_mode = 1 and counts its pads; only one of both is supported")
        half = len(kernel)
        attributes["pads"] = [
            *attributes["pads"][:half],
            *(pad + extra for pad, extra in zip(attributes["pads"][half:], more, strict=True)),
        ]
    step.end(op, [step.data()], attributes | ({"count_include_pad": counted} if op == "AveragePool" else {}))


def _last_windows(step: Step, window: Mapping[str, list[int]]) -> list[int]:
    """How much longer each axis has to be for the windows that `ceil_mode` adds: those that begin within the input."""
    half, more = len(window["kernel_shape"]), []
    for axis, size in enumerate(step.sizes()[1:]):
        low, high = window["pads"][axis], window["pads"][half + axis]
        width, stride = window["kernel_shape"][axis], window["strides"][axis]
        count = math.ceil((size + low + high - width) / stride) + 1
        if (count - 1) * stride >= size + low:
            count -= 1
        more.append(max(0, (count - 1) * stride + width - size - low - high))
    return more


def _global_max_pool(step: Step) -> None:
    kernel = step.sizes()[1:]
    window = {"kernel_shape": kernel, "strides": [1] * len(kernel), "pads": [0] * 2 * len(kernel)}
    step.end("MaxPool", [step.data()], window)


def _window(step: Step, kernel: list[int], dilations: list[int]) -> dict[str, Any]:
    """Explicit kernel_shape, strides and pads, also for `auto_pad`."""
    axes = len(kernel)
    _check_axes(step, axes)
    strides = list(step.attributes.get("strides", [1] * axes))
    pads = list(step.attributes.get("pads", [0] * 2 * axes))
    auto = step.attributes.get("auto_pad", b"NOTSET").decode()
    if auto.startswith("SAME"):
        reach = [(width - 1) * apart + 1 for width, apart in zip(kernel, dilations, strict=True)]
        # The output has ceil(size / stride) positions; the odd one of the missing rows goes to the end (UPPER).
        total = [
            max(0, (-(-size // stride) - 1) * stride + extent - size)
            for size, stride, extent in zip(step.sizes()[1:], strides, reach, strict=True)
        ]
        less, more = [width // 2 for width in total], [width - width // 2 for width in total]
        pads = less + more if auto == "SAME_UPPER" else more + less
    return {"kernel_shape": kernel, "strides": strides, "pads": pads}


def _check_axes(step: Step, axes: int) -> None:
    if axes not in (1, 2):
        raise step.refusal(f"has {axes} spatial axes; 1 or 2 are supported")


#: Operator -> its rule; may raise NetworkError.
RULES: Mapping[str, Callable[[Step], Any]] = {
    "AveragePool": _pool,
    "BatchNormalization": _batch_norm,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda step: step.end("GlobalAveragePool", [step.data()]),
    "GlobalMaxPool": _global_max_pool,
    "MatMul": _matmul,
    "MaxPool": _pool,
}
