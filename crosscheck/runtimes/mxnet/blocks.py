"""The imperative APIs as source text: a function of operators, Gluon blocks of layers, of a symbol, of an ONNX file."""

from __future__ import annotations

import json
from collections.abc import Callable

from packaging.version import Version

from crosscheck.runtimes.family.graph import LAYERS, WITH_ARRAY, Graph, Node, concluded, indented
from crosscheck.runtimes.family.layers import class_with_layers
from crosscheck.runtimes.family.operators import cut
from crosscheck.runtimes.mxnet.operators import (
    ROLES,
    available,
    axis_last,
    constant,
    constants,
    keywords,
    library,
    operator,
    padded,
)
from crosscheck.runtimes.mxnet.symbols import (
    ARRAY,
    IMPORTS,
    TENSOR,
    entry,
    file,
    files,
    imports,
    known,
    new_weights,
    symbol,
    variable,
)
from crosscheck.runtimes.source import Request, Source, Stored

__all__ = ["gluon", "imperative", "symbol_block", "to_gluon"]

AUTOGRAD = IMPORTS + "from mxnet import autograd\n"
BLOCKS = IMPORTS + "from mxnet import autograd, gluon\n"
LAYER_BLOCKS = BLOCKS + "from mxnet.gluon import nn\n"
#: One step of plain gradient descent.
TRAIN = """\
trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.01})
with autograd.record():
    loss = mx.nd.sum(net(x) * cotangent)
loss.backward()
trainer.step(1)
"""
#: What a call may leave on a block: autograd's flags, and of each parameter `grad_req` and a gradient to which the next
#: backward pass adds.
LOOKS = """\
def look():
    seen = {f"autograd: training={autograd.is_training()}, recording={autograd.is_recording()}"}
    for name, parameter in net.collect_params().items():
        seen.add(f"{name}: grad_req={parameter.grad_req}")
        if parameter.grad_req == "add":
            seen.add(f"{name}: norm of its gradient {mx.nd.norm(parameter.grad()).asscalar()}")
    return seen
"""
#: The release whose blocks have `save_parameters`; before, their method is called otherwise.
SAVE_PARAMETERS = Version("1.2.1")
#: What a HybridBlock has under names of its own.
RESERVED = (
    *("apply", "cast", "collect_params", "export", "forward", "hybrid_forward", "hybridize", "infer_shape"),
    *("infer_type", "initialize", "load", "load_parameters", "load_params", "name", "name_scope", "optimize_for"),
    *("params", "prefix", "register_child", "register_forward_hook", "register_forward_pre_hook", "register_op_hook"),
    *("reset_ctx", "save", "save_parameters", "save_params", "setattr", "share_parameters", "summary", "zero_grad"),
)
#: The first release whose blocks have constants.
CONSTANTS = Version("1.3.0")
#: Kind -> how the block is compiled at its first call; `static` fixes memory and shapes.
HYBRIDIZED = {
    "gluon": "",
    "hybrid": "net.hybridize()\n",
    "static": "net.hybridize(static_alloc=True, static_shape=True)\n",
}


def imperative(request: Request) -> Source:
    """A function of operators over arrays that its user keeps."""
    graph = Graph.of(request, operators=available(request.release))

    def expression(node: Node, inputs: list[str]) -> str:
        return operator("mx.nd", node, inputs, request.norm, [f'params["{name}"]' for name in node.weights])

    lines, output = graph.statements(expression)
    text = "params = {name: mx.nd.array(value) for name, value in weights.items()}\n"
    if request.first is not None:
        added = [
            f'params["{node.weights[number]}"] = mx.nd.array({node.values[number]})'
            for node, number in new_weights(request)
        ]
        text = indented(["params = dict(params)  # the first network's, and more", *added], 0) if added else ""
    text += "\n\ndef net(x):\n" + indented(concluded(lines, output))
    tensors = graph.stored(lambda node, number: (f'params["{node.weights[number]}"]', None))
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
    lacks = {WITH_ARRAY, "MatMul"} if request.release < CONSTANTS else set()
    graph = Graph.of(request, RESERVED, operators=available(request.release) - lacks)
    held = constants(graph)

    def expression(node: Node, inputs: list[str]) -> str:
        if node.op not in LAYERS:
            return operator("F", node, inputs, request.norm, [f'constants["{constant(node)}"]'] * (node in held))
        x = padded("F", inputs[0], node, "0") if node.op == "Conv" else inputs[0]
        if node.op == "BatchNormalization" and request.norm.get("axis") == -1:
            return axis_last("F", node, x, lambda x: f"self.{node.id}({x})")
        if node.op == "ConvTranspose":
            return cut(node, f"self.{node.id}({x})", library("F"))
        return f"self.{node.id}({x})"

    lines, output = graph.statements(expression)
    argument = "" if request.first is None else "first, "
    new = [f"    self.{node.id} = {layer(node, request)}" for node in graph.own]
    for node in held:
        array = f"mx.nd.array({node.values[0]})"
        new.append(f'    self.{constant(node)} = self.params.get_constant("{constant(node)}", {array})')
    init = ["super(Net, self).__init__(**kwargs)", *(f"self.{node.id} = first.{node.id}" for node in graph.shared)]
    text = (
        ("" if request.first is None else "first = net\n\n\n")
        + class_with_layers(
            "Net(gluon.HybridBlock)",
            init + (["with self.name_scope():", *new] if new else []),
            concluded(lines, output),
            method=f"hybrid_forward(self, F, x{', **constants' if held else ''})",
            arguments=f"self, {argument}**kwargs",
        )
        + f"net = Net({argument.rstrip(', ')})\n"
        + (
            "net.initialize()\n"
            if request.first is None
            else "".join(f"net.{name}.initialize()\n" for name in [*(n.id for n in graph.own), *map(constant, held)])
        )
    )
    for node, number, _ in graph.new_weights(ROLES):
        text += f"net.{node.id}.{parameter(node, number)}.set_data(mx.nd.array({node.values[number]}))\n"
    text += HYBRIDIZED[request.kind]
    return block(request, LAYER_BLOCKS, text, lambda node, number: f"net.{node.id}.{parameter(node, number)}", graph)


def layer(node: Node, request: Request) -> str:
    """A layer of `gluon.nn`."""
    attributes = node.attributes
    match node.op:
        case "BatchNormalization":
            values = {"epsilon": attributes["epsilon"], "momentum": attributes["momentum"], "scale": True}
            name = "gluon.contrib.nn.SyncBatchNorm" if "num_devices" in request.norm else "nn.BatchNorm"
            return f"{name}({', '.join(keywords({**values, **request.norm, 'in_channels': node.filters}))})"
        case "Conv" | "ConvTranspose":
            values = {
                "kernel_size": node.kernel,
                "strides": node.strides,
                "padding": node.padding,
                **({"output_padding": node.further} if node.op == "ConvTranspose" else {}),
                **({"dilation": node.dilations} if node.dilated else {}),
                **({"groups": attributes["group"]} if attributes["group"] != 1 else {}),
                **({} if node.biased else {"use_bias": False}),
                "in_channels": node.channels,
            }
            turned = "Transpose" * (node.op == "ConvTranspose")
            return f"nn.Conv{node.rank - 2}D{turned}({', '.join([str(node.filters), *keywords(values)])})"
    return f"nn.Dense({node.filters}, in_units={node.channels})"


def parameter(node: Node, number: int) -> str:
    """What a layer calls a weight."""
    return ROLES[node.op][number].replace("moving", "running")


def symbol_block(request: Request) -> Source:
    """The symbol as a Gluon block; parameters of the same name are the first network's own."""
    text, params, names = symbol(request), "", "arrays"
    if request.first is not None:
        names = json.dumps([variable(request, node, number) for node, number in new_weights(request)])
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


def reuse(what: str) -> dict[str, str]:
    """How a block's parameters are saved and loaded."""
    return {"save": f'net.save_{what}("net.params")\n', "load": f'net.load_{what}("net.params", ctx=mx.cpu())\n'}


def block(
    request: Request,
    first_lines: str,
    text: str,
    place: Callable[[Node, int], str],
    graph: Graph,
    predict: str = "y = net(x)\n",
) -> Source:
    """A Gluon block, whose `collect_params` shows the parameters themselves; `place`: where it has them."""

    def array(node: Node, number: int) -> Stored:
        return f"{place(node, number)}.data()", None

    tensors = graph.stored(array)
    return Source(
        imports=imports(request, first_lines),
        text=text,
        predict=predict,
        train=TRAIN,
        reuse=reuse("params" if request.release < SAVE_PARAMETERS else "parameters"),
        looks=LOOKS,
        tensor=TENSOR,
        array=ARRAY,
        tensors=tensors,
        public=tuple(tensors),
        files=files(request, text),
    )
