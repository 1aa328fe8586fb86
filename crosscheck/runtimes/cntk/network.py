"""A network as source text: a function over parameters and constants. The layout is ONNX's, without the batch axis."""

from __future__ import annotations

import math
from collections.abc import Iterator

from crosscheck.runtimes.family.graph import LAYERS, Node, indented, nodes, pairs, shared_layers, statements
from crosscheck.runtimes.family.layers import shown
from crosscheck.runtimes.family.pools import average
from crosscheck.runtimes.source import Request, Source, Stored

__all__ = ["SHOWS_LAYERS", "source"]

SHOWS_LAYERS = True
#: How many batches the statistics are said to stem from.
COUNTED = 6


def source(request: Request) -> Source:
    """Parameters, constants, and the function of an input whose gradient can be asked for.

    Networks of the kind "kept" show what every node puts out where `forward` keeps what `backward` needs.
    """
    graph = nodes(request, taken=("C", "math", "np", "model", "tensors", "counts", "features"))

    def written(node: Node, inputs: list[str]) -> str:
        return expression(node, inputs, request)

    lines, variables = statements(graph, request.input, written)
    shape = request.input_shape[1:]
    kept = ", set(whole.outputs)" if request.kind == "kept" else ""
    return Source(
        imports="""\
import math

import cntk as C
import numpy as np

C.device.try_set_default_device(C.device.cpu())
""",
        text="".join(stores(graph, request))
        + "\n\ndef model(x):\n"
        + indented([*lines, f"return {variables[request.output]}"])
        + f"\n\nfeatures = C.input_variable({shape}, needs_gradient=True)\nnet = model(features)\n",
        predict="y = net.eval({features: x})\n",
        tensor="{}",
        array="{}",
        layers="def values_of(x):\n"
        + indented([*shown(graph, request.input, written), "return layers"])
        + "\n\nvalues = values_of(features)\nwhole = C.combine(list(values.values()))\n"
        + f"state, outputs = whole.forward({{features: x}}, whole.outputs{kept})\n"
        "layers = dict(zip(values, [outputs[output] for output in whole.outputs]))\n",
        tensors=places(graph, request.batch),
    )


def stores(graph: list[Node], request: Request) -> Iterator[str]:
    """Statements that make the parameters; the moving statistics and their counts are constants."""
    shared = shared_layers(graph, request)
    yield "tensors, counts = {}, {}\n" if request.first is None else "tensors, counts = dict(tensors), dict(counts)\n"
    for node in graph:
        if node.op not in LAYERS or node in shared:
            continue
        statistics = node.weights[2:] if node.op == "BatchNormalization" else ()
        for name in node.weights:
            made = "Constant(" if name in statistics else "Parameter(init="
            yield f'tensors["{name}"] = C.{made}weights["{name}"])\n'
        if statistics:
            yield "# How many images the statistics stem from: without any, CNTK does not predict.\n"
            yield f'counts["{node.name}"] = C.Constant(np.array({COUNTED * request.batch}, np.float32))\n'


def places(graph: list[Node], batch: int) -> dict[str, Stored]:
    """Where the tensors are; `<node>.updates` is how many batches of the probe input's size a layer has counted."""
    weights = [name for node in graph for name in node.weights]
    norms = [node.name for node in graph if node.op == "BatchNormalization"]
    counts: dict[str, Stored] = {f"{name}.updates": (f'counts["{name}"].value / {batch}', None) for name in norms}
    return {name: (f'tensors["{name}"].value', None) for name in weights} | counts


def expression(node: Node, inputs: list[str], request: Request) -> str:
    """One node over its inputs and the tensors."""
    x, attributes = inputs[0], node.attributes
    weights = [f'tensors["{name}"]' for name in node.weights]
    match node.op:
        case "Add":
            return " + ".join(inputs)
        case "AveragePool":
            return average(node, x, lambda x: pool(node, x, "AVG", "0"), "C.ones_like({})")
        case "BatchNormalization":
            return f"C.batch_normalization({x}, {', '.join(weights)},\n{normalization(node, request)})"
        case "Concat":
            return f"C.splice({', '.join(inputs)}, axis={axis(attributes['axis'])})"
        case "Conv":
            return convolution(node, x, weights)
        case "Flatten":
            return f"C.reshape({x}, (-1,))"
        case "Gemm":
            return f"C.times_transpose({x}, {weights[0]}) + {weights[1]}"
        case "GlobalAveragePool":
            return f"C.reduce_mean({x}, axis={tuple(range(1, node.rank - 1))})"
        case "MaxPool":
            return pool(node, x, "MAX", "-3e38")
        case "Softmax":
            return f"C.softmax({x}, axis={axis(attributes['axis'])})"
    return f"C.relu({x})"


def normalization(node: Node, request: Request) -> str:
    """The keywords: of the running statistics exp(-rows / time constant) is kept, so the size of the batch matters."""
    constants = {
        "normalization_time_constant": f"-{request.batch} / math.log({node.attributes['momentum']})",
        "blend_time_constant": "0",
        **{name: "math.inf" if value == math.inf else str(value) for name, value in request.norm.items()},
    }
    told = ", ".join(f"{name}={value}" for name, value in constants.items())
    return (
        f'        running_count=counts["{node.name}"], spatial={node.rank > 2}, epsilon={node.attributes["epsilon"]},\n'
        f"        {told}, use_cudnn_engine=False"
    )


def axis(number: int) -> int:
    """The axis of ONNX's layout in CNTK's, which has no batch axis."""
    return number - 1 if number > 0 else number


def convolution(node: Node, x: str, weights: list[str]) -> str:
    """`C.convolution`, and its bias."""
    attributes = node.attributes
    axes = len(attributes["kernel_shape"])
    words = [f"strides={tuple(attributes['strides'])}", f"auto_padding={[False] * (axes + 1)}"]
    if any(step != 1 for step in attributes["dilations"]):
        words.append(f"dilation={tuple(attributes['dilations'])}")
    if attributes["group"] != 1:
        words.append(f"groups={attributes['group']}")
    value = f"C.convolution({weights[0]}, {padded(node, x, '0')}, {', '.join(words)})"
    return f"{value} + C.reshape({weights[1]}, {(-1, *[1] * axes)})" if len(weights) > 1 else value


def pool(node: Node, x: str, kind: str, value: str) -> str:
    """`C.pooling` over an input padded with `value`."""
    kernel, strides = tuple(node.attributes["kernel_shape"]), tuple(node.attributes["strides"])
    return f"C.pooling({padded(node, x, value)}, C.{kind}_POOLING, {kernel}, strides={strides}, auto_padding=[False])"


def padded(node: Node, x: str, value: str) -> str:
    """The input with ONNX's pads; its first axis is that of the channels."""
    pads = node.attributes["pads"]
    return f"C.pad({x}, {[(0, 0), *pairs(pads)]}, constant_value={value})" if any(pads) else x
