"""MXNet's operators as text: the same in `mx.sym`, in `mx.nd` and in the `F` of a HybridBlock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crosscheck.runtimes.family.graph import Node, even, pairs

__all__ = ["ROLES", "keywords", "operator", "padded"]

#: Operator -> what MXNet calls its weights, in ONNX's order. The last two of BatchNormalization are auxiliary states.
ROLES = {
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_var"),
    "Conv": ("weight", "bias"),
    "Gemm": ("weight", "bias"),
}
#: BatchNorm's defaults, for keywords that `norm` says need not be written.
DEFAULTS = {"eps": 1e-3, "momentum": 0.9}


def operator(
    ops: str, node: Node, inputs: Sequence[str], norm: Mapping[str, Any], weights: Sequence[str] = (), name: str = ""
) -> str:
    """One call of an operator of `ops`.

    norm: further keywords of BatchNorm; None leaves one out that would say what the default is. weights: expressions.
    name: the symbol's name, from which those of its variables follow.
    """
    attributes, x = node.attributes, inputs[0]
    named = [f'name="{name}"'] if name else []
    match node.op:
        case "Add":
            return " + ".join(inputs)
        case "AveragePool":
            return average_pool(ops, node, x)
        case "BatchNormalization":
            return batch_norm(ops, node, x, norm, [*weights], named)
        case "Concat":
            return f"{ops}.Concat({', '.join(inputs)}, dim={attributes['axis']})"
        case "Conv":
            x, pad = padded(ops, x, node, "0")
            words = [x, *weights, *window(node), f"pad={pad}", *convolution(node), *named]
            return f"{ops}.Convolution({', '.join(words)})"
        case "Flatten":
            return f"{ops}.Flatten({x})"
        case "Gemm":
            words = [x, *weights, f"num_hidden={node.weight_shapes[0][0]}", *named]
            return f"{ops}.FullyConnected({', '.join(words)})"
        case "GlobalAveragePool":  # the kernel has to be given, and is not used
            return f'{ops}.Pooling({x}, global_pool=True, kernel=(1, 1), pool_type="avg")'
        case "MaxPool":
            x, pad = padded(ops, x, node, "-3e38")
            return f'{ops}.Pooling({", ".join([x, *window(node)])}, pad={pad}, pool_type="max")'
        case "Softmax":
            return f"{ops}.softmax({x}, axis={attributes['axis']})"
    return f'{ops}.Activation({x}, act_type="relu")'


def batch_norm(
    ops: str, node: Node, x: str, norm: Mapping[str, Any], weights: Sequence[str], named: Sequence[str]
) -> str:
    """BatchNorm; over the last axis, it stands between two transpositions."""
    values = {"eps": node.attributes["epsilon"], "momentum": node.attributes["momentum"], "fix_gamma": False}
    for key, value in norm.items():
        if value is not None:
            values[key] = value
        elif values[key] == DEFAULTS[key]:
            del values[key]
    moved = norm.get("axis") == -1 and node.rank > 2
    if moved:
        x = f"{ops}.transpose({x}, axes={(0, *range(2, node.rank), 1)})"
    text = f"{ops}.BatchNorm({', '.join([x, *weights, *keywords(values), *named])})"
    return f"{ops}.transpose({text}, axes={(0, node.rank - 1, *range(1, node.rank - 1))})" if moved else text


def average_pool(ops: str, node: Node, x: str) -> str:
    """AveragePool. MXNet before 1.3 counts the padding in any case, so the share of real entries is divided out."""
    attributes = node.attributes

    def pooled(values: str) -> str:
        values, pad = padded(ops, values, node, "0")
        return f'{ops}.Pooling({", ".join([values, *window(node)])}, pad={pad}, pool_type="avg")'

    if attributes["count_include_pad"] or not any(attributes["pads"]):
        return pooled(x)
    return f"{pooled(x)} / {pooled(f'{x} * 0 + 1')}"


def window(node: Node) -> list[str]:
    """How a convolution's or a pool's window moves."""
    return keywords({"kernel": tuple(node.attributes["kernel_shape"]), "stride": tuple(node.attributes["strides"])})


def convolution(node: Node) -> list[str]:
    """A convolution's other keywords; exporters to ONNX take two axes for granted where `dilate` is not said."""
    attributes, (channels, *_) = node.attributes, node.weight_shapes[0]
    said = node.rank != 4 or any(step != 1 for step in attributes["dilations"])
    return keywords(
        {
            **({"dilate": tuple(attributes["dilations"])} if said else {}),
            "num_filter": channels,
            **({"num_group": attributes["group"]} if attributes["group"] != 1 else {}),
            **({"no_bias": True} if len(node.weights) == 1 else {}),
        }
    )


def keywords(values: Mapping[str, Any]) -> list[str]:
    """`name=value` for each."""
    return [f"{name}={value!r}" for name, value in values.items()]


def padded(ops: str, x: str, node: Node, value: str) -> tuple[str, tuple[int, ...]]:
    """The input and MXNet's one number an axis for both ends; unequal ends are padded by an operator before."""
    pads = pairs(node.attributes["pads"])
    if even(node.attributes["pads"]):
        return x, tuple(low for low, _ in pads)
    widths = (0, 0, 0, 0, *(width for pair in pads for width in pair))
    return f'{ops}.Pad({x}, mode="constant", constant_value={value}, pad_width={widths})', (0,) * len(pads)
