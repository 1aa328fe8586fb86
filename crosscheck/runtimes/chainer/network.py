"""A network as source text: a chain with links where there are weights, functions elsewhere. The layout is ONNX's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crosscheck.runtimes.family import operators
from crosscheck.runtimes.family.graph import Graph, Node, indented
from crosscheck.runtimes.family.layers import class_with_layers, options
from crosscheck.runtimes.family.operators import Library
from crosscheck.runtimes.family.pools import average
from crosscheck.runtimes.source import Request, Source, Stored

__all__ = ["SHOWS_LAYERS", "source"]

SHOWS_LAYERS = True
#: Operator -> what its link calls its weights.
KEYS = {
    "BatchNormalization": ("gamma", "beta", "avg_mean", "avg_var"),
    "Conv": ("W", "b"),
    "Gemm": ("W", "b"),
}
#: Operators that need no link.
LIBRARY = Library(
    functions={
        "Clip": "F.clip({x}, {min}, {max})",
        "Elu": "F.elu({x}, {alpha})",
        "Erf": "F.erf",
        "HardSigmoid": "F.clip({alpha} * {x} + {beta}, 0.0, 1.0)",
        "LeakyRelu": "F.leaky_relu({x}, {alpha})",
        "Sigmoid": "F.sigmoid",
        "Softplus": "F.softplus",
        "Sqrt": "F.sqrt",
        "Tanh": "F.tanh",
    },
    transpose="F.transpose({x}, ({order}))",
    reshape="F.reshape({x}, ({shape}))",
    mean="F.average({x}, {axes}, keepdims=True)",
    pad='F.pad({x}, {widths}, "constant", constant_values={value})',
    matmul="F.matmul({x}, {other})",
)
#: Names of a chain's own.
TAKEN = ("children", "copy", "device", "first", "forward", "links", "name", "params", "repeat", "serialize", "xp")
#: Batch normalizations that the network calls by a function: what `norm` tells -> its text.
FUNCTIONS = {
    "frozen": """\
def frozen(link, x):
    with chainer.using_config("train", False):
        return link(x)


""",
    "running": """\
def normalized(link, x):
    if chainer.config.train:
        return F.batch_normalization(x, link.gamma, link.beta, eps=link.eps, running_mean=link.avg_mean,
                                     running_var=link.avg_var, decay=link.decay)
    return F.fixed_batch_normalization(x, link.gamma, link.beta, link.avg_mean, link.avg_var, eps=link.eps)


""",
    "batch": """\
def normalized(link, x):
    if chainer.config.train:
        return F.batch_normalization(x, link.gamma, link.beta, eps=link.eps)
    return F.fixed_batch_normalization(x, link.gamma, link.beta, link.avg_mean, link.avg_var, eps=link.eps)


""",
}


def source(request: Request) -> Source:
    """The network with batch normalizations as the mode has them."""
    norm = request.norm
    graph = Graph.of(request, TAKEN, operators=LIBRARY.operators)
    body, output = graph.statements(lambda node, inputs: expression(node, inputs, "self", norm))
    links = graph.constructed(lambda node: link(node, norm))
    text = (
        FUNCTIONS.get("frozen" if norm.get("frozen") else norm.get("function", ""), "")
        + class_with_layers(
            "Net(chainer.Chain)",
            ["super().__init__()", "with self.init_scope():", *(f"    {line}" for line in links or ["pass"])],
            [*body, f"return {output}"],
            decorated="@chainer.static_graph" if norm.get("static") else "",
        )
        + ("" if request.first is None else "first = net\n")
        + "net = Net()\n"
    )
    tensors = graph.stored(place)
    for node in graph.norms:
        tensors[f"{node.name}.updates"] = f"np.array(net.{node.id}.N)", None
        if node in graph.own:
            text += f"net.{node.id}.avg_mean[...] = {node.values[2]}\nnet.{node.id}.avg_var[...] = {node.values[3]}\n"
        if norm.get("counted"):
            text += f"net.{node.id}.N = {norm['counted']}  # as after so many batches\n"
    looked = graph.shown(lambda node, inputs: expression(node, inputs, "net", norm))
    train = request.intent == "training"
    return Source(
        imports="import chainer\nimport chainer.functions as F\nimport chainer.links as L\nimport numpy as np\n",
        text=text,
        predict='with chainer.using_config("train", False), chainer.no_backprop_mode():\n    y = net(x)\n',
        tensor="chainer.Variable({})",
        array="{}.array",
        layers=f'with chainer.using_config("train", {train}):\n' + indented(looked),
        tensors=tensors,
    )


def expression(node: Node, inputs: list[str], owner: str, norm: Mapping[str, Any]) -> str:
    """A call of a link, or a function."""
    x, attributes = inputs[0], node.attributes
    link = f"{owner}.{node.id}"
    match node.op:
        case "BatchNormalization":
            return normalization(link, x, norm)
        case "Conv":
            return f"{link}({padded(node, x, '0')})"
        case "Gemm":
            return f"{link}({x})"
        case "AveragePool":
            return average(
                node,
                x,
                lambda x: f"F.average_pooling_nd({padded(node, x, '0')}, {window(node)})",
                "np.ones({}.shape, np.float32)",
            )
        case "Concat":
            return f"F.concat([{', '.join(inputs)}], axis={attributes['axis']})"
        case "Flatten":
            return f"F.reshape({x}, (len({x}), -1))"
        case "GlobalAveragePool":
            return f"F.average_pooling_nd({x}, {x}.shape[2:])"
        case "MaxPool":  # `cover_all` would keep the last, incomplete window
            return f"F.max_pooling_nd({padded(node, x, '-np.inf')}, {window(node)}, cover_all=False)"
        case "Softmax":
            return f"F.softmax({x}, axis={attributes['axis']})"
        case "Relu":
            return f"F.relu({x})"
    return operators.expression(node, inputs, LIBRARY)


def normalization(link: str, x: str, norm: Mapping[str, Any]) -> str:
    """A call of batch normalization."""
    if norm.get("frozen"):
        return f"frozen({link}, {x})"
    if norm.get("finetune"):
        return f"{link}({x}, finetune=True)"
    if norm.get("function") in ("batch", "running"):
        return f"normalized({link}, {x})"
    if norm.get("function") == "fixed":
        arrays = ", ".join(f"{link}.{key}" for key in KEYS["BatchNormalization"])
        return f"F.fixed_batch_normalization({x}, {arrays}, eps={link}.eps)"
    return f"{link}({x})"


def link(node: Node, norm: Mapping[str, Any]) -> str:
    """The constructor of a link, which takes the initial values of its parameters."""
    attributes, values = node.attributes, node.values
    match node.op:
        case "BatchNormalization":
            kind = "BatchRenormalization" if "renormalized" in norm else "BatchNormalization"
            words = [f"{node.filters}", *norm.get("renormalized", ())]
            words += [f"decay={norm.get('decay', attributes['momentum'])}", f"eps={attributes['epsilon']}"]
            if norm.get("axis"):
                words.append(f"axis={(0, *range(2, node.rank))}")
            if norm.get("affine", True):
                words += [f"initial_gamma={values[0]}", f"initial_beta={values[1]}"]
            else:
                words += ["use_gamma=False", "use_beta=False"]
            return f"L.{kind}({', '.join(words)})"
        case "Conv":
            # Release 3 knows neither groups nor dilation here: it is told of them only where there are any.
            words = [window(node), *options(node, "dilate", "groups", "nobias=True"), f"initialW={values[0]}"]
            words += [f"initial_bias={value}" for value in values[1:]]
            channels = f"{node.channels}, {node.filters}, {', '.join(words)}"
            return f"L.Convolution2D({channels})" if node.rank == 4 else f"L.ConvolutionND(1, {channels})"
    return f"L.Linear({node.channels}, {node.filters}, initialW={values[0]}, initial_bias={values[1]})"


def window(node: Node) -> str:
    """How the window of a convolution or a pool moves; `padded` sees to uneven pads."""
    return f"{node.kernel}, stride={node.strides}, pad={node.padding if node.even else 0}"


def padded(node: Node, x: str, value: str) -> str:
    """`x` with the pads that one number an axis cannot say."""
    if node.even:
        return x
    return f'F.pad({x}, {((0, 0), (0, 0), *node.pads)}, "constant", constant_values={value})'


def place(node: Node, number: int) -> Stored:
    """Where a weight lies: a parameter is a variable; a statistic is an array, and `array` reads variables."""
    attribute = f"net.{node.id}.{KEYS[node.op][number]}"
    return attribute if number < 2 else f"chainer.as_variable({attribute})", None
