"""A network as source text: a cell of MindSpore's own cells, which are given their weights as initial values."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

from crosscheck.runtimes.family import operators
from crosscheck.runtimes.family.graph import LAYERS, Graph, Node
from crosscheck.runtimes.family.layers import options
from crosscheck.runtimes.family.modules import module_class
from crosscheck.runtimes.family.operators import Library
from crosscheck.runtimes.family.pools import average
from crosscheck.runtimes.source import Request, Source

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
#: What the constructor of a batch normalization is told as the mode has it.
TOLD = ("use_batch_statistics",)
POOLS = {"AveragePool": "AvgPool2d", "MaxPool": "MaxPool2d"}
#: Operators that need no cell.
LIBRARY = Library(
    functions={
        "Clip": "ops.clamp({x}, {min}, {max})",
        "Elu": "ops.relu({x}) + {alpha} * (ops.exp(ops.minimum({x}, 0.0)) - 1.0)",  # ops.elu has alpha = 1 alone
        "Erf": "ops.erf",
        "HardSigmoid": "ops.clamp({alpha} * {x} + {beta}, 0.0, 1.0)",
        "LeakyRelu": "ops.leaky_relu({x}, {alpha})",
        "Sigmoid": "ops.sigmoid",
        "Softplus": "ops.softplus",
        "Sqrt": "ops.sqrt",
        "Tanh": "ops.tanh",
    },
    array="Tensor({})",
    transpose="ops.transpose({x}, ({order}))",
    reshape="ops.reshape({x}, ({shape}))",
    mean="ops.mean({x}, {axes}, True)",
    pad='ops.pad({x}, {flat}, "constant", {value})',
    matmul="ops.matmul({x}, {other})",
)
#: What `Cell` has under these names is its own.
TAKEN = ("cast", "cells", "construct", "grad", "init_parameters_data", "param_prefix", "phase", "pynative", "training")

EXECUTION = {"graph": "mindspore.set_context(mode=mindspore.GRAPH_MODE)\n"}
PYNATIVE = "mindspore.set_context(mode=mindspore.PYNATIVE_MODE)\n"


def source(request: Request) -> Source:
    """A cell; the kind of the mode is how the process executes cells: at once or compiled."""
    graph = Graph.of(request, TAKEN, operators=LIBRARY.operators)
    body, output = graph.statements(lambda node, inputs: expression(node, inputs, request.norm))
    made = [
        f"self.{node.id} = {cell(node, request, values=node not in graph.shared)}"
        for node in graph
        if node.op in LAYERS or node.op in POOLS
    ]
    text = module_class("nn.Cell", made, body, output, method="construct") + graph.adopting()
    if request.first is None:
        text = EXECUTION.get(request.kind, PYNATIVE) + "\n\n" + text
    return Source(
        imports="import mindspore\nfrom mindspore import Tensor, nn, ops\n",
        text=text,
        predict="net.set_train(False)\ny = net(x)\n",
        tensor="Tensor({})",
        array="{}.asnumpy()",
        tensors=graph.attributes(KEYS),
    )


def cell(node: Node, request: Request, values: bool) -> str:
    """A cell; with `values`, its weights are its initial values. Its padding is top, bottom, left, right."""
    attributes = node.attributes
    named = zip(WORDS[node.op], node.values, strict=False) if values and node.op in LAYERS else ()
    weights = [f"{word}=Tensor({value})" for word, value in named]
    match node.op:
        case "BatchNormalization":
            kind = "BatchNorm2d" if node.rank == 4 else "BatchNorm1d"
            words = [str(node.channels), f"eps={attributes['epsilon']}", f"momentum={attributes['momentum']}"]
            words += [f"{key}={value}" for key, value in request.norm.items() if key in TOLD]
            words += ["affine=False"] * (not request.norm.get("learned", True))
        case "Conv":
            padding = tuple(chain(*node.pads))
            kind, words = "Conv2d", [str(node.channels), str(node.filters), str(node.kernel)]
            words += [
                *[f"stride={node.strides}"] * node.strided,
                'pad_mode="pad"',
                *[f"padding={padding}"] * any(padding),
            ]
            words += [*options(node, "dilation", "group"), *["has_bias=True"] * node.biased]
        case "Gemm":
            kind, words = "Dense", [str(node.channels), str(node.filters)]
        case pool:
            kind, words = POOLS[pool], [str(node.kernel), str(node.strides)]
    return f"nn.{kind}({', '.join([*words, *weights])})"


def expression(node: Node, inputs: list[str], norm: Mapping[str, Any]) -> str:
    """A call of a cell, or an operation."""
    attributes, x = node.attributes, inputs[0]
    match node.op:
        case "AveragePool":
            return average(node, x, lambda x: pooled(node, x, "0.0"), "ops.ones_like({})")
        case "BatchNormalization" if norm.get("functional"):
            cell = f"self.{node.id}"
            held = ", ".join(f"{cell}.{key}" for key in ("moving_mean", "moving_variance", "gamma", "beta"))
            return f"ops.batch_norm({x}, {held}, self.training, {cell}.momentum, {cell}.eps)"
        case "Concat":
            return f"ops.cat(({', '.join(inputs)}), {attributes['axis']})"
        case "Flatten":
            return f"ops.flatten({x}, start_dim=1)"
        case "GlobalAveragePool":
            return f"ops.mean({x}, {tuple(range(2, node.rank))}, True)"
        case "MaxPool":
            return pooled(node, x, 'float("-inf")')
        case "Relu":
            return f"ops.relu({x})"
        case "Softmax":
            return f"ops.softmax({x}, {attributes['axis']})"
    return f"self.{node.id}({x})" if node.op in LAYERS else operators.expression(node, inputs, LIBRARY)


def pooled(node: Node, x: str, value: str) -> str:
    """A pool over what was padded before it."""
    if node.padded:
        last_axis_first = tuple(chain(*reversed(node.pads)))
        x = f'ops.pad({x}, {last_axis_first}, "constant", {value})'
    return f"self.{node.id}({x})"
