"""A network as source text for releases before 2.0: `fluid.dygraph`'s layers, or `fluid.layers` in a program."""

from __future__ import annotations

import dataclasses
from itertools import chain

from crosscheck.runtimes.family import operators
from crosscheck.runtimes.family.graph import LAYERS, Graph, Node, concluded, indented
from crosscheck.runtimes.family.modules import folded, module_class
from crosscheck.runtimes.family.operators import Library
from crosscheck.runtimes.paddle.common import KEYS, fetched, half, place, turned, value
from crosscheck.runtimes.source import Request, Source, Stored

__all__ = ["dynamic", "program"]

#: What `Layer` has under these names is its own.
TAKEN = ("add", "backward", "eval", "forward", "parameters", "sublayers", "train", "training")

#: Operators that need no layer, in a program.
LIBRARY = Library(
    functions={
        "Clip": "fluid.layers.clip({x}, {min}, {max})",
        "Elu": "fluid.layers.elu({x}, {alpha})",
        "Erf": "fluid.layers.erf",
        "HardSigmoid": "fluid.layers.hard_sigmoid({x}, {alpha}, {beta})",
        "LeakyRelu": "fluid.layers.leaky_relu({x}, {alpha})",
        "Sigmoid": "fluid.layers.sigmoid",
        "Softplus": "fluid.layers.softplus",
        "Sqrt": "fluid.layers.sqrt",
        "Tanh": "fluid.layers.tanh",
    },
    array="fluid.layers.assign({})",
    transpose="fluid.layers.transpose({x}, [{order}])",
    reshape="fluid.layers.reshape({x}, [{shape}])",
    mean="fluid.layers.reduce_mean({x}, {dims}, True)",
    pad="fluid.layers.pad({x}, {each}, {value})",
    matmul="fluid.layers.matmul({x}, {other})",
)
#: And in a layer that is executed as it is called.
EAGER = dataclasses.replace(LIBRARY, array="fluid.dygraph.to_variable({})")

IMPORTS = "import numpy as np\nfrom paddle import fluid\n"


def dynamic(request: Request) -> Source:
    """A layer that is executed as it is called; the guard stays open."""
    graph = Graph.of(request, TAKEN, operators=EAGER.operators)
    body, output = graph.statements(lambda node, inputs: called(node, inputs, "self"))
    made = [f"self.{node.id} = {layer(node, request)}" for node in graph.layers]
    text = "" if request.first is not None else "fluid.enable_dygraph(fluid.CPUPlace())\n\n\n"
    text += module_class("fluid.dygraph.Layer", made, body, output) + graph.adopting()
    for node, number, key in graph.new_weights(KEYS):
        text += f"net.{node.id}.{key}.set_value({value(node, number)})\n"
    looking = graph.shown(lambda node, inputs: called(node, inputs, "net"))
    return Source(
        imports=IMPORTS,
        text=text,
        predict="net.eval()\nwith fluid.dygraph.no_grad():\n    y = net(x)\n",
        tensor="fluid.dygraph.to_variable({})",
        array="{}.numpy()",
        layers="" if request.kind == "fluid.traced" else "\n".join([f"net.{half(request)}()", *looking, ""]),
        tensors=graph.stored(place),
    )


def program(request: Request) -> Source:
    """A program that is run by an executor; a function adds the network's operators to it, for any program alike."""
    graph = Graph.of(request, operators=LIBRARY.operators)
    body, output = graph.statements(added)
    text = (
        "def network(x, is_test=False, use_global_stats=False):\n"
        + indented(folded(concluded(body, output), 1))
        + "\n\nmain, startup = fluid.Program(), fluid.Program()\n"
        "with fluid.program_guard(main, startup):\n"
        f'    image = fluid.data("x", {[None, *request.input_shape[1:]]}, "float32")\n'
        "    output = network(image, is_test=True)\n"
        "scope = fluid.global_scope()\n"
    )
    if request.first is None:  # the variables of shared layers are there, and must stay as they are
        text += "exe = fluid.Executor(fluid.CPUPlace())\nexe.run(startup)\n"
    find = "find_var" if request.first is None else "var"
    for node, number, _ in graph.new_weights(KEYS):
        array = value(node, number)
        array = f"np.ascontiguousarray({array})" if turned(node, number) else array
        text += f'scope.{find}("{node.weights[number]}").get_tensor().set({array}, fluid.CPUPlace())\n'

    def variable(node: Node, number: int) -> Stored:
        _, axes = place(node, number)
        return f'np.array(scope.find_var("{node.weights[number]}").get_tensor())', axes

    return Source(
        imports=IMPORTS,
        text=text,
        predict='y, = exe.run(main, feed={"x": x}, fetch_list=[output])\n',
        tensor="{}",
        array="{}",
        layers=program_layers(graph, request),
        tensors=graph.stored(variable),
        public=graph.weights,
    )


def program_layers(graph: Graph, request: Request) -> str:
    """A program like that of the mode, all of whose variables are fetched."""
    told = bool(request.norm.get("use_global_stats"))
    test = request.intent == "inference" and not told and request.kind != "fluid.program.clone"
    lines = [
        f"is_test, use_global_stats = {test}, {told}",
        f'x = fluid.data("x", {[None, *request.input_shape[1:]]}, "float32")',
        *graph.shown(added),
    ]
    text = "image = x\nwatched = fluid.Program()\nwith fluid.program_guard(watched):\n" + indented(folded(lines, 1))
    return text + fetched(cloned=request.kind == "fluid.program.clone")


def layer(node: Node, request: Request) -> str:
    """A layer of `fluid.dygraph`; like ONNX, Paddle calls the part that is kept momentum.

    With use_global_stats a BatchNorm fails unless both of its attributes are given.
    """
    attributes = node.attributes
    match node.op:
        case "BatchNormalization":
            words = [f"{node.filters}", f"momentum={attributes['momentum']}", f"epsilon={attributes['epsilon']}"]
            if "use_global_stats" in request.norm:
                words += ["param_attr=fluid.ParamAttr()", "bias_attr=fluid.ParamAttr()"]
            words += [f"{key}={value}" for key, value in request.norm.items()]
            return f"fluid.dygraph.BatchNorm({', '.join(words)})"
        case "Conv":
            padding = list(node.padding) if node.even else 0
            words = [f"{node.channels}", f"{node.filters}", *window(node), f"padding={padding}"]
            return f"fluid.dygraph.Conv2D({', '.join(words + ['bias_attr=False'] * (not node.biased))})"
    return f"fluid.dygraph.Linear({node.channels}, {node.filters})"


def called(node: Node, inputs: list[str], net: str) -> str:
    """A call of a layer, which is an attribute of `net`, or a function; dygraph's Conv2D pads both ends alike."""
    if node.op not in LAYERS:
        return function(node, inputs, EAGER)
    x = inputs[0]
    if node.op == "Conv" and not node.even:
        x = f"fluid.layers.pad2d({x}, {padding(node)})"
    return f"{net}.{node.id}({x})"


def added(node: Node, inputs: list[str]) -> str:
    """A call that adds an operator and its variables, which have the graph's names, to a program."""
    if node.op not in LAYERS:
        return function(node, inputs, LIBRARY)
    names, attributes, size = node.weights, node.attributes, node.filters
    bias = f'fluid.ParamAttr(name="{names[1]}")' if node.biased else "False"
    words = [f'param_attr=fluid.ParamAttr(name="{names[0]}"), bias_attr={bias}']
    match node.op:
        case "BatchNormalization":
            words = [
                f"is_test=is_test, momentum={attributes['momentum']}, epsilon={attributes['epsilon']}",
                *words,
                f'moving_mean_name="{names[2]}", moving_variance_name="{names[3]}"',
                "use_global_stats=use_global_stats",
            ]
            return f"fluid.layers.batch_norm({', '.join([inputs[0], *words])})"
        case "Conv":
            moving = [*window(node), f"padding={padding(node)}"]
            return f"fluid.layers.conv2d({', '.join([inputs[0], str(size), *moving, *words])})"
    return f"fluid.layers.fc({', '.join([inputs[0], str(size), *words])})"


def window(node: Node) -> list[str]:
    """How a convolution moves, beside its padding."""
    group = node.attributes["group"]
    words = [f"filter_size={list(node.kernel)}", *[f"stride={list(node.strides)}"] * node.strided]
    return words + [f"dilation={list(node.dilations)}"] * node.dilated + [f"groups={group}"] * (group != 1)


def padding(node: Node) -> list[int]:
    """ONNX's pads as Paddle takes them: beginning and end, axis by axis."""
    return [*chain(*node.pads)]


def function(node: Node, inputs: list[str], library: Library) -> str:
    """An operator without a layer, in a program and outside."""
    attributes, x = node.attributes, inputs[0]
    match node.op:
        case "Concat":
            return f"fluid.layers.concat([{', '.join(inputs)}], axis={attributes['axis']})"
        case "Flatten":
            return f"fluid.layers.flatten({x}, axis=1)"
        case "GlobalAveragePool":
            return f'fluid.layers.pool2d({x}, pool_type="avg", global_pooling=True)'
        case "AveragePool" | "MaxPool":
            words = [
                f"pool_size={list(node.kernel)}",
                f'pool_type="{"max" if node.op == "MaxPool" else "avg"}"',
                f"pool_stride={list(node.strides)}",
                f"pool_padding={padding(node)}",
                *(["exclusive=False"] if attributes.get("count_include_pad") else []),
            ]
            return f"fluid.layers.pool2d({', '.join([x, *words])})"
        case "Softmax":
            return f"fluid.layers.softmax({x}, axis={attributes['axis']})"
        case "Relu":
            return f"fluid.layers.relu({x})"
    return operators.expression(node, inputs, library)
