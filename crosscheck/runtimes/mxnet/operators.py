"""MXNet's operators as text: the same in `mx.sym`, in `mx.nd` and in the `F` of a HybridBlock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from crosscheck.runtimes.family.graph import SIGNS, Node
from crosscheck.runtimes.family.operators import Library, expression
from crosscheck.runtimes.family.pools import average

__all__ = ["DEPRECATED", "OPERATORS", "ROLES", "axis_last", "keywords", "operator", "padded"]

#: Operator -> what MXNet calls its weights, in ONNX's order. The last two of BatchNormalization are auxiliary states.
ROLES = {
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_var"),
    "Conv": ("weight", "bias"),
    "Gemm": ("weight", "bias"),
}
#: BatchNorm's defaults, for keywords that `norm` says need not be written. That of fix_gamma is taken as it is: True.
DEFAULTS = {"eps": 1e-3, "momentum": 0.9}
#: The key of a mode's `norm` that is no keyword: whether the operator is BatchNorm_v1.
DEPRECATED = "deprecated"


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
        case "Add" | "Sub" | "Mul" | "Div" if not node.weights:
            if len(set(node.input_shapes)) == 1:
                return f" {SIGNS[node.op]} ".join(inputs)
            return f"{ops}.broadcast_{node.op.lower()}({', '.join(inputs)})"
        case "AveragePool":
            # MXNet before 1.3 counts the padding in any case.
            return average(node, x, lambda x: pool(ops, node, x, "avg", "0"), "{} * 0 + 1")
        case "BatchNormalization":
            return batch_norm(ops, node, x, norm, [*weights], named)
        case "Concat":
            return f"{ops}.Concat({', '.join(inputs)}, dim={attributes['axis']})"
        case "Conv":
            words = [padded(ops, x, node, "0"), *weights, *window(node), f"pad={node.padding}"]
            return f"{ops}.Convolution({', '.join([*words, *convolution(node), *named])})"
        case "Flatten":
            return f"{ops}.Flatten({x})"
        case "Gemm":
            words = [x, *weights, f"num_hidden={node.filters}", *named]
            return f"{ops}.FullyConnected({', '.join(words)})"
        case "GlobalAveragePool":  # the kernel has to be given, and is not used
            return f'{ops}.Pooling({x}, global_pool=True, kernel=(1, 1), pool_type="avg")'
        case "MaxPool":
            return pool(ops, node, x, "max", "-3e38")
        case "Softmax":
            return f"{ops}.softmax({x}, axis={attributes['axis']})"
        case "Relu":
            return f'{ops}.Activation({x}, act_type="relu")'
    return expression(node, inputs, library(ops))


def library(ops: str) -> Library:
    """The operators without a layer; constants are numbers, since arrays would be variables of their own."""
    return Library(
        functions={
            "Clip": f"{ops}.clip({{x}}, {{min}}, {{max}})",
            "Elu": f'{ops}.LeakyReLU({{x}}, act_type="elu", slope={{alpha}})',
            "HardSigmoid": f"{ops}.clip({{alpha}} * {{x}} + {{beta}}, 0.0, 1.0)",
            "LeakyRelu": f'{ops}.LeakyReLU({{x}}, act_type="leaky", slope={{alpha}})',
            "Sigmoid": f"{ops}.sigmoid",
            "Softplus": f'{ops}.Activation({{x}}, act_type="softrelu")',
            "Sqrt": f"{ops}.sqrt",
            "Tanh": f"{ops}.tanh",
        },
        array="",
        transpose=f"{ops}.transpose({{x}}, axes=({{order}}))",
        reshape=f"{ops}.reshape({{x}}, shape=({{shape}}))",
        mean=f"{ops}.mean({{x}}, axis={{axes}}, keepdims=True)",
        matmul="",
        slice=f"{ops}.slice_axis({{x}}, axis={{axis}}, begin={{start}}, end={{end}})",
        steps=False,
    )


#: What all of MXNet's APIs have.
OPERATORS = library("").operators


def batch_norm(
    ops: str, node: Node, x: str, norm: Mapping[str, Any], weights: Sequence[str], named: Sequence[str]
) -> str:
    """BatchNorm; over the last axis, it stands between two transpositions."""
    values = {"eps": node.attributes["epsilon"], "momentum": node.attributes["momentum"], "fix_gamma": False}
    for key, value in norm.items():
        if key == DEPRECATED:
            continue
        if value is not None:
            values[key] = value
        elif key not in DEFAULTS or values[key] == DEFAULTS[key]:
            del values[key]
    name = "BatchNorm_v1" if norm.get(DEPRECATED) else "BatchNorm"
    first = "[0]" if norm.get("output_mean_var") else ""

    def call(x: str) -> str:
        return f"{ops}.{name}({', '.join([x, *weights, *keywords(values), *named])}){first}"

    return axis_last(ops, node, x, call) if norm.get("axis") == -1 else call(x)


def axis_last(ops: str, node: Node, x: str, call: Callable[[str], str]) -> str:
    """`call` of `x` with its channels last; `x` has them on axis 1, and so has the result."""
    if node.rank == 2:
        return call(x)
    last = f"{ops}.transpose({x}, axes={(0, *range(2, node.rank), 1)})"
    return f"{ops}.transpose({call(last)}, axes={(0, node.rank - 1, *range(1, node.rank - 1))})"


def pool(ops: str, node: Node, x: str, kind: str, value: str) -> str:
    """A pool over an input that is padded with `value`."""
    words = ", ".join([padded(ops, x, node, value), *window(node)])
    return f'{ops}.Pooling({words}, pad={node.padding}, pool_type="{kind}")'


def window(node: Node) -> list[str]:
    """How a convolution's or a pool's window moves."""
    return keywords({"kernel": node.kernel, "stride": node.strides})


def convolution(node: Node) -> list[str]:
    """A convolution's other keywords; exporters to ONNX take two axes for granted where `dilate` is not said."""
    group = node.attributes["group"]
    return keywords(
        {
            **({"dilate": node.dilations} if node.rank != 4 or node.dilated else {}),
            "num_filter": node.filters,
            **({"num_group": group} if group != 1 else {}),
            **({} if node.biased else {"no_bias": True}),
        }
    )


def keywords(values: Mapping[str, Any]) -> list[str]:
    """`name=value` for each."""
    return [f"{name}={value!r}" for name, value in values.items()]


def padded(ops: str, x: str, node: Node, value: str) -> str:
    """The input, padded by an operator if its ends are to be padded unequally: MXNet has one number an axis."""
    if node.even:
        return x
    return f'{ops}.Pad({x}, mode="constant", constant_value={value}, pad_width={(0, 0, 0, 0, *chain(*node.pads))})'
