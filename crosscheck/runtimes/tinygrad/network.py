"""A network as source text: layers of `tinygrad.nn`, and methods of `Tensor` for the rest. The layout is ONNX's."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

from packaging.version import Version

from crosscheck.runtimes.family import operators
from crosscheck.runtimes.family.graph import Graph, Node, indented
from crosscheck.runtimes.family.layers import NAMES_OF_TORCH, class_with_layers, options
from crosscheck.runtimes.family.operators import Library
from crosscheck.runtimes.source import Request, Source

__all__ = ["CONTEXT", "SHOWS_LAYERS", "TRAINING", "source"]

SHOWS_LAYERS = True
#: The scope for training, and the first release that has it; older ones have the other.
CONTEXT, CONTEXT_SINCE = "Context(TRAINING=1)", Version("0.14")
TRAINING = "Tensor.train()"
#: Operators that need no layer.
LIBRARY = Library(
    functions={
        "Clip": "{x}.clip({min}, {max})",
        "Elu": "{x}.elu({alpha})",
        "Erf": "{x}.erf()",
        "HardSigmoid": "{x}.hardsigmoid({alpha}, {beta})",
        "LeakyRelu": "{x}.leaky_relu({alpha})",
        "Sigmoid": "{x}.sigmoid()",
        "Softplus": "{x}.softplus()",
        "Sqrt": "{x}.sqrt()",
        "Tanh": "{x}.tanh()",
    },
    array="Tensor({})",
    transpose="{x}.permute({order})",
    mean="{x}.mean({axes}, keepdim=True)",
    pad="{x}.pad({widths}, value={value})",
)


def source(request: Request) -> Source:
    """The network."""
    graph = Graph.of(request, ("first",), operators=LIBRARY.operators)
    body, output = graph.statements(lambda node, inputs: expression(node, inputs, "self"))
    loaded = [
        f'"{node.id}.{key}": Tensor({node.values[number]}),' for node, number, key in graph.new_weights(NAMES_OF_TORCH)
    ]
    tensors = graph.attributes(NAMES_OF_TORCH)
    for node in graph.norms:
        tensors[f"{node.name}.num_batches_tracked"] = f"net.{node.id}.num_batches_tracked.numpy().reshape(())", None
    looked = "\n".join(graph.shown(lambda node, inputs: expression(node, inputs, "net"))) + "\n"
    if request.intent == "training":
        scope = CONTEXT if request.release >= CONTEXT_SINCE else TRAINING
        looked = f"with {scope}:\n" + indented(looked.splitlines())
    return Source(
        imports=(
            "from tinygrad import Context, Tensor, TinyJit, nn\n"
            "from tinygrad.nn.state import get_parameters, get_state_dict, load_state_dict, safe_load, safe_save\n"
        ),
        text=(
            class_with_layers(
                "Net", graph.constructed(lambda node: layer(node, request.norm)), [*body, f"return {output}"]
            )
            + ("" if request.first is None else "first = net\n")
            + "net = Net()\n"
            + ("state = {\n" + indented(loaded) + "}\nload_state_dict(net, state, strict=False, verbose=False)\n")
        ),
        predict="y = net(x)\n",
        tensor="Tensor({})",
        array="{}.numpy()",
        layers=looked,
        tensors=tensors,
    )


def layer(node: Node, norm: Mapping[str, Any]) -> str:
    """The constructor of a layer; tinygrad calls momentum the part that is taken from the batch."""
    attributes = node.attributes
    match node.op:
        case "BatchNormalization":
            words = [f"eps={attributes['epsilon']}", f"momentum=1 - {attributes['momentum']}"]
            words += [f"{key}={value}" for key, value in norm.items()]
            return f"nn.BatchNorm({node.filters}, {', '.join(words)})"
        case "Conv":  # takes kernels of one axis, too
            words = [window(node), *options(node, "dilation", "groups", "bias=False")]
            return f"nn.Conv2d({node.channels}, {node.filters}, {', '.join(words)})"
    return f"nn.Linear({node.channels}, {node.filters})"


def window(node: Node) -> str:
    """How the window of a convolution or a pool moves; its padding is a pair an axis, the last axis first."""
    return f"{node.kernel}, stride={node.strides}, padding={(*chain(*reversed(node.pads)),)}"


def expression(node: Node, inputs: list[str], owner: str) -> str:
    """A call of a layer, or a method."""
    x, attributes = inputs[0], node.attributes
    match node.op:
        case "BatchNormalization" | "Conv" | "Gemm":
            return f"{owner}.{node.id}({x})"
        case "AveragePool":
            counted = bool(attributes["count_include_pad"])
            return f"{x}.avg_pool2d({window(node)}, count_include_pad={counted})"
        case "Concat":
            return f"{x}.cat({', '.join(inputs[1:])}, dim={attributes['axis']})"
        case "Flatten":
            return f"{x}.flatten(1)"
        case "GlobalAveragePool":
            return f"{x}.mean(axis={tuple(range(2, node.rank))}, keepdim=True)"
        case "MaxPool":
            return f"{x}.max_pool2d({window(node)})"
        case "Softmax":
            return f"{x}.softmax(axis={attributes['axis']})"
        case "Relu":
            return f"{x}.relu()"
    return operators.expression(node, inputs, LIBRARY)
