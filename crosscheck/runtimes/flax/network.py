"""A network as source text: in linen a module and variables that its user keeps, in nnx a module with its arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from packaging.version import Version

from crosscheck.runtimes.family import numpy_like
from crosscheck.runtimes.family.graph import Graph, Node, concluded, indented, kernel_from_last, last_value
from crosscheck.runtimes.family.layers import class_with_layers, options
from crosscheck.runtimes.source import Request, Source, Stored

__all__ = ["source"]

#: Operator -> what its layer calls its weights.
KEYS = {
    "BatchNormalization": ("scale", "bias", "mean", "var"),
    "Conv": ("kernel", "bias"),
    "ConvTranspose": ("kernel", "bias"),
    "Gemm": ("kernel", "bias"),
}
OPERATORS = numpy_like.JAX.operators | {"ConvTranspose"}
STATISTICS = ("mean", "var")
#: `set_value` of a variable came with 0.12; before, its `value` was assigned.
SET_VALUE = Version("0.12")


def source(request: Request) -> Source:
    """The network in the API that the mode is of."""
    return linen(request) if request.kind == "linen" else nnx(request)


def linen(request: Request) -> Source:
    """A compact module, and the collections `params` and `batch_stats`."""
    graph = Graph.of(request, operators=OPERATORS)
    average = "self.frozen or not train" if request.norm.get("frozen") else "not train"
    body, result = numpy_like.body(graph, lambda node, inputs: linen_expression(node, inputs, average, request.norm))
    frozen = ["frozen: bool = False", ""] if request.norm.get("frozen") else []
    text = (
        "class Net(nn.Module):\n"
        + indented([*frozen, "@nn.compact", "def __call__(self, x, train):"])
        + indented(concluded(body, result), 2)
        + f"\n\nnet = Net({'frozen=True' if request.norm.get('frozen') else ''})\n"
    )
    if request.first is None:
        text += "variables = {\n"
        for collection in ("params", "batch_stats"):
            lines = [line for node in graph.own for line in entries(graph, node, collection)]
            text += indented([f'"{collection}": {{', *(f"    {line}," for line in lines), "},"])
        text += "}\nvariables = jax.tree_util.tree_map(jnp.asarray, variables)\n"
    else:  # its variables are those of the first network, and what it has besides
        text += "".join(
            f'variables["{collection}"]["{node.id}"] = jax.tree_util.tree_map(jnp.asarray, {line.partition(": ")[2]})\n'
            for node in graph.own
            for collection in ("params", "batch_stats")
            for line in entries(graph, node, collection)
        )

    def place(node: Node, number: int) -> Stored:
        key = KEYS[node.op][number]
        return f'variables["{collection_of(key)}"]["{node.id}"]["{key}"]', kernel_from_last(node, number)

    return Source(
        imports="import functools\n\nimport flax\nimport flax.linen as nn\nimport jax\nimport jax.numpy as jnp\n",
        text=text + 'apply = jax.jit(net.apply, static_argnames="train")\n',
        predict="y = apply(variables, x, train=False)\n",
        tensor="jnp.array({})",
        array="{}",
        tensors=graph.stored(place),
        public=graph.parameters,
    )


def linen_expression(node: Node, inputs: list[str], average: str, norm: Mapping[str, Any]) -> str:
    """One layer or function of linen; `average`: when the running averages are used."""
    match node.op:
        case "BatchNormalization":
            words = f"use_running_average={average}, {normalization(node, norm)}"
            return f'nn.BatchNorm({words}, name="{node.id}")({inputs[0]})'
        case "Conv":
            return f'nn.Conv({node.filters}, {convolution(node)}, name="{node.id}")({inputs[0]})'
        case "ConvTranspose":
            return f'nn.ConvTranspose({node.filters}, {transposed(node)}, name="{node.id}")({inputs[0]})'
        case "Gemm":
            return f'nn.Dense({node.filters}, name="{node.id}")({inputs[0]})'
    return function(node, inputs, "nn")


def entries(graph: Graph, node: Node, collection: str) -> list[str]:
    """The layer's entry in one of the collections, if it has one."""
    arrays = [
        f'"{KEYS[node.op][number]}": {last_value(node, number)}'
        for number in graph.held(node)
        if collection_of(KEYS[node.op][number]) == collection
    ]
    return [f'"{node.id}": {{{", ".join(arrays)}}}'] if arrays else []


def collection_of(key: str) -> str:
    """The collection in which linen keeps an array."""
    return "batch_stats" if key in STATISTICS else "params"


def nnx(request: Request) -> Source:
    """A module made abstract, as for loading a checkpoint, and its variables set."""
    taken = ("eval", "train", "sow", "perturb", "iter_modules", "iter_children", "set_attributes")
    graph = Graph.of(request, taken, operators=OPERATORS)
    body, result = numpy_like.body(graph, nnx_expression)
    text = class_with_layers(
        "Net(nnx.Module)",
        [f"self.{node.id} = {nnx_layer(node, request.norm)}" for node in graph.layers],
        concluded(body, result),
        method=f"__call__(self, x, {'use_running_average=None' if graph.norms else '**unused'})",
    )
    text += graph.adopting("net = nnx.eval_shape(Net)  # without initial values\n")
    setting = ".set_value({})" if request.release >= SET_VALUE else ".value = {}"
    for node, number, key in graph.new_weights(KEYS):
        text += f"net.{node.id}.{key}{setting.format(f'jnp.array({last_value(node, number)})')}\n"

    def place(node: Node, number: int) -> Stored:
        return f"net.{node.id}.{KEYS[node.op][number]}[...]", kernel_from_last(node, number)

    return Source(
        imports="import functools\n\nimport flax\nimport jax\nimport jax.numpy as jnp\nfrom flax import linen, nnx\n",
        text=text + "call = nnx.jit(lambda net, x: net(x))\n",
        predict="net.eval()\ny = call(net, x)\n",
        tensor="jnp.array({})",
        array="{}",
        tensors=graph.stored(place),
        public=graph.parameters,
        leaves=("", "eval"),
    )


def nnx_layer(node: Node, norm: Mapping[str, Any]) -> str:
    """A layer; batch normalizations are told no mode by their constructor."""
    match node.op:
        case "BatchNormalization":
            return f"nnx.BatchNorm({node.filters}, {normalization(node, norm)}, rngs=nnx.Rngs(0))"
        case "Conv":
            return f"nnx.Conv({node.channels}, {node.filters}, {convolution(node)}, rngs=nnx.Rngs(0))"
        case "ConvTranspose":
            return f"nnx.ConvTranspose({node.channels}, {node.filters}, {transposed(node)}, rngs=nnx.Rngs(0))"
    return f"nnx.Linear({node.channels}, {node.filters}, rngs=nnx.Rngs(0))"


def nnx_expression(node: Node, inputs: list[str]) -> str:
    """A call of a layer, or a function."""
    if node.op not in KEYS:
        return function(node, inputs, "linen")
    norm = ", use_running_average" if node.op == "BatchNormalization" else ""
    return f"self.{node.id}({inputs[0]}{norm})"


def convolution(node: Node) -> str:
    """The keywords that `linen.Conv` and `nnx.Conv` share."""
    words = [f"kernel_size={node.kernel}", *[f"strides={node.strides}"] * node.strided, f"padding={node.pads}"]
    return ", ".join(words + options(node, "kernel_dilation", "feature_group_count", "use_bias=False"))


def transposed(node: Node) -> str:
    """The keywords of both `ConvTranspose`s; the padding is that of the convolution of the spread input."""
    padding = tuple(
        ((width - 1) * step - low, (width - 1) * step - high + more)
        for width, step, (low, high), more in zip(
            node.kernel, node.dilations, node.pads, node.attributes["output_padding"], strict=True
        )
    )
    words = [f"{node.kernel}, strides={node.strides}, padding={padding}, transpose_kernel=True"]
    return ", ".join(words + options(node, "kernel_dilation", "feature_group_count", "use_bias=False"))


def normalization(node: Node, norm: Mapping[str, Any]) -> str:
    """The keywords that both `BatchNorm`s share; like ONNX, Flax calls the part that is kept momentum."""
    words = [f"momentum={node.attributes['momentum']}", f"epsilon={node.attributes['epsilon']}"]
    if not norm.get("affine", True):
        words += ["use_scale=False", "use_bias=False"]
    if norm.get("exact"):
        words.append("use_fast_variance=False")
    if norm.get("synced"):
        words.append('axis_name="batch"')
    return ", ".join(words)


def function(node: Node, inputs: list[str], module: str) -> str:
    """An operator without weights; nnx takes these functions from linen."""
    match node.op:
        case "AveragePool":
            counted = bool(node.attributes["count_include_pad"])
            return f"{module}.avg_pool({inputs[0]}, {window(node)}, count_include_pad={counted})"
        case "MaxPool":
            return f"{module}.max_pool({inputs[0]}, {window(node)})"
    return numpy_like.function(node, inputs, module)


def window(node: Node) -> str:
    """How a pool's window moves."""
    return f"window_shape={node.kernel}, strides={node.strides}, padding={node.pads}"
