"""The symbolic APIs as source text: a symbol in operators or from an ONNX file, bound by an executor or in a module."""

from __future__ import annotations

import dataclasses

from crosscheck.runtimes.family.graph import LAYERS, Graph, Node, concluded, indented
from crosscheck.runtimes.mxnet.operators import ROLES, available, constant, constants, operator
from crosscheck.runtimes.source import Request, Source, Stored

__all__ = [
    "ARRAY",
    "CHECKPOINT",
    "EXECUTED",
    "IMPORTS",
    "TENSOR",
    "entry",
    "executor",
    "exported",
    "file",
    "files",
    "imports",
    "known",
    "module",
    "new_weights",
    "symbol",
    "variable",
]

IMPORTS = "import mxnet as mx\n"
ONNX = "import mxnet.contrib.onnx as onnx_mxnet\n"
TENSOR, ARRAY = "mx.nd.array({})", "{}.asnumpy()"

#: Reads a user's file: `sym`, `arg_params`, `aux_params`.
CHECKPOINT = """\
sym, arg_params, aux_params = mx.model.load_checkpoint("network", 0)
nodes = json.loads(sym.tojson())["nodes"]
for node in nodes:  # with fix_gamma the first prediction writes 1 to gamma, and an export has the other values still
    attributes = node.get("attrs", node.get("attr", node.get("param", {})))
    if node["op"] == "BatchNorm" and attributes.get("fix_gamma", "True") in ("True", "1"):
        arg_params[nodes[node["inputs"][1][0]]["name"]][:] = 1
if nodes[-1]["op"] == "SoftmaxOutput":  # takes no cotangent: its gradient is a loss's
    sym = mx.sym.softmax(sym.get_children()[0])
"""
#: How the parameters of a symbol are saved and loaded.
REUSE = {
    "save": 'mx.model.save_checkpoint("net", 1, sym, arg_params, aux_params)\n',
    "load": '_, args, auxs = mx.model.load_checkpoint("net", 1)\nnet.copy_params_from(args, auxs)\n',
}
EXECUTED = "inputs[:] = x\ny = net.forward(is_train=False)[0]\n"
#: For another number of rows: a second executor over the same arrays.
REBOUND = """\
other = sym.bind(mx.cpu(), {args}, grad_req="null", aux_states=aux_params)
y = other.forward(is_train=False)[0]
"""
#: One step of plain gradient descent, by an executor of its own over the same arrays.
TRAIN = """\
gradients = {{name: mx.nd.zeros(value.shape) for name, value in arg_params.items()}}
step = sym.bind(mx.cpu(), {args}, args_grad=gradients, aux_states=aux_params)
step.forward(is_train=True)
step.backward([cotangent])
for name, gradient in gradients.items():
    arg_params[name] -= 0.01 * gradient
"""
FORWARD = "net.forward(mx.io.DataBatch([x], []), is_train=False)\ny = net.get_outputs()[0]\n"
#: For another number of rows: a second module in the first one's memory.
MODULE_REBOUND = """\
other = mx.mod.Module(sym, {names}label_names=[])
other.bind([("{entry}", x.shape)], for_training=False, shared_module=net)
other.forward(mx.io.DataBatch([x], []), is_train=False)
y = other.get_outputs()[0]
"""


def form(request: Request) -> str:
    """The form of the ONNX file that is imported, in place of operators; "" for none."""
    return request.form or request.told.get("form", "")


def read(request: Request) -> bool:
    """Whether the symbol is read from a file, in place of operators."""
    return bool(form(request) or request.native)


def file(request: Request) -> str:
    """The name of that file."""
    return f"{form(request)}.onnx"


def files(request: Request, text: str) -> dict[str, str]:
    """The files that the text reads."""
    if request.native:
        return {name: name for name in ("network-symbol.json", "network-0000.params")}
    return {file(request): form(request)} if form(request) and file(request) in text else {}


def entry(request: Request) -> str:
    """The name of the symbol's input."""
    return request.input if read(request) else "data"


def variable(request: Request, node: Node, number: int) -> str:
    """The name of a weight's variable: MXNet's own, which follow from the layer's, or the file's."""
    return node.weights[number] if form(request) else f"{node.id}_{ROLES[node.op][number]}"


def dictionary(node: Node, number: int) -> str:
    """Which of two dictionaries a weight is in: "aux" has MXNet's auxiliary states, the moving statistics."""
    return "aux" if node.op == "BatchNormalization" and number >= 2 else "arg"


def symbol(request: Request) -> str:
    """Makes `sym`, `arg_params` and `aux_params`; with `request.first`, on that network's arrays."""
    if request.native:
        return CHECKPOINT
    if form(request):
        return imported(request)
    graph = operators(request)

    held = constants(graph)

    def expression(node: Node, inputs: list[str]) -> str:
        weights = [f'mx.sym.Variable("{constant(node)}")'] * (node in held)
        return operator("mx.sym", node, inputs, request.norm, weights, name=node.id if node.op in LAYERS else "")

    lines, output = graph.statements(expression)
    text = indented(['x = mx.sym.Variable("data")', *concluded(lines, output, "sym = ")], 0)
    return text + (added_arrays(request) if request.first else arrays(request))


def arrays(request: Request) -> str:
    """Makes `arg_params` and `aux_params`."""
    text, graph = "", operators(request)
    for kind in ("arg", "aux"):
        lines = [
            f'"{variable(request, node, number)}": mx.nd.array({value}),'
            for node in graph.layers
            for number, value in enumerate(node.values)
            if dictionary(node, number) == kind
        ]
        if kind == "arg":
            lines += [f'"{constant(node)}": mx.nd.array({node.values[0]}),' for node in constants(graph)]
        text += f"{kind}_params = {{\n{indented(lines)}}}\n" if lines else f"{kind}_params = {{}}\n"
    return text


def added_arrays(request: Request) -> str:
    """Adds what the first network lacks to copies of its `arg_params` and `aux_params`."""
    lines = [
        f'{dictionary(node, number)}_params["{variable(request, node, number)}"] = mx.nd.array({node.values[number]})'
        for node, number in new_weights(request)
    ]
    copied = ["arg_params, aux_params = dict(arg_params), dict(aux_params)  # the first network's, and more"]
    return indented(copied + lines, 0) if lines else ""


def new_weights(request: Request) -> list[tuple[Node, int]]:
    """(layer, number) of every weight that the first network lacks; of all, if there is none."""
    return [(node, number) for node, number, _ in operators(request).new_weights(ROLES)]


def imported(request: Request) -> str:
    """The same of an ONNX file."""
    text = f'sym, arg_params, aux_params = onnx_mxnet.import_model("{file(request)}")\n'
    if request.first is None:
        return text
    return (
        "first_arg_params, first_aux_params = arg_params, aux_params\n"
        + text
        + "arg_params.update({name: value for name, value in first_arg_params.items() if name in arg_params})\n"
        + "aux_params.update({name: value for name, value in first_aux_params.items() if name in aux_params})\n"
    )


def imports(request: Request, plain: str) -> str:
    """What the network's program begins with."""
    return ("import json\n" if request.native else "") + plain + (ONNX if form(request) else "")


def arguments(request: Request, array: str) -> str:
    """The arrays that are bound as arguments, the input's among them."""
    name = entry(request)
    return f"dict(arg_params, {name}={array})" if name.isidentifier() else f'dict(arg_params, **{{"{name}": {array}}})'


def executor(request: Request) -> Source:
    """A symbol bound to arrays; only the input's gradient is asked for."""
    name, shape = entry(request), request.input_shape
    text = symbol(request) + (
        f"inputs, input_grad = mx.nd.zeros({shape}), mx.nd.zeros({shape})\n"
        f"net = sym.bind(\n"
        f"    mx.cpu(), {arguments(request, 'inputs')}, aux_states=aux_params,\n"
        f'    args_grad={{"{name}": input_grad}}, grad_req={{"{name}": "write"}},\n'
        f")\n"
    )

    return Source(
        imports=imports(request, IMPORTS),
        text=text,
        predict=EXECUTED,
        classify=REBOUND.format(args=arguments(request, "x")),
        train=TRAIN.format(args=arguments(request, "x")),
        reuse=REUSE,
        tensor=TENSOR,
        array=ARRAY,
        tensors=places(request, '{kind}_params["{name}"]'),
        view=places(request, 'net.{kind}_dict["{name}"]'),
        files=files(request, text),
    )


def operators(request: Request) -> Graph:
    """The nodes; none is called after the input."""
    return Graph.of(request, taken=("data",), operators=available(request.release))


def known(request: Request) -> Graph:
    """The same; none of a file, whose tensors have the names that are in it, or that the importer makes."""
    return operators(request) if request.weights and not request.native else Graph(request, ())


def places(request: Request, pattern: str) -> dict[str, Stored]:
    """Weight name -> `pattern` with its variable's `name` and the `kind` of the dictionary that it is in."""

    def place(node: Node, number: int) -> Stored:
        kind = dictionary(node, number)
        return pattern.format(kind=kind, half=int(kind == "aux"), name=variable(request, node, number)), None

    return known(request).stored(place)


def exported(request: Request) -> Source:
    """The same, for users who export what a checkpoint holds."""
    plain = executor(request)
    params = "params = dict(arg_params, **aux_params)\n"
    if request.norm.get("fix_gamma"):
        params = (
            "# With fix_gamma a prediction writes 1 to the bound gamma; a checkpoint has the other values still.\n"
            "params = {name: value.copy() for name, value in dict(arg_params, **aux_params).items()}\n"
        )
    return dataclasses.replace(plain, imports="import numpy as np\n" + IMPORTS + ONNX, text=plain.text + params)


def module(request: Request) -> Source:
    """A module bound for training, with input gradients.

    A module shares all its parameters or none. So a second network with the same parameters is bound to the first one's
    memory, and one that has more is chained: the first one's module, then a module of what the second has in addition.
    """
    name, shape = entry(request), request.input_shape
    names = "" if name == "data" else f'data_names=["{name}"], '
    bind = f'net.bind([("{name}", {shape})], for_training=True, inputs_need_grad=True'
    made = f"net = mx.mod.Module(sym, {names}label_names=[])\n"
    if request.first is None:
        text = symbol(request) + made + f"{bind})\nnet.set_params(arg_params, aux_params)\n"
    elif new_weights(request):
        text = chained(request, bind)
    else:
        text = "first = net\n" + symbol(request) + made + f"{bind}, shared_module=first)\n"

    return Source(
        imports=imports(request, IMPORTS),
        text=text,
        predict=FORWARD,
        classify=MODULE_REBOUND.format(names=names, entry=name),
        tensor=TENSOR,
        array=ARRAY,
        tensors=places(request, 'net._exec_group.execs[0].{kind}_dict["{name}"]'),
        view=places(request, 'net.get_params()[{half}]["{name}"]'),
        files=files(request, text),
    )


def chained(request: Request, bind: str) -> str:
    """The first network's own module, followed by one of the nodes that it lacks."""
    assert request.first is not None, "only a second network is chained to a first"
    has = {node["name"] for node in request.first["nodes"]}
    rest = [node for node in request.graph["nodes"] if node["name"] not in has]
    graph = {**request.graph, "inputs": request.first["outputs"], "nodes": rest}
    tail = dataclasses.replace(request, graph=graph, norm={}, told={}, first=None)
    return (
        "first = net\n"
        + symbol(tail)
        + "last = mx.mod.Module(sym, label_names=[])\n"
        + "net = mx.mod.SequentialModule()\n"
        + "net.add(first).add(last, auto_wiring=True)\n"
        + f"{bind})\n"
        + "net.inputs_need_grad = True  # which SequentialModule.bind passes on and does not keep\n"
        + "net.init_params(arg_params=arg_params, aux_params=aux_params)\n"
    )
