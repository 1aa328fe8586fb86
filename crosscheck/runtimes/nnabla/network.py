"""A network as source text: a function of a variable that calls parametric functions. The layout is ONNX's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from packaging.version import Version

from crosscheck.runtimes.family import operators
from crosscheck.runtimes.family.graph import Graph, Node, concluded, indented
from crosscheck.runtimes.family.layers import options
from crosscheck.runtimes.family.operators import Library
from crosscheck.runtimes.family.pools import average
from crosscheck.runtimes.source import Request, Source, Stored, Unwritten

__all__ = ["SHOWS_LAYERS", "source"]

SHOWS_LAYERS = True
IMPORTS = """\
from collections import OrderedDict

import numpy as np
import nnabla as nn
import nnabla.functions as F
import nnabla.parametric_functions as PF
"""
#: Operator -> what its parametric function calls its parameters, under the name that it is given.
KEYS = {
    "BatchNormalization": ("bn/gamma", "bn/beta", "bn/mean", "bn/var"),
    "Conv": ("conv/W", "conv/b"),
    "Gemm": ("affine/W", "affine/b"),
}
#: NNabla's words for what a batch normalization may lack.
ABSENCES = {"scale": slice(1), "bias": slice(1, 2)}
#: Names of the text's own.
TAKEN = ("F", "PF", "batch_stat", "nn", "np", "parameters", "params")
#: Operators that need no parameters.
LIBRARY = Library(
    functions={
        "Clip": "F.maximum_scalar(F.minimum_scalar({x}, {max}), {min})",
        "Elu": "F.elu({x}, {alpha})",
        "HardSigmoid": "F.maximum_scalar(F.minimum_scalar({alpha} * {x} + {beta}, 1.0), 0.0)",
        "LeakyRelu": "F.leaky_relu({x}, {alpha})",
        "Sigmoid": "F.sigmoid",
        "Softplus": "F.softplus",
        "Sqrt": "F.pow_scalar({x}, 0.5)",
        "Tanh": "F.tanh",
    },
    array="nn.Variable.from_numpy_array({})",
    transpose="F.transpose({x}, ({order}))",
    reshape="F.reshape({x}, ({shape}))",
    mean="F.mean({x}, {axes}, keepdims=True)",
    pad='F.pad({x}, {each}, "constant", {value})',
    matmul="F.batch_matmul({x}, {other})",
)
#: The first of our releases with `F.erf`.
ERF = Version("1.32.1")
#: Where a network has its parameters: not among those of all networks, whose names it might share.
SCOPE = 'with nn.parameter_scope("net", parameters)'
#: Batch normalizations that the network calls by a function of its own: what `norm` tells -> its text.
FUNCTIONS = {
    "without-statistics": """\
def normalized(x, name, batch_stat, eps, **initial):
    with nn.parameter_scope(name), nn.parameter_scope("bn"):
        params = {key: nn.parameter.get_parameter_or_create(key, value.shape, value, need_grad=key in ("gamma", "beta"))
                  for key, value in initial.items()}
    if batch_stat:
        params.update(mean=None, var=None)
    return F.batch_normalization(x, params["beta"], params["gamma"], params["mean"], params["var"],
                                 eps=eps, batch_stat=batch_stat)


""",
    "outputs": """\
def normalized(x, name, batch_stat, **options):
    if not batch_stat:
        return PF.batch_normalization(x, name=name, batch_stat=False, **options)
    x, mean, var = PF.batch_normalization(x, name=name, output_stat=True, **options)
    return x


""",
}


def source(request: Request) -> Source:
    """The network with batch normalizations as the mode has them; its parameters are made by a first call."""
    norm = request.norm
    library = LIBRARY
    if request.release >= ERF:
        library = replace(LIBRARY, functions={**LIBRARY.functions, "Erf": "F.erf"})
    graph = Graph.of(
        request, ("F", "PF", "batch_stat", "nn", "np", "parameters", "params"), ABSENCES, library.operators
    )
    body, output = graph.statements(lambda node, inputs: expression(node, inputs, library, norm))
    new = request.first is None
    text = (
        FUNCTIONS.get(norm.get("function", ""), "")
        + ("parameters = OrderedDict()\n\n\n" if new else "")
        + "def net(x, batch_stat=True, parameters=parameters):\n"
        + f"    {SCOPE}:\n"
        + indented(concluded(body, output), 2)
        + f"\n\nnet(nn.Variable({request.input_shape}), batch_stat=False)  # makes the parameters\n"
        + f"{SCOPE}:\n    params = nn.get_parameters(grad_only=False)\n"
        + ("for parameter in params.values():\n    parameter.grad.zero()\n" if new else "")
    )
    shown = graph.shown(lambda node, inputs: expression(node, inputs, library, norm))
    return Source(
        imports=IMPORTS,
        text=text,
        predict="y = net(x, batch_stat=False)\ny.forward(clear_buffer=True)\n",
        tensor="nn.Variable.from_numpy_array({})",
        array="{}.d",
        layers=f"batch_stat = {request.intent == 'training'}\n{SCOPE}:\n"
        + indented(shown)
        + "nn.forward_all(list(layers.values()))\n",
        tensors=graph.stored(place),
        public=graph.parameters,
    )


def expression(node: Node, inputs: list[str], library: Library, norm: Mapping[str, Any]) -> str:
    """A call of a parametric function, or of a function."""
    x, attributes = inputs[0], node.attributes
    match node.op:
        case "BatchNormalization":
            return normalization(node, x, norm)
        case "Conv":
            words = [f'name="{node.id}"', f"pad={node.padding}", f"stride={node.strides}"]
            words += options(node, "dilation", "group", "with_bias=False")
            words += [f"{word}={value}" for word, value in zip(("w_init", "b_init"), node.values, strict=False)]
            return f"PF.convolution({padded(node, x, 0.0)}, {node.filters}, {node.kernel}, {', '.join(words)})"
        case "Gemm":
            words = [f'name="{node.id}"', f"w_init={node.values[0]}.T", f"b_init={node.values[1]}"]
            return f"PF.affine({x}, {node.filters}, {', '.join(words)})"
        case "MatMul" if node.rank == 2 or (node.weights and len(node.weight_shapes[0]) == 2):
            other = library.array.format(node.values[0]) if node.weights else inputs[1]
            return f"F.affine({x}, {other}, base_axis={node.rank - 1})"
        case "AveragePool" | "MaxPool" if node.rank == 3:
            raise Unwritten(f"{node.op} over one axis")
        case "AveragePool" if node.even:
            counted = bool(attributes["count_include_pad"])
            return f"F.average_pooling({x}, {window(node)}, including_pad={counted})"
        case "AveragePool":
            return average(
                node,
                x,
                lambda x: f"F.average_pooling({padded(node, x, 0.0)}, {window(node)})",
                "F.constant(1.0, {}.shape)",
            )
        case "MaxPool":
            return f"F.max_pooling({padded(node, x, '-np.inf')}, {window(node)})"
        case "Concat":
            return f"F.concatenate({', '.join(inputs)}, axis={attributes['axis']})"
        case "Flatten":
            return f"F.reshape({x}, ({x}.shape[0], -1))"
        case "GlobalAveragePool":
            return f"F.mean({x}, {tuple(range(2, node.rank))}, keepdims=True)"
        case "Softmax":
            return f"F.softmax({x}, axis={attributes['axis']})"
        case "Relu":
            return f"F.relu({x})"
    return operators.expression(node, inputs, library)


def normalization(node: Node, x: str, norm: Mapping[str, Any]) -> str:
    """A call of batch normalization."""
    shape = ", ".join(["1", "-1", *["1"] * (node.rank - 2)])
    keys = zip(("gamma", "beta", "mean", "var"), node.values, strict=True)
    values = {key: f"{value}.reshape({shape})" for key, value in keys}
    start = f'({x}, name="{node.id}", batch_stat=batch_stat, '
    epsilon = f"eps={node.attributes['epsilon']}"
    if norm.get("function") == "without-statistics":
        initial = ", ".join(f"{key}={value}" for key, value in values.items())
        return f"normalized{start}{epsilon},\n        {initial})"
    words = [f"decay_rate={node.attributes['momentum']}", epsilon]
    for word, weight in (("scale", "gamma"), ("bias", "beta")):
        if not norm.get(word, True):
            words.append(f"no_{word}=True")
            del values[weight]
    if norm.get("fixed"):
        words.append("fix_parameters=True")
    initial = ", ".join(f'"{key}": {value}' for key, value in values.items())
    function = "normalized" if norm.get("function") else "PF.batch_normalization"
    return f"{function}{start}{', '.join(words)},\n        param_init={{{initial}}})"


def window(node: Node) -> str:
    """How the window of a pool moves; `padded` sees to uneven pads."""
    return f"{node.kernel}, stride={node.strides}, pad={node.padding}"


def padded(node: Node, x: str, value: object) -> str:
    """`x` with the pads that one number an axis cannot say."""
    if node.even:
        return x
    flat = tuple(number for pair in node.pads for number in pair)
    return f'F.pad({x}, {flat}, "constant", {value})'


def place(node: Node, number: int) -> Stored:
    """Where a parameter is registered, and how its layout becomes ONNX's."""
    value = f'params["{node.id}/{KEYS[node.op][number]}"].d'
    if node.op == "BatchNormalization":
        return f"{value}.reshape(-1)", None
    return value, (1, 0) if node.op == "Gemm" and number == 0 else None
