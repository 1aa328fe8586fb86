"""A network as source text in Keras's layers: a model of the functional API, channels last."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crosscheck.runtimes.family import operators
from crosscheck.runtimes.family.graph import BASIC, Graph, Node, kernel_from_last, last_value
from crosscheck.runtimes.family.layers import options
from crosscheck.runtimes.family.operators import Library
from crosscheck.runtimes.source import Request, Stored

__all__ = [
    "ABSENCES",
    "FREEZE",
    "FREEZE_BATCH_NORMS",
    "FROZEN",
    "KEYS",
    "LEFT_OUT",
    "TENSORFLOW_OPERATORS",
    "VIRTUAL_BATCH",
    "Dialect",
    "content",
    "functional",
    "keywords",
    "renormalized",
    "targets",
    "virtual",
]

#: Operator -> what its layer calls its weights.
KEYS = {
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "Conv": ("kernel", "bias"),
    "ConvTranspose": ("kernel", "bias"),
    "Gemm": ("kernel", "bias"),
}
#: The key of a mode's `norm` that is no keyword of the layer: what of the network is frozen, "network" or "layers".
FROZEN = "frozen"
#: What batch normalizations are told not to have; see `Graph`.
ABSENCES = {"scale": slice(1), "center": slice(1, 2)}
#: Setting -> layers without a scale or a bias, which then have no variable for it, as fields of a mode.
LEFT_OUT: Mapping[str, Mapping[str, Any]] = {
    "scale-false": {"norm": {"scale": False}, "unit_scale": True},
    "center-false": {"norm": {"center": False}, "zero_bias": True},
}
#: Batches of statistics within the batch: as large as the probe, whose answer is then that of any other layer.
VIRTUAL_BATCH = {"virtual_batch_size": "rows"}
#: TensorFlow's functions, with channels last.
TENSORFLOW_OPERATORS = Library(
    functions={
        "Clip": "tf.clip_by_value({x}, {min}, {max})",
        "Elu": "tf.nn.relu({x}) + {alpha} * (tf.exp(tf.minimum({x}, 0.0)) - 1.0)",
        "Erf": "tf.math.erf",
        "HardSigmoid": "tf.clip_by_value({alpha} * {x} + {beta}, 0.0, 1.0)",
        "LRN": "tf.nn.local_response_normalization({x}, {reach}, {bias}, {alpha} / {size}, {beta})",
        "LeakyRelu": "tf.nn.leaky_relu({x}, {alpha})",
        "Resize (nearest)": 'tf.image.resize({x}, {sizes}, "nearest")',
        "Sigmoid": "tf.sigmoid",
        "Softplus": "tf.nn.softplus",
        "Sqrt": "tf.sqrt",
        "Tanh": "tf.tanh",
    },
    array="tf.constant({})",
    transpose="tf.transpose({x}, [{order}])",
    reshape="tf.reshape({x}, [{shape}])",
    mean="tf.reduce_mean({x}, {axes}, True)",
    pad="tf.pad({x}, {widths}, constant_values={value})",
    matmul="tf.matmul({x}, {other})",
    last=True,
)
FREEZE = "net.trainable = False\n"
FREEZE_BATCH_NORMS = """\
for layer in net.layers:
    if isinstance(layer, layers.BatchNormalization):
        layer.trainable = False
"""


@dataclass(frozen=True)
class Dialect:
    """What differs between the Kerases; `layers` is always the module of layers.

    model: the class of functional models.
    pad: `x` padded with a number other than 0: an expression with `{pads}` and `{value}`.
    kernel: an expression with `{}` for the kernel of a convolution, for a backend that keeps another one; it is its
        own inverse.
    read: an expression with `{}` for a variable, for a backend whose variables are no tensors.
    library: operators that are no layers; None where only layers are.
    """

    model: str
    pad: str
    kernel: str = "{}"
    read: str = "{}"
    library: Library | None = None


def functional(request: Request, dialect: Dialect) -> tuple[str, dict[str, Stored]]:
    """The text that makes `net`, and where its tensors are."""
    known = BASIC if dialect.library is None else dialect.library.operators | {"ConvTranspose"}
    graph = Graph(request, tuple(map(named, Graph.of(request, operators=known))), ABSENCES)
    rank = len(request.input_shape)
    lines, output = graph.statements(lambda node, inputs: called(node, inputs, graph, dialect))
    text = "first = net\n" if graph.shared else ""
    text += f"inputs = x = layers.Input({request.input_shape[1:]})\n"
    if rank > 2:
        text += f"x = layers.Permute({(*range(2, rank), 1)})(x)\n"
    text += "".join(f"{line}\n" for line in lines)
    text += f"net = {dialect.model}(inputs, {channels_first(output, len(graph.output_shape))})\n"
    for node in graph.own:
        text += f'net.get_layer("{node.id}").set_weights([{", ".join(values(node, graph, dialect))}])\n'
    frozen = request.norm.get(FROZEN)
    text += FREEZE if frozen == "network" else FREEZE_BATCH_NORMS if frozen == "layers" else ""

    def place(node: Node, number: int) -> Stored:
        key = KEYS[node.op][number]
        variable = dialect.read.format(f'net.get_layer("{node.id}").{key}')
        if virtual(node, request):
            variable = f"tf.reshape({variable}, [-1])"
        return dialect.kernel.format(variable) if node.op == "Conv" and number == 0 else variable, kernel_from_last(
            node, number
        )

    return text, graph.stored(place)


def virtual(node: Node, request: Request) -> bool:
    """Whether it is a batch normalization with virtual batches, whose variables have every axis, and one more."""
    return node.op == "BatchNormalization" and "virtual_batch_size" in request.norm


def content(node: Node, number: int, request: Request) -> str:
    """What a layer's variable is to hold."""
    value = last_value(node, number)
    return f"{value}.reshape({(*[1] * node.rank, node.channels)})" if virtual(node, request) else value


def keywords(node: Node, request: Request) -> str:
    """The keywords of a batch normalization; like ONNX, Keras calls the part that is kept momentum."""
    told = {"momentum": node.attributes["momentum"], "epsilon": node.attributes["epsilon"], **request.norm}
    told.pop(FROZEN, None)
    if told.get("virtual_batch_size") == "rows":
        told["virtual_batch_size"] = request.batch
    return ", ".join(f"{key}={given!r}" for key, given in told.items())


def targets(request: Request) -> str:
    """What methods that train or evaluate compare the output with."""
    shape = (request.batch, *request.graph["outputs"][0]["shape"][1:])
    return f'ones = np.ones({shape}, "float32")\n'


def named(node: Node) -> Node:
    """The node under a name that Keras accepts for a layer: it begins with a letter."""
    return node if node.id[0] != "_" else dataclasses.replace(node, id="layer" + node.id)


def values(node: Node, graph: Graph, dialect: Dialect) -> list[str]:
    """What the layer's variables are set to, in Keras's order."""
    found = [content(node, number, graph.request) for number in graph.held(node)]
    if node.op == "Conv":
        found[0] = dialect.kernel.format(found[0])
    if node.op == "BatchNormalization" and graph.request.norm.get("renorm"):
        found += [renormalized(node)[key] for key in ("moving_stddev", "renorm_mean", "renorm_stddev")]
    return found


def renormalized(node: Node) -> dict[str, str]:
    """What the further variables of a batch renormalization hold after long training."""
    _, _, mean, variance = (last_value(node, number) for number in range(4))
    spread = f"np.sqrt({variance} + {node.attributes['epsilon']})"
    return {
        "moving_stddev": spread,
        "renorm_mean": mean,
        "renorm_mean_weight": "1.0",
        "renorm_stddev": spread,
        "renorm_stddev_weight": "1.0",
    }


def called(node: Node, inputs: list[str], graph: Graph, dialect: Dialect) -> str:
    """A layer, new or of the first network, called with its inputs."""
    x = inputs[0]
    match node.op:
        case "BatchNormalization" | "Conv" | "Gemm":
            layer = f'first.get_layer("{node.id}")' if node in graph.shared else new_layer(node, graph.request)
            return f"{layer}({padded(node, x, dialect) if node.op == 'Conv' else x})"
        case "ConvTranspose":
            layer = f'first.get_layer("{node.id}")' if node in graph.shared else transposed(node)
            return cropped(node, f"{layer}({x})")
        case "Add" if len(set(node.input_shapes)) == 1 and not node.weights:
            return f"layers.Add()([{', '.join(inputs)}])"
        case "Concat":
            axis = node.attributes["axis"]
            return f"layers.Concatenate(axis={-1 if axis == 1 else axis - 1})([{', '.join(inputs)}])"
        case "Flatten":
            return f"layers.Flatten()({channels_first(x, node.rank)})"
        case "GlobalAveragePool":
            axes = node.rank - 2
            kept = (*[1] * axes, node.channels)
            return f"layers.Reshape({kept})(layers.GlobalAveragePooling{axes}D()({x}))"
        case "MaxPool":
            return f"{pool(node, 'Max')}({padded(node, x, dialect, -math.inf)})"
        case "AveragePool":
            mean = f"{pool(node, 'Average')}({padded(node, x, dialect)})"
            if node.attributes["count_include_pad"] or not node.padded:
                return mean
            ones = padded(node, f"layers.Lambda(lambda x: x * 0 + 1)({x})", dialect)
            share = f"{pool(node, 'Average')}({ones})"
            return f"layers.Lambda(lambda pair: pair[0] / pair[1])([{mean}, {share}])"
        case "Softmax":
            # ONNX's axis is the last, which with images is not Keras's.
            return f'layers.Activation("softmax")({x})' if node.rank == 2 else f"layers.Softmax(axis=-2)({x})"
        case "Relu":
            return f'layers.Activation("relu")({x})'
    assert dialect.library is not None, "the graph has only what the dialect knows"
    names = ["x"] if len(inputs) == 1 else [f"both[{index}]" for index in range(len(inputs))]
    taken = x if len(inputs) == 1 else f"[{', '.join(inputs)}]"
    function = operators.expression(node, names, dialect.library)
    return f"layers.Lambda(lambda {'x' if len(inputs) == 1 else 'both'}: {function})({taken})"


def new_layer(node: Node, request: Request) -> str:
    """A layer with weights."""
    name = f'name="{node.id}"'
    match node.op:
        case "BatchNormalization":
            return f"layers.BatchNormalization({keywords(node, request)}, {name})"
        case "Gemm":
            return f"layers.Dense({node.filters}, {name})"
    words = [str(node.filters), str(node.kernel), *[f"strides={node.strides}"] * node.strided]
    words += [*options(node, "dilation_rate", "groups", "use_bias=False"), name]
    return f"layers.Conv{node.rank - 2}D({', '.join(words)})"


def transposed(node: Node) -> str:
    """A transposed convolution without pads, whose output `cropped` cuts."""
    words = [str(node.filters), str(node.kernel), f"strides={node.strides}"]
    if reach(node) != reach(node, usual=True):
        words.append(f"output_padding={tuple(node.attributes['output_padding'])}")
    words += [*options(node, "dilation_rate", "groups", "use_bias=False"), f'name="{node.id}"']
    return f"layers.Conv{node.rank - 2}DTranspose({', '.join(words)})"


def reach(node: Node, usual: bool = False) -> list[int]:
    """The sizes of that output: usually every stride is whole; with an output padding, only if ONNX's needs more."""
    axes = list(zip(node.shape[2:], node.strides, node.kernel, node.dilations, strict=True))
    sizes = [size * stride + max((width - 1) * step + 1 - stride, 0) for size, stride, width, step in axes]
    needed = [low + size for (low, _), size in zip(node.pads, node.output_shape[2:], strict=True)]
    if usual or all(most >= least for most, least in zip(sizes, needed, strict=True)):
        return sizes
    more = node.attributes["output_padding"]
    return [
        (size - 1) * stride + (width - 1) * step + 1 + extra
        for (size, stride, width, step), extra in zip(axes, more, strict=True)
    ]


def cropped(node: Node, x: str) -> str:
    """The part that ONNX's pads leave."""
    parts = zip(reach(node), node.pads, node.output_shape[2:], strict=True)
    cut = tuple((low, whole - low - size) for whole, (low, _), size in parts)
    if not any(map(any, cut)):
        return x
    return f"layers.Cropping{len(cut)}D({cut if len(cut) > 1 else cut[0]})({x})"


def pool(node: Node, kind: str) -> str:
    """A pool without a border."""
    return f"layers.{kind}Pooling{node.rank - 2}D({node.kernel}, strides={node.strides})"


def padded(node: Node, x: str, dialect: Dialect, border: float = 0.0) -> str:
    """`x` with a border, if the node has one."""
    pads = node.pads
    if not node.padded:
        return x
    if border == 0.0:
        return f"layers.ZeroPadding{len(pads)}D({pads if len(pads) > 1 else pads[0]})({x})"
    everywhere = ((0, 0), *pads, (0, 0))
    value = f'float("{border}")'
    return f"layers.Lambda(lambda x: {dialect.pad.format(pads=everywhere, value=value)})({x})"


def channels_first(x: str, rank: int) -> str:
    """ONNX's layout of a tensor of that rank."""
    return f"layers.Permute({(rank - 1, *range(1, rank - 1))})({x})" if rank > 2 else x
