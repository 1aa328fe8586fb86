"""A network as source text: a `Layer` of Paddle's own layers, or a static program that such a layer adds itself to."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

from crosscheck.runtimes.family import operators
from crosscheck.runtimes.family.graph import LAYERS, Graph, Node
from crosscheck.runtimes.family.modules import module_class
from crosscheck.runtimes.family.operators import Library
from crosscheck.runtimes.paddle import fluid_network
from crosscheck.runtimes.paddle.common import KEYS, fetched, half, place, value
from crosscheck.runtimes.source import Request, Source

__all__ = ["SHOWS_LAYERS", "source"]

SHOWS_LAYERS = True

#: What `Layer` has under these names is its own.
TAKEN = (
    *("add", "apply", "buffers", "children", "double", "eval", "float", "forward", "half", "parameters"),
    *("register", "sublayers", "to", "train", "training"),
)

#: Operators that need no layer.
LIBRARY = Library(
    functions={
        "Clip": "paddle.clip({x}, {min}, {max})",
        "Elu": "F.elu({x}, {alpha})",
        "Erf": "paddle.erf",
        "HardSigmoid": "F.hardsigmoid({x}, {alpha}, {beta})",
        "LeakyRelu": "F.leaky_relu({x}, {alpha})",
        "Sigmoid": "F.sigmoid",
        "Softplus": "F.softplus",
        "Sqrt": "paddle.sqrt",
        "Tanh": "F.tanh",
    },
    array="paddle.to_tensor({})",
    transpose="paddle.transpose({x}, [{order}])",
    reshape="paddle.reshape({x}, [{shape}])",
    mean="paddle.mean({x}, axis={axes}, keepdim=True)",
    pad="F.pad({x}, {each}, value={value})",
)

IMPORTS = "import paddle\nimport paddle.nn.functional as F\nfrom paddle import nn\n"


def source(request: Request) -> Source:
    """The network in the API that the mode is of."""
    match request.kind:
        case "fluid" | "fluid.traced":
            return fluid_network.dynamic(request)
        case "fluid.program" | "fluid.program.clone":
            return fluid_network.program(request)
        case "static" | "static.clone":
            return program(request)
    return dynamic(request)


def dynamic(request: Request) -> Source:
    """A layer that is executed as it is called."""
    graph = Graph.of(request, TAKEN, operators=LIBRARY.operators)
    text = layer_class(graph, told(request.norm)) + graph.adopting()
    for node, number, key in graph.new_weights(KEYS):
        text += f"net.{node.id}.{key}.set_value({value(node, number)})\n"
    if request.norm.get("sync"):
        text += "net = nn.SyncBatchNorm.convert_sync_batchnorm(net)\n"
    looking = graph.shown(lambda node, inputs: expression(node, inputs, "net"))
    return Source(
        imports=IMPORTS,
        text=text,
        predict="net.eval()\nwith paddle.no_grad():\n    y = net(x)\n",
        tensor="paddle.to_tensor({})",
        array="{}.numpy()",
        layers=f"net.{half(request)}()\n" + "".join(f"{line}\n" for line in looking),
        tensors=graph.stored(place),
    )


def told(norm: Mapping[str, Any]) -> str:
    """What batch normalizations are told further."""
    if not norm.get("affine", True):
        return ", weight_attr=False, bias_attr=False"
    return "".join(f", {key}={value}" for key, value in norm.items() if key != "sync")


def program(request: Request) -> Source:
    """A program that is run by an executor; programs that are made under the same names have the same variables."""
    graph = Graph.of(request, TAKEN, operators=LIBRARY.operators)
    setting = "" if request.first is None else "var"
    text = "paddle.enable_static()\n\n\n" if request.first is None else ""
    text += layer_class(graph, ", use_global_stats=use_global_stats", ("use_global_stats=None",))
    text += (
        "main, startup = static.Program(), static.Program()\n"
        "with static.program_guard(main, startup), paddle.utils.unique_name.guard():\n"
        f'    image = static.data("x", {[None, *request.input_shape[1:]]}, "float32")\n'
        "    net = Net()\n"
        "    net.eval()\n"
        "    output = net(image)\n"
        "scope = static.global_scope()\n"
    )
    if request.first is None:  # the variables of shared layers are there, and must stay as they are
        text += "exe = static.Executor(paddle.CPUPlace())\nexe.run(startup)\n"
    if graph.own:
        text += "for parameter, value in (\n"
        for node, number, key in graph.new_weights(KEYS):
            text += f"    (net.{node.id}.{key}, {value(node, number)}),\n"
        text += (
            f"):\n    scope.{setting or 'find_var'}(parameter.name).get_tensor()"
            ".set(np.ascontiguousarray(value), paddle.CPUPlace())\n"
        )
    return Source(
        imports="import numpy as np\n" + IMPORTS.replace("nn\n", "nn, static\n"),
        text=text,
        predict='y, = exe.run(main, feed={"x": x}, fetch_list=[output])\n',
        tensor="{}",
        array="{}",
        layers=program_layers(graph, request),
        tensors=graph.stored(
            lambda node, number: place(node, number, "np.array(scope.find_var({}.name).get_tensor())")
        ),
        public=graph.weights,
    )


def program_layers(graph: Graph, request: Request) -> str:
    """A program like that of the mode, all of whose variables are fetched."""
    told = request.norm.get("use_global_stats")
    training = bool(told) if told is not None else request.intent == "training" or request.kind == "static.clone"
    lines = [
        f'x = static.data("x", {[None, *request.input_shape[1:]]}, "float32")',
        f"network = Net({'' if told is None else f'use_global_stats={told}'})",
        f"network.{'train' if training else 'eval'}()",
        *graph.shown(lambda node, inputs: expression(node, inputs, "network")),
    ]
    text = (
        "image = x\nwatched = static.Program()\nwith static.program_guard(watched), paddle.utils.unique_name.guard():\n"
    )
    text += "".join(f"    {line}\n" for line in lines)
    return text + fetched(cloned=request.kind == "static.clone")


def layer_class(graph: Graph, norm: str, arguments: tuple[str, ...] = ()) -> str:
    """The class of the network. norm: further keywords of its batch normalizations."""
    body, output = graph.statements(lambda node, inputs: expression(node, inputs, "self"))
    made = [f"self.{node.id} = {layer(node, norm)}" for node in graph.layers]
    return module_class("nn.Layer", made, body, output, arguments=arguments)


def layer(node: Node, norm: str) -> str:
    """A layer. `trainable_statistics` is told to the older `nn.BatchNorm`; like ONNX, Paddle's momentum is kept."""
    attributes = node.attributes
    match node.op:
        case "BatchNormalization":
            kind = "BatchNorm" if "trainable_statistics" in norm else f"BatchNorm{max(node.rank - 2, 1)}D"
            return (
                f"nn.{kind}({node.filters}, momentum={attributes['momentum']}, epsilon={attributes['epsilon']}{norm})"
            )
        case "Conv":
            words = f"{node.channels}, {node.filters}, {list(node.kernel)}{window(node)}"
            return f"nn.Conv{node.rank - 2}D({words}{'' if node.biased else ', bias_attr=False'})"
    return f"nn.Linear({node.channels}, {node.filters})"


def window(node: Node) -> str:
    """How a convolution or a pool moves; pads are beginning and end, axis by axis."""
    group = node.attributes.get("group", 1)
    words = [f", stride={list(node.strides)}"] * (node.op != "Conv" or node.strided)
    words += [f", padding={list(chain(*node.pads))}"] * node.padded
    words += [f", dilation={list(node.dilations)}"] * node.dilated + [f", groups={group}"] * (group != 1)
    return "".join(words)


def expression(node: Node, inputs: list[str], net: str) -> str:
    """A call of a layer, which is an attribute of `net`, or a function."""
    attributes, x = node.attributes, inputs[0]
    if node.op in LAYERS:
        return f"{net}.{node.id}({x})"
    match node.op:
        case "Concat":
            return f"paddle.concat([{', '.join(inputs)}], axis={attributes['axis']})"
        case "Flatten":
            return f"paddle.flatten({x}, start_axis=1)"
        case "GlobalAveragePool":
            return f"paddle.mean({x}, axis={list(range(2, node.rank))}, keepdim=True)"
        case "AveragePool":
            counted = ", exclusive=False" if attributes["count_include_pad"] else ""
            return f"F.avg_pool{node.rank - 2}d({x}, {list(node.kernel)}{window(node)}{counted})"
        case "MaxPool":
            return f"F.max_pool{node.rank - 2}d({x}, {list(node.kernel)}{window(node)})"
        case "Softmax":
            return f"F.softmax({x}, axis={attributes['axis']})"
        case "Relu":
            return f"F.relu({x})"
    return operators.expression(node, inputs, LIBRARY)
