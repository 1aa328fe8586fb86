"""Lowers each supported operator to the plain graph: one rule per operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx

from crosscheck.errors import NetworkError
from crosscheck.networks.graph import GEMM
from crosscheck.networks.tensor_table import TensorTable

__all__ = ["RULES"]

Attributes = dict[str, Any]  # the attributes in the file
Lowered = tuple[list[str], dict[str, Any]]  # the graph's names of the inputs, and all attributes


def _same(table: TensorTable, where: str, proto: onnx.NodeProto, attributes: Attributes) -> Lowered:
    return [table.data(where, tensor) for tensor in proto.input], {}


def _add(table: TensorTable, where: str, proto: onnx.NodeProto, attributes: Attributes) -> Lowered:
    inputs = [table.data(where, tensor) for tensor in proto.input]
    left, right = (table.shape(tensor) for tensor in proto.input)
    if left != right:
        raise NetworkError(f"{where} adds tensors of shapes {left} and {right}; only equal shapes are supported.")
    return inputs, {}


def _concat(table: TensorTable, where: str, proto: onnx.NodeProto, attributes: Attributes) -> Lowered:
    inputs = [table.data(where, tensor) for tensor in proto.input]
    axis = attributes["axis"] % len(table.shape(proto.input[0]))
    if axis == 0:
        raise NetworkError(f"{where} joins along the batch axis; only the other axes are supported.")
    return inputs, {"axis": axis}


def _flatten(table: TensorTable, where: str, proto: onnx.NodeProto, attributes: Attributes) -> Lowered:
    inputs = [table.data(where, proto.input[0])]
    if attributes.get("axis", 1) % len(table.shape(proto.input[0])) != 1:
        raise NetworkError(f"{where} has axis {attributes['axis']}; only axis 1 is supported.")
    return inputs, {"axis": 1}


def _softmax(table: TensorTable, where: str, proto: onnx.NodeProto, attributes: Attributes) -> Lowered:
    inputs = [table.data(where, proto.input[0])]
    rank = len(table.shape(proto.input[0]))
    axis = attributes.get("axis", -1 if table.opset >= 13 else 1) % rank
    if axis != rank - 1:  # before opset 13 the operator flattened all axes from this one on, so forms would differ
        raise NetworkError(f"{where} runs over axis {axis} of {rank}; only the last axis is supported.")
    return inputs, {"axis": axis}


def _gemm(table: TensorTable, where: str, proto: onnx.NodeProto, attributes: Attributes) -> Lowered:
    if attributes.get("transA", 0):
        raise NetworkError(f"{where} transposes its input; only transA = 0 is supported.")
    data = table.data(where, proto.input[0])
    weight = table.constant(where, proto.input[1])
    weight = weight if attributes.get("transB", 0) else weight.T
    if (alpha := attributes.get("alpha", 1.0)) != 1:
        weight = weight * np.float32(alpha)
    bias, bias_name = np.zeros(len(weight), np.float32), f"{proto.output[0]}.bias"
    if len(proto.input) > 2 and proto.input[2]:
        bias_name = proto.input[2]
        added = table.constant(where, bias_name)
        if added.size not in (1, len(weight)):
            raise NetworkError(f"{where} adds a bias of shape {added.shape}; it must not depend on the row.")
        bias = np.broadcast_to(added.reshape(-1) * np.float32(attributes.get("beta", 1.0)), (len(weight),))
    return [data, table.parameter(proto.input[1], weight), table.parameter(bias_name, bias)], dict(GEMM)


def _batch_norm(table: TensorTable, where: str, proto: onnx.NodeProto, attributes: Attributes) -> Lowered:
    if attributes.get("training_mode", 0):
        raise NetworkError(f"{where} is in training form; export the model in inference mode.")
    if not attributes.get("spatial", 1):
        raise NetworkError(f"{where} has spatial = 0; only statistics per channel are supported.")
    inputs = [table.data(where, proto.input[0])]
    # Exporters store equal parameters once; a layer of a runtime has its own.
    inputs += [table.parameter(tensor, table.constant(where, tensor), shared=False) for tensor in proto.input[1:]]
    # Attributes are float32 in a file, defaults included. The decimal 1e-5 is another number, and the difference counts
    # where the variance is as small.
    return inputs, {
        "epsilon": float(np.float32(attributes.get("epsilon", 1e-5))),
        "momentum": float(np.float32(attributes.get("momentum", 0.9))),
    }


def _conv(table: TensorTable, where: str, proto: onnx.NodeProto, attributes: Attributes) -> Lowered:
    inputs = [table.data(where, proto.input[0])]
    weight = table.constant(where, proto.input[1])
    lowered = _window(table, where, proto, attributes, list(weight.shape[2:]))
    lowered |= {
        "dilations": list(attributes.get("dilations", [1] * (weight.ndim - 2))),
        "group": attributes.get("group", 1),
    }
    inputs.append(table.parameter(proto.input[1], weight))
    if len(proto.input) > 2 and proto.input[2]:
        inputs.append(table.parameter(proto.input[2], table.constant(where, proto.input[2])))
    return inputs, lowered


def _pool(table: TensorTable, where: str, proto: onnx.NodeProto, attributes: Attributes) -> Lowered:
    inputs = [table.data(where, proto.input[0])]
    if attributes.get("ceil_mode", 0):
        raise NetworkError(f"{where} has ceil_mode = 1; only complete windows are supported.")
    if any(step != 1 for step in attributes.get("dilations", ())):
        raise NetworkError(f"{where} is dilated; only pools without dilation are supported.")
    lowered = _window(table, where, proto, attributes, list(attributes["kernel_shape"]))
    if proto.op_type == "AveragePool":
        lowered["count_include_pad"] = attributes.get("count_include_pad", 0)
    return inputs, lowered


def _window(
    table: TensorTable, where: str, proto: onnx.NodeProto, attributes: Attributes, kernel: list[int]
) -> dict[str, Any]:
    """Explicit kernel_shape, strides and pads, also for `auto_pad`."""
    axes = len(kernel)
    if axes not in (1, 2):
        raise NetworkError(f"{where} has {axes} spatial axes; 1 or 2 are supported.")
    strides = list(attributes.get("strides", [1] * axes))
    pads = list(attributes.get("pads", [0] * 2 * axes))
    auto = attributes.get("auto_pad", b"NOTSET").decode()
    if auto.startswith("SAME"):
        sizes = [int(size) for size in table.shape(proto.input[0])[2:]]
        steps = attributes.get("dilations", [1] * axes)
        reach = [(width - 1) * step + 1 for width, step in zip(kernel, steps, strict=True)]
        # The output has ceil(size / stride) positions; the odd one of the missing rows goes to the end (UPPER).
        total = [
            max(0, (-(-size // stride) - 1) * stride + extent - size)
            for size, stride, extent in zip(sizes, strides, reach, strict=True)
        ]
        less, more = [width // 2 for width in total], [width - width // 2 for width in total]
        pads = less + more if auto == "SAME_UPPER" else more + less
    return {"kernel_shape": kernel, "strides": strides, "pads": pads}


#: Operator -> (tensor table, node label, node, its attributes) -> inputs, attributes; may raise NetworkError.
RULES: dict[str, Callable[[TensorTable, str, onnx.NodeProto, Attributes], Lowered]] = {
    "Add": _add,
    "AveragePool": _pool,
    "BatchNormalization": _batch_norm,
    "Concat": _concat,
    "Conv": _conv,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": _same,
    "MaxPool": _pool,
    "Relu": _same,
    "Softmax": _softmax,
}
