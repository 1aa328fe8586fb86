"""A network as source text: a function over parameters and constants. The layout is ONNX's, without the batch axis."""

from __future__ import annotations

import math
from collections.abc import Iterator

from crosscheck.runtimes.family.graph import Graph, Node, indented
from crosscheck.runtimes.family.layers import options
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
    graph = Graph.of(request, ("C", "math", "np", "model", "tensors", "counts", "features"))

    def written(node: Node, inputs: list[str]) -> str:
        return expression(node, inputs, request)

    lines, output = graph.statements(written)
    shape = request.input_shape[1:]
    kept = ", set(whole.outputs)" if request.kind == "kept" else ""
    return Source(
        imports="""\
import math

import cntk as C
import numpy as np

C.device.try_set_default_device(C.device.cpu())
""",
        text="".join(stores(graph))
        + "\n\ndef model(x):\n"
        + indented([*lines, f"return {output}"])
        + f"\n\nfeatures = C.input_variable({shape}, needs_gradient=True)\nnet = model(features)\n",
        predict="y = net.eval({features: x})\n",
        tensor="{}",
        array="{}",
        layers="def values_of(x):\n"
        + indented([*graph.shown(written), "return layers"])
        + "\n\nvalues = values_of(features)\nwhole = C.combine(list(values.values()))\n"
        + f"state, outputs = whole.forward({{features: x}}, whole.outputs{kept})\n"
        "layers = dict(zip(values, [outputs[output] for output in whole.outputs]))\n",
        tensors=places(graph),
    )


def stores(graph: Graph) -> Iterator[str]:
    """Statements that make the parameters; the moving statistics and their counts are constants."""
    first = graph.request.first is None
    yield "tensors, counts = {}, {}\n" if first else "tensors, counts = dict(tensors), dict(counts)\n"
    for node in graph.own:
        statistics = node.weights[2:] if node.op == "BatchNormalization" else ()
        for name in node.weights:
            made = "Constant(" if name in statistics else "Parameter(init="
            yield f'tensors["{name}"] = C.{made}weights["{name}"])\n'
        if statistics:
            yield "# How many images the statistics stem from: without any, CNTK does not predict.\n"
            yield f'counts["{node.name}"] = C.Constant(np.array({COUNTED * graph.request.batch}, np.float32))\n'


def places(graph: Graph) -> dict[str, Stored]:
    """Where the tensors are; `<node>.updates` is how many batches of the probe input's size a layer has counted."""
    batch = graph.request.batch
    counts: dict[str, Stored] = {
        f"{node.name}.updates": (f'counts["{node.name}"].value / {batch}', None) for node in graph.norms
    }
    return {name: (f'tensors["{name}"].value', None) for name in graph.weights} | counts


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
    axes = node.rank - 2
    words = [f"strides={node.strides}", f"auto_padding={[False] * (axes + 1)}"]
    words += options(node, "dilation", "groups")
    value = f"C.convolution({weights[0]}, {padded(node, x, '0')}, {', '.join(words)})"
    return f"{value} + C.reshape({weights[1]}, {(-1, *[1] * axes)})" if len(weights) > 1 else value


def pool(node: Node, x: str, kind: str, value: str) -> str:
    """`C.pooling` over an input padded with `value`."""
    words = f"{node.kernel}, strides={node.strides}, auto_padding=[False]"
    return f"C.pooling({padded(node, x, value)}, C.{kind}_POOLING, {words})"


def padded(node: Node, x: str, value: str) -> str:
    """The input with ONNX's pads; its first axis is that of the channels."""
    return f"C.pad({x}, {[(0, 0), *node.pads]}, constant_value={value})" if node.padded else x
