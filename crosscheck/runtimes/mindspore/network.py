"""A network as source text: a cell of MindSpore's own cells, which are given their weights as initial values."""

from __future__ import annotations

from crosscheck.runtimes.family.graph import LAYERS, Node, nodes, pairs, shared_layers, statements, stored
from crosscheck.runtimes.family.modules import adopted, module_class
from crosscheck.runtimes.family.pools import average
from crosscheck.runtimes.source import Request, Source, Stored

__all__ = ["source"]

#: Operator -> what its cell calls its weights, and the words of the cell's constructor for them.
KEYS = {
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "Conv": ("weight", "bias"),
    "Gemm": ("weight", "bias"),
}
WORDS = {
    "BatchNormalization": ("gamma_init", "beta_init", "moving_mean_init", "moving_var_init"),
    "Conv": ("weight_init", "bias_init"),
    "Gemm": ("weight_init", "bias_init"),
}
POOLS = {"AveragePool": "AvgPool2d", "MaxPool": "MaxPool2d"}
#: What `Cell` has under these names is its own.
TAKEN = ("cast", "cells", "construct", "grad", "init_parameters_data", "param_prefix", "phase", "pynative", "training")

EXECUTION = {"graph": "mindspore.set_context(mode=mindspore.GRAPH_MODE)\n"}
PYNATIVE = "mindspore.set_context(mode=mindspore.PYNATIVE_MODE)\n"


def source(request: Request) -> Source:
    """A cell; the kind of the mode is how the process executes cells: at once or compiled."""
    graph = nodes(request, TAKEN)
    shared = shared_layers(graph, request)
    body, variables = statements(graph, request.input, expression)
    made = [
        f"self.{node.id} = {cell(node, request, values=node not in shared)}"
        for node in graph
        if node.op in LAYERS or node.op in POOLS
    ]
    network = module_class("nn.Cell", made, body, variables[request.output], method="construct")
    if request.first is None:
        text = EXECUTION.get(request.kind, PYNATIVE) + "\n\n" + network + "net = Net()\n"
    else:
        text = network + "first = net\nnet = Net()\n" + adopted(graph, shared)
    return Source(
        imports="import mindspore\nfrom mindspore import Tensor, nn, ops\n",
        text=text,
        predict="net.set_train(False)\ny = net(x)\n",
        tensor="Tensor({})",
        array="{}.asnumpy()",
        tensors=stored(graph, place),
    )


def place(node: Node, number: int) -> Stored:
    """Where a weight is; MindSpore's layout is ONNX's."""
    return f"net.{node.id}.{KEYS[node.op][number]}", None


def cell(node: Node, request: Request, values: bool) -> str:
    """A cell; with `values`, its weights are its initial values. Its padding is top, bottom, left, right."""
    attributes = node.attributes
    weights = (
        [
            f'{word}=Tensor(weights["{name}"])'
            for word, name in zip(WORDS[node.op], node.weights, strict=False)
            if values
        ]
        if node.op in LAYERS
        else []
    )
    match node.op:
        case "BatchNormalization":
            kind = "BatchNorm2d" if node.rank == 4 else "BatchNorm1d"
            words = [str(node.channels), f"eps={attributes['epsilon']}", f"momentum={attributes['momentum']}"]
            words += [f"{key}={value}" for key, value in request.norm.items()]
        case "Conv":
            kind, (out, inside) = "Conv2d", node.weight_shapes[0][:2]
            words = [str(inside * attributes["group"]), str(out), f"{tuple(attributes['kernel_shape'])}"]
            words += [f"stride={tuple(attributes['strides'])}"] if set(attributes["strides"]) != {1} else []
            words.append('pad_mode="pad"')
            padding = tuple(width for pair in pairs(attributes["pads"]) for width in pair)
            words += [f"padding={padding}"] if any(padding) else []
            words += [f"dilation={tuple(attributes['dilations'])}"] if set(attributes["dilations"]) != {1} else []
            words += [f"group={attributes['group']}"] if attributes["group"] != 1 else []
            words += ["has_bias=True"] if len(node.weights) > 1 else []
        case "Gemm":
            kind, words = "Dense", [str(size) for size in reversed(node.weight_shapes[0])]
        case pool:
            kind = POOLS[pool]
            words = [f"{tuple(attributes[word])}" for word in ("kernel_shape", "strides")]
    return f"nn.{kind}({', '.join([*words, *weights])})"


def expression(node: Node, inputs: list[str]) -> str:
    """A call of a cell, or an operation."""
    attributes, x = node.attributes, inputs[0]
    match node.op:
        case "Add":
            return " + ".join(inputs)
        case "AveragePool":
            return average(node, x, lambda x: pooled(node, x, "0.0"), "ops.ones_like({})")
        case "Concat":
            return f"ops.cat(({', '.join(inputs)}), {attributes['axis']})"
        case "Flatten":
            return f"ops.flatten({x}, start_dim=1)"
        case "GlobalAveragePool":
            return f"ops.mean({x}, (2, 3), True)"
        case "MaxPool":
            return pooled(node, x, 'float("-inf")')
        case "Relu":
            return f"ops.relu({x})"
        case "Softmax":
            return f"ops.softmax({x}, {attributes['axis']})"
    return f"self.{node.id}({x})"


def pooled(node: Node, x: str, value: str) -> str:
    """A pool over what was padded before it."""
    if any(node.attributes["pads"]):
        last_axis_first = [width for pair in reversed(pairs(node.attributes["pads"])) for width in pair]
        x = f'ops.pad({x}, {tuple(last_axis_first)}, "constant", {value})'
    return f"self.{node.id}({x})"
