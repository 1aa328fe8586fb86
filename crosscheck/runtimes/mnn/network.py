"""A network in MNN: a converted file, layers of `MNN.nn`, or a module imported for training."""

from crosscheck.runtimes.family.graph import LAYERS, Node, even, indented, nodes, shared_layers, statements, stored
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
    graph = nodes(request, ("expr", "nn", "optim", "np", "variable", "fill", "first", "norms", "layers"))
    refused = next((reason for node in graph if (reason := missing(node))), None)
    shared = shared_layers(graph, request)
    own = [node for node in graph if node.op in LAYERS]
    attributes = [f"self.{node.id} = {f'first.{node.id}' if node in shared else layer(node)}" for node in own]
    lines, variables = statements(graph, request.input, lambda node, inputs: expression(node, inputs, "self"))
    text = f'raise NotImplementedError("{refused}")\n' if refused else "expr.lazy_eval(True)\n"
    text += "first = net\n" if request.first is not None else f"\n\n{VARIABLE}\n\n{FILL}"
    text += "\n\nclass Net(nn.Module):\n" + indented(["def __init__(self):"])
    text += indented(["super(Net, self).__init__()", *attributes], 2) + "\n" + indented(["def forward(self, x):"])
    text += indented([*lines, f"return expr.convert({variables[request.output]}, expr.NCHW)"], 2) + "\n\nnet = Net()\n"
    for node in own:
        if node not in shared:
            values = ", ".join(f'weights["{name}"]' for name in order(node))
            text += f"fill(net.{node.id}, {values})\n"
    norms = ", ".join(f"net.{node.id}" for node in own if node.op == "BatchNormalization")
    tensors = stored(graph, place)
    return Source(
        imports=IMPORTS.replace("import _tools\n", ""),
        text=f"{text}norms = [{norms}]\n",
        predict="net.train(False)\ny = net.forward(x)\n",
        tensor="variable({})",
        array="{}.read()",
        layers=shown(graph, request) if request.asks == "prediction" else "",
        tensors=tensors,
        public=tuple(tensors),
    )


def shown(graph: list[Node], request: Request) -> str:
    """The lines of `forward`, and after each what it put out."""
    lines, variables = statements(graph, request.input, lambda node, inputs: expression(node, inputs, "net"))
    kept = [
        f'{line}\nlayers["{node.output}"] = expr.convert({variables[node.output]}, expr.NCHW)\n'
        for node, line in zip(graph, lines, strict=True)
    ]
    return f"net.train({request.intent == 'training'})\nlayers = {{}}\n" + "".join(kept)


def order(node: Node) -> tuple[str, ...]:
    """A layer's weights in MNN's order: scale, bias, variance, mean; the bias before the kernel."""
    if node.op == "BatchNormalization":
        scale, bias, mean, variance = node.weights
        return scale, bias, variance, mean
    return node.weights[::-1]


def place(node: Node, number: int) -> Stored:
    """A parameter, in ONNX's shape."""
    index = order(node).index(node.weights[number])
    return f"expr.reshape(net.{node.id}.parameters[{index}], {list(node.weight_shapes[number])})", None


def missing(node: Node) -> str:
    """What MNN's layers lack for a node, if anything."""
    pads = node.attributes.get("pads", (0, 0, 0, 0))
    if node.op == "Conv" and not (len(pads) == 4 and even(pads) and (depthwise(node) or node.attributes["group"] == 1)):
        return "nn.conv has two axes, pads both ends alike, and knows groups of one channel only"
    if node.op in ("MaxPool", "AveragePool") and not (len(pads) == 4 and even(pads)):
        return "expr.max_pool and expr.avg_pool have two axes, and pad both ends alike"
    return ""


def depthwise(node: Node) -> bool:
    """Whether each channel has a convolution of its own."""
    return bool(node.attributes["group"] == node.channels == node.weight_shapes[0][0] and node.channels > 1)


def layer(node: Node) -> str:
    """A layer of `MNN.nn`."""
    attributes, shape = node.attributes, node.weight_shapes[0]
    match node.op:
        case "BatchNormalization":
            return f"nn.batch_norm({shape[0]}, {node.rank}, {attributes['momentum']}, {attributes['epsilon']})"
        case "Conv":
            pads = attributes["pads"]
            words = (
                *(node.channels, shape[0], attributes["kernel_shape"], attributes["strides"], pads[: len(pads) // 2]),
                *(attributes["dilations"], depthwise(node), len(node.weights) > 1, "expr.Padding_Mode.CAFFE"),
            )
            return f"nn.conv({', '.join(map(str, words))})"
    return f"nn.linear({shape[1]}, {shape[0]}, True)"


def expression(node: Node, inputs: list[str], net: str) -> str:
    """A call of a layer, or an expression; what mixes axes or inputs takes NCHW."""
    attributes, x = node.attributes, inputs[0]
    plain = [f"expr.convert({name}, expr.NCHW)" for name in inputs]
    match node.op:
        case "BatchNormalization" | "Conv":
            return f"{net}.{node.id}.forward({x})"
        case "Gemm":
            return f"{net}.{node.id}.forward({plain[0]})"
        case "MaxPool" | "AveragePool":
            name = "max_pool" if node.op == "MaxPool" else "avg_pool"
            pads = attributes["pads"]
            window = f"{attributes['kernel_shape']}, {attributes['strides']}"
            return f"expr.{name}({x}, {window}, expr.Padding_Mode.CAFFE, {pads[: len(pads) // 2]})"
        case "GlobalAveragePool":
            return f"expr.avg_pool({x}, {x}.shape[2:], [1, 1])"
        case "Flatten":
            return f"expr.reshape({plain[0]}, [0, -1])"
        case "Softmax":
            return f"expr.softmax({plain[0]}, -1)"
        case "Add":
            return f"expr.add({', '.join(plain)})"
        case "Concat":
            return f"expr.concat([{', '.join(plain)}], {attributes['axis']})"
    return f"expr.relu({x})"
