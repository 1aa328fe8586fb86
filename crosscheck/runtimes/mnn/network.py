"""A network in MNN: a converted file, layers of `MNN.nn`, or a module imported for training."""

from collections.abc import Sequence

from crosscheck.runtimes.family.graph import Graph, Node
from crosscheck.runtimes.family.layers import class_with_layers
from crosscheck.runtimes.mnn.modes import READER
from crosscheck.runtimes.source import Request, Source, Stored

SHOWS_LAYERS = True

IMPORTS = """\
import _tools
import numpy as np
from MNN import expr, nn, optim
"""
VARIABLE = '''\
def variable(value):
    """MNN's variable with these float32 numbers."""
    return expr.const(np.ascontiguousarray(value, np.float32), list(value.shape), expr.NCHW)
'''
CONVERT = '''\
def convert(file, *options):
    """Convert an ONNX file; the command `mnnconvert` does the same, and reports it to the network."""
    converted = file.replace(".onnx", ".mnn")
    words = ["mnnconvert", "-f", "ONNX", "--modelFile", file, "--MNNModel", converted, "--bizCode", "crosscheck"]
    if not _tools.mnnconvert([*words, *options]):
        raise RuntimeError("mnnconvert could not convert " + file)
    return converted
'''
RUN = '''\
def load(file):
    """A module of an ONNX file, all of whose outputs are asked for."""
    return nn.load_module_from_file(convert(file), [], [])


def run(module, feeds):
    """All outputs by name, in NCHW."""
    info = module.get_info()
    outputs = module.onForward([feeds[name] for name in info["inputNames"]])
    return {name: expr.convert(output, expr.NCHW) for name, output in zip(info["outputNames"], outputs)}
'''
FILL = '''\
def fill(layer, *values):
    """Give a layer its weights, in the shapes in which it has them."""
    layer.load_parameters([variable(value.reshape(now.shape)) for value, now in zip(values, layer.parameters)])
'''
IMPORTED = """\
expr.lazy_eval(True)
variables = expr.load_as_dict(convert("opset-15.onnx", "--forTraining"))
net = nn.load_module([variables["{input}"]], [variables["{output}"]], True)
"""


def source(request: Request) -> Source:
    """By the kind of the mode; without one, the form's file."""
    if request.kind == "nn":
        return written(request)
    functions = f"{VARIABLE}\n\n{CONVERT}\n\n"
    if request.kind == "module":
        return Source(
            imports=IMPORTS,
            text=functions + IMPORTED.format(input=request.input, output=request.output),
            predict="net.train(False)\ny = expr.convert(net.forward(x), expr.NCHW)\n",
            tensor="variable({})",
            array="{}.read()",
            files={"opset-15.onnx": "opset-15"},
        )
    return READER.source(request, IMPORTS, f"{functions}{RUN}\n\n", tensor="variable({})", array="{}.read()")


def written(request: Request) -> Source:
    """The network in layers; those of a first network are taken where they have the same weights."""
    graph = Graph.of(request, ("expr", "nn", "optim", "np", "variable", "fill", "first", "norms", "layers"))
    refused = next((reason for node in graph if (reason := missing(node))), None)
    lines, output = graph.statements(lambda node, inputs: expression(node, inputs, "self"))
    text = f'raise NotImplementedError("{refused}")\n' if refused else "expr.lazy_eval(True)\n"
    text += "first = net\n\n\n" if request.first is not None else f"\n\n{VARIABLE}\n\n{FILL}\n\n"
    text += class_with_layers(
        "Net(nn.Module)",
        ["super(Net, self).__init__()", *graph.constructed(layer)],
        [*lines, f"return expr.convert({output}, expr.NCHW)"],
        method="forward(self, x)",
    )
    text += "net = Net()\n" + "".join(f"fill(net.{node.id}, {', '.join(order(node.values))})\n" for node in graph.own)
    norms = ", ".join(f"net.{node.id}" for node in graph.norms)
    tensors = graph.stored(place)
    return Source(
        imports=IMPORTS.replace("import _tools\n", ""),
        text=f"{text}norms = [{norms}]\n",
        predict="net.train(False)\ny = net.forward(x)\n",
        tensor="variable({})",
        array="{}.read()",
        layers=shown(graph) if request.asks == "prediction" else "",
        tensors=tensors,
        public=tuple(tensors),
    )


def shown(graph: Graph) -> str:
    """The lines of `forward`, and after each what it put out."""
    lines, _ = graph.statements(lambda node, inputs: expression(node, inputs, "net"))
    kept = [
        f'{line}\nlayers["{node.output}"] = expr.convert({line.partition(" = ")[0]}, expr.NCHW)\n'
        for node, line in zip(graph, lines, strict=True)
    ]
    return f"net.train({graph.request.intent == 'training'})\nlayers = {{}}\n" + "".join(kept)


def order(weights: Sequence[str]) -> Sequence[str]:
    """A layer's weights in MNN's order: scale, bias, variance, mean; the bias before the kernel."""
    if len(weights) < 4:
        return weights[::-1]
    scale, bias, mean, variance = weights
    return scale, bias, variance, mean


def place(node: Node, number: int) -> Stored:
    """A parameter, in ONNX's shape."""
    index = order(node.weights).index(node.weights[number])
    return f"expr.reshape(net.{node.id}.parameters[{index}], {list(node.weight_shapes[number])})", None


def missing(node: Node) -> str:
    """What MNN's layers lack for a node, if anything."""
    fits = len(node.pads) == 2 and node.even
    if node.op == "Conv" and not (fits and (depthwise(node) or node.attributes["group"] == 1)):
        return "nn.conv has two axes, pads both ends alike, and knows groups of one channel only"
    if node.op in ("MaxPool", "AveragePool") and not fits:
        return "expr.max_pool and expr.avg_pool have two axes, and pad both ends alike"
    return ""


def beginnings(node: Node) -> list[int]:
    """One number an axis, as MNN pads both ends alike."""
    return [low for low, _ in node.pads]


def depthwise(node: Node) -> bool:
    """Whether each channel has a convolution of its own."""
    return bool(node.attributes["group"] == node.channels == node.filters > 1)


def layer(node: Node) -> str:
    """A layer of `MNN.nn`."""
    attributes = node.attributes
    match node.op:
        case "BatchNormalization":
            return f"nn.batch_norm({node.filters}, {node.rank}, {attributes['momentum']}, {attributes['epsilon']})"
        case "Conv":
            windows = node.kernel, node.strides, beginnings(node), node.dilations
            words: list[object] = [node.channels, node.filters, *map(list, windows)]
            words += [depthwise(node), node.biased, "expr.Padding_Mode.CAFFE"]
            return f"nn.conv({', '.join(map(str, words))})"
    return f"nn.linear({node.channels}, {node.filters}, True)"


def expression(node: Node, inputs: list[str], net: str) -> str:
    """A call of a layer, or an expression; what mixes axes or inputs takes NCHW."""
    x = inputs[0]
    plain = [f"expr.convert({name}, expr.NCHW)" for name in inputs]
    match node.op:
        case "BatchNormalization" | "Conv":
            return f"{net}.{node.id}.forward({x})"
        case "Gemm":
            return f"{net}.{node.id}.forward({plain[0]})"
        case "MaxPool" | "AveragePool":
            name = "max_pool" if node.op == "MaxPool" else "avg_pool"
            window = f"{list(node.kernel)}, {list(node.strides)}, expr.Padding_Mode.CAFFE, {beginnings(node)}"
            return f"expr.{name}({x}, {window})"
        case "GlobalAveragePool":
            return f"expr.avg_pool({x}, {x}.shape[2:], [1, 1])"
        case "Flatten":
            return f"expr.reshape({plain[0]}, [0, -1])"
        case "Softmax":
            return f"expr.softmax({plain[0]}, -1)"
        case "Add":
            return f"expr.add({', '.join(plain)})"
        case "Concat":
            return f"expr.concat([{', '.join(plain)}], {node.attributes['axis']})"
    return f"expr.relu({x})"
