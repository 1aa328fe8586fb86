"""The imperative APIs as source text: a function of operators, Gluon blocks of layers, of a symbol, of an ONNX file."""

from __future__ import annotations

import json
from collections.abc import Callable

from packaging.version import Version

from crosscheck.runtimes.family.graph import LAYERS, Node, indented, nodes, shared_layers, statements, stored
from crosscheck.runtimes.mxnet.operators import ROLES, keywords, operator, padded
from crosscheck.runtimes.mxnet.symbols import (
    ARRAY,
    IMPORTS,
    TENSOR,
    concluded,
    entry,
    file,
    files,
    imports,
    known,
    new_weights,
    symbol,
    variable,
    weights_of,
)
from crosscheck.runtimes.source import Request, Source, Stored

__all__ = ["gluon", "imperative", "symbol_block", "to_gluon"]

AUTOGRAD = IMPORTS + "from mxnet import autograd\n"
BLOCKS = IMPORTS + "from mxnet import autograd, gluon\n"
LAYER_BLOCKS = BLOCKS + "from mxnet.gluon import nn\n"
#: What a HybridBlock has under names of its own.
RESERVED = (
    *("apply", "cast", "collect_params", "export", "forward", "hybrid_forward", "hybridize", "infer_shape"),
    *("infer_type", "initialize", "load", "load_parameters", "load_params", "name", "name_scope", "optimize_for"),
    *("params", "prefix", "register_child", "register_forward_hook", "register_forward_pre_hook", "register_op_hook"),
    *("reset_ctx", "save", "save_parameters", "save_params", "setattr", "share_parameters", "summary", "zero_grad"),
)
#: Kind -> how the block is compiled at its first call; `static` fixes memory and shapes.
HYBRIDIZED = {
    "gluon": "",
    "hybrid": "net.hybridize()\n",
    "static": "net.hybridize(static_alloc=True, static_shape=True)\n",
}


def imperative(request: Request) -> Source:
    """A function of operators over arrays that its user keeps."""
    graph = nodes(request)

    def expression(node: Node, inputs: list[str]) -> str:
        return operator("mx.nd", node, inputs, request.norm, [f'params["{name}"]' for name in node.weights])

    lines, variables = statements(graph, request.input, expression)
    text = "params = {name: mx.nd.array(value) for name, value in weights.items()}\n"
    if request.first is not None:
        added = [f'params["{name}"] = mx.nd.array(weights["{name}"])' for _, _, name in new_weights(request)]
        text = indented(["params = dict(params)  # the first network's, and more", *added], 0) if added else ""
    text += "\n\ndef net(x):\n" + indented(concluded(lines, variables[request.output], "return "))
    tensors = stored(graph, lambda node, number: (f'params["{node.weights[number]}"]', None))
    return Source(
        imports=AUTOGRAD if request.kind == "nd" and request.release >= Version("0.11.0") else IMPORTS,
        text=text,
        predict="y = net(x)\n",
        tensor=TENSOR,
        array=ARRAY,
        tensors=tensors,
        public=tuple(tensors),
    )


def gluon(request: Request) -> Source:
    """A HybridBlock: layers where there are weights, operators elsewhere; shared layers are the first network's."""
    graph = nodes(request, taken=RESERVED)
    shared = shared_layers(graph, request)
    layers = [node for node in graph if node.op in LAYERS]
    own = [node for node in layers if node not in shared]

    def expression(node: Node, inputs: list[str]) -> str:
        if node.op not in LAYERS:
            return operator("F", node, inputs, request.norm)
        x = padded("F", inputs[0], node, "0")[0] if node.op == "Conv" else inputs[0]
        return f"self.{node.id}({x})"

    lines, variables = statements(graph, request.input, expression)
    argument = "" if request.first is None else "first, "
    text = (
        ("" if request.first is None else "first = net\n\n\n")
        + "class Net(gluon.HybridBlock):\n"
        + indented([f"def __init__(self, {argument}**kwargs):"])
        + indented(["super(Net, self).__init__(**kwargs)"], 2)
        + indented([f"self.{node.id} = first.{node.id}" for node in shared], 2)
        + indented(["with self.name_scope():"] if own else [], 2)
        + indented([f"self.{node.id} = {layer(node, request)}" for node in own], 3)
        + "\n"
        + indented(["def hybrid_forward(self, F, x):"])
        + indented(concluded(lines, variables[request.output], "return "), 2)
        + f"\n\nnet = Net({argument.rstrip(', ')})\n"
        + ("net.initialize()\n" if request.first is None else "".join(f"net.{node.id}.initialize()\n" for node in own))
    )
    for node, number, name in weights_of(own):
        text += f'net.{node.id}.{parameter(node, number)}.set_data(mx.nd.array(weights["{name}"]))\n'
    text += HYBRIDIZED[request.kind]
    return block(request, LAYER_BLOCKS, text, lambda node, number: f"net.{node.id}.{parameter(node, number)}", graph)


def layer(node: Node, request: Request) -> str:
    """A layer of `gluon.nn`."""
    attributes, shape = node.attributes, node.weight_shapes[0]
    match node.op:
        case "BatchNormalization":
            values = {"epsilon": attributes["epsilon"], "momentum": attributes["momentum"], "scale": True}
            return f"nn.BatchNorm({', '.join(keywords({**values, **request.norm, 'in_channels': shape[0]}))})"
        case "Conv":
            values = {
                "kernel_size": tuple(attributes["kernel_shape"]),
                "strides": tuple(attributes["strides"]),
                "padding": padded("F", "x", node, "0")[1],
            }
            if any(step != 1 for step in attributes["dilations"]):
                values["dilation"] = tuple(attributes["dilations"])
            if attributes["group"] != 1:
                values["groups"] = attributes["group"]
            if len(node.weights) == 1:
                values["use_bias"] = False
            values["in_channels"] = shape[1] * attributes["group"]
            return f"nn.Conv{node.rank - 2}D({', '.join([str(shape[0]), *keywords(values)])})"
    return f"nn.Dense({shape[0]}, in_units={shape[1]})"


def parameter(node: Node, number: int) -> str:
    """What a layer calls a weight."""
    return ROLES[node.op][number].replace("moving", "running")


def symbol_block(request: Request) -> Source:
    """The symbol as a Gluon block; parameters of the same name are the first network's own."""
    text, params, names = symbol(request), "", "arrays"
    if request.first is not None:
        names = json.dumps([variable(request, node, number) for node, number, _ in new_weights(request)])
        text, params = "first = net\n" + text, ", params=first.collect_params()"
    text += (
        f'net = gluon.SymbolBlock(sym, mx.sym.Variable("{entry(request)}"){params})\n'
        "params, arrays = net.collect_params(), dict(arg_params, **aux_params)\n"
        f"for name in {names}:\n"
        "    params[name].shape = arrays[name].shape\n"
        "    params[name].initialize(mx.init.Zero())\n"
        "    params[name].set_data(arrays[name])\n"
    )
    predict = "y = net(x)[0]\n" if request.release < Version("0.12.0") else "y = net(x)\n"  # 0.11 answers with a list
    return block(request, BLOCKS, text, lambda *weight: collected(variable(request, *weight)), known(request), predict)


def to_gluon(request: Request) -> Source:
    """A file as a Gluon block; each has layers of its own."""
    text = f'net = onnx_mxnet.import_to_gluon("{file(request)}", ctx=mx.cpu())\n'
    return block(request, BLOCKS, text, lambda node, number: collected(node.weights[number]), known(request))


def collected(name: str) -> str:
    """A parameter of that name."""
    return f'net.collect_params()["{name}"]'


def block(
    request: Request,
    first_lines: str,
    text: str,
    place: Callable[[Node, int], str],
    graph: list[Node],
    predict: str = "y = net(x)\n",
) -> Source:
    """A Gluon block, whose `collect_params` shows the parameters themselves; `place`: where it has them."""

    def array(node: Node, number: int) -> Stored:
        return f"{place(node, number)}.data()", None

    tensors = stored(graph, array)
    return Source(
        imports=imports(request, first_lines),
        text=text,
        predict=predict,
        tensor=TENSOR,
        array=ARRAY,
        tensors=tensors,
        public=tuple(tensors),
        files=files(request, text),
    )
