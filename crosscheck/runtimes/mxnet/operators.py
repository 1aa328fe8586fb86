"""MXNet's operators as text: the same in `mx.sym`, in `mx.nd` and in the `F` of a HybridBlock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from packaging.version import Version

from crosscheck.runtimes.family.graph import GROUPED, LAYERS, SIGNS, STEPS, Graph, Node
from crosscheck.runtimes.family.operators import Library, cut, expression
from crosscheck.runtimes.family.pools import average
from crosscheck.runtimes.source import Unwritten

__all__ = [
    "DEPRECATED",
    "ROLES",
    "available",
    "axis_last",
    "constant",
    "constants",
    "keywords",
    "library",
    "operator",
    "padded",
]

#: Operator -> what MXNet calls its weights, in ONNX's order. The last two of BatchNormalization are auxiliary states.
ROLES = {
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_var"),
    "Conv": ("weight", "bias"),
    "ConvTranspose": ("weight", "bias"),
    "Gemm": ("weight", "bias"),
}
#: BatchNorm's defaults, for keywords that `norm` says need not be written. That of fix_gamma is taken as it is: True.
DEFAULTS = {"eps": 1e-3, "momentum": 0.9}
#: What the oldest releases lack -> the first that has it.
SINCE = {
    STEPS: Version("1.1.0"),
    "Resize (linear, align_corners)": Version("1.2.0"),
    "Erf": Version("1.4.0"),
    "Resize (linear, half_pixel)": Version("1.7.0"),
}
RESIZED = "height={sizes[0]}, width={sizes[1]}"
#: The key of a mode's `norm` that is no keyword: whether the operator is BatchNorm_v1.
DEPRECATED = "deprecated"


def operator(
    ops: str, node: Node, inputs: Sequence[str], norm: Mapping[str, Any], weights: Sequence[str] = (), name: str = ""
) -> str:
    """One call of an operator of `ops`.

    norm: further keywords of BatchNorm; None leaves one out that would say what the default is. weights: expressions,
    of a constant, too.
    name: the symbol's name, from which those of its variables follow.
    """
    attributes, x = node.attributes, inputs[0]
    named = [f'name="{name}"'] if name else []
    match node.op:
        case "Add" | "Sub" | "Mul" | "Div" if node.scalar is None:
            if len(set(node.input_shapes)) == 1 and not node.weights:
                return f" {SIGNS[node.op]} ".join(inputs)
            return f"{ops}.broadcast_{node.op.lower()}({', '.join([*inputs, *weights])})"
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
        case "ConvTranspose":
            words = [x, *weights, *window(node), f"pad={node.padding}", f"adj={node.further}", *convolution(node)]
            bias = ["no_bias=False"] * node.biased  # its default is True
            return cut(node, f"{ops}.Deconvolution({', '.join([*words, *bias, *named])})", library(ops))
        case "Flatten":
            return f"{ops}.Flatten({x})"
        case "Gemm":
            words = [x, *weights, f"num_hidden={node.filters}", *named]
            return f"{ops}.FullyConnected({', '.join(words)})"
        case "GlobalAveragePool":  # the kernel has to be given, and is not used
            return f'{ops}.Pooling({x}, global_pool=True, kernel=(1, 1), pool_type="avg")'
        case "MatMul":
            return product(ops, node, [*inputs, *weights])
        case "MaxPool":
            return pool(ops, node, x, "max", "-3e38")
        case "Pad":
            return bordered(ops, node, x)
        case "Slice" if attributes["step"] > 1:
            whole = (None,) * attributes["axis"]
            begin, end, step = ((*whole, attributes[name]) for name in ("start", "end", "step"))
            return f"{ops}.slice({x}, begin={begin}, end={end}, step={step})"
        case "Softmax":
            return f"{ops}.softmax({x}, axis={attributes['axis']})"
        case "Relu":
            return f'{ops}.Activation({x}, act_type="relu")'
    return expression(node, inputs, library(ops))


def library(ops: str) -> Library:
    """The operators without a layer; `operator` writes those that take arrays, which are variables of their own."""
    return Library(
        functions={
            "Clip": f"{ops}.clip({{x}}, {{min}}, {{max}})",
            "Elu": f'{ops}.LeakyReLU({{x}}, act_type="elu", slope={{alpha}})',
            "Erf": f"{ops}.erf",
            "HardSigmoid": f"{ops}.clip({{alpha}} * {{x}} + {{beta}}, 0.0, 1.0)",
            "LRN": f"{ops}.LRN({{x}}, nsize={{size}}, alpha={{alpha}}, beta={{beta}}, knorm={{bias}})",
            "LeakyRelu": f'{ops}.LeakyReLU({{x}}, act_type="leaky", slope={{alpha}})',
            "Resize (linear, align_corners)": f"{ops}.contrib.BilinearResize2D({{x}}, {RESIZED})",
            "Resize (linear, half_pixel)": f"{ops}.contrib.BilinearResize2D({{x}}, {RESIZED}, align_corners=False)",
            "Resize (nearest)": (
                f"{ops}.repeat({ops}.repeat({{x}}, repeats={{times[0]}}, axis=2), repeats={{times[1]}}, axis=3)"
            ),
            "Sigmoid": f"{ops}.sigmoid",
            "Softplus": f'{ops}.Activation({{x}}, act_type="softrelu")',
            "Sqrt": f"{ops}.sqrt",
            "Tanh": f"{ops}.tanh",
        },
        transpose=f"{ops}.transpose({{x}}, axes=({{order}}))",
        reshape=f"{ops}.reshape({{x}}, shape=({{shape}}))",
        mean=f"{ops}.mean({{x}}, axis={{axes}}, keepdims=True)",
        slice=f"{ops}.slice_axis({{x}}, axis={{axis}}, begin={{start}}, end={{end}})",
    )


def available(release: Version) -> frozenset[str]:
    """The operators that all APIs of a release have."""
    lacks = {name for name, since in SINCE.items() if release < since}
    return (library("").operators | {"ConvTranspose", GROUPED, "Pad"}) - lacks


def constants(graph: Graph) -> list[Node]:
    """The nodes without a layer that take an array."""
    return [
        node
        for node in graph
        if node.op not in LAYERS and node.weights and (node.scalar is None or node.op == "MatMul")
    ]


def constant(node: Node) -> str:
    """The name of its variable."""
    return f"{node.id}_constant"


def product(ops: str, node: Node, factors: Sequence[str]) -> str:
    """A product with a matrix, or of two stacks of matrices, of which MXNet takes stacks with one axis."""
    if node.weights:
        return f"{ops}.dot({', '.join(factors)})"
    if node.rank > 3:
        factors = [
            f"{ops}.reshape({factor}, shape={(-1, *shape[-2:])})"
            for factor, shape in zip(factors, node.input_shapes, strict=True)
        ]
    made = f"{ops}.batch_dot({', '.join(factors)})"
    return f"{ops}.reshape({made}, shape={(-1, *node.output_shape[1:])})" if node.rank > 3 else made


def bordered(ops: str, node: Node, x: str) -> str:
    """A border around the last axes. MXNet's Pad takes four or five axes and leaves the first two as they are."""
    words = f'mode="constant", constant_value={node.attributes["value"]}'
    if node.rank == 5 and any(node.pads[1]):
        raise Unwritten("Pad of the channels of five axes")
    if node.rank in (4, 5) and not any(node.pads[1]):
        return f"{ops}.Pad({x}, {words}, pad_width={(*chain(*node.pads),)})"
    more = 5 - node.rank
    widths = (*chain(node.pads[0], *[(0, 0)] * more, *node.pads[1:]),)
    spread = f"{ops}.reshape({x}, shape={(-1, *[1] * more, *node.shape[1:])})"
    return f"{ops}.reshape({ops}.Pad({spread}, {words}, pad_width={widths}), shape={(-1, *node.output_shape[1:])})"


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
