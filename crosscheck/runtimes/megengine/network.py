"""A network as source text: a module of MegEngine's own layers, whose layout is ONNX's but for axes of size 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crosscheck.runtimes.family import operators
from crosscheck.runtimes.family.graph import LAYERS, Graph, Node
from crosscheck.runtimes.family.layers import NAMES_OF_TORCH, options
from crosscheck.runtimes.family.modules import module_class
from crosscheck.runtimes.family.operators import Library
from crosscheck.runtimes.family.pools import average
from crosscheck.runtimes.source import Request, Source, Stored, Unwritten

__all__ = ["SHOWS_LAYERS", "source"]

SHOWS_LAYERS = True
IMPORTS = """\
import copy

import megengine as mge
import megengine.functional as F
import megengine.module as M
import numpy as np
from megengine.autodiff import GradManager
"""
#: What `Module` has under these names is its own.
TAKEN = (
    *("apply", "buffers", "children", "disable_quantize", "eval", "forward", "load_state_dict", "modules", "name"),
    *("named_buffers", "named_children", "named_modules", "named_parameters", "named_tensors", "parameters"),
    *("quantize_disabled", "register_forward_hook", "register_forward_pre_hook", "replace_param", "state_dict"),
    *("tensors", "train", "training", "zero_grad"),
)
#: Operators that need no layer.
LIBRARY = Library(
    functions={
        "Clip": "F.clip({x}, {min}, {max})",
        "Elu": "F.relu({x}) + {alpha} * (F.exp(F.minimum({x}, 0.0)) - 1.0)",
        "HardSigmoid": "F.clip({alpha} * {x} + {beta}, 0.0, 1.0)",
        "LeakyRelu": "F.leaky_relu({x}, {alpha})",
        "Sigmoid": "F.sigmoid",
        "Softplus": "F.softplus",
        "Sqrt": "F.sqrt",
        "Tanh": "F.tanh",
    },
    array="mge.Tensor({})",
    transpose="F.transpose({x}, ({order}))",
    reshape="F.reshape({x}, ({shape}))",
    mean="F.mean({x}, {axes}, keepdims=True)",
    pad="F.nn.pad({x}, {widths}, constant_value={value})",
    matmul="F.matmul({x}, {other})",
)
#: A batch normalization that is written as a function: what `norm` tells -> the text of its call.
FUNCTIONAL = """\
class BatchNorm(M.Module):
    def __init__(self, channels, eps, momentum):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        shape = (1, channels, 1, 1)
        self.weight = mge.Parameter(np.ones(shape, np.float32))
        self.bias = mge.Parameter(np.zeros(shape, np.float32))
        self.running_mean = mge.Tensor(np.zeros(shape, np.float32))
        self.running_var = mge.Tensor(np.ones(shape, np.float32))

    def forward(self, x):
{call}

"""
OWN = "self.running_mean, self.running_var"
CALL = """\
        mean, var = {}
        return F.batch_norm(x, mean, var, self.weight, self.bias,
                            training=self.training, momentum=self.momentum, eps=self.eps)
"""
CALLS = {
    "with-statistics": CALL.format(OWN),
    "without-statistics": CALL.format(f"(None, None) if self.training else ({OWN})"),
    "fixed": f"        return F.batch_norm(x, {OWN}, self.weight, self.bias, eps=self.eps)\n",
    "returned": f"""\
        if not self.training:
            return F.batch_norm(x, {OWN}, self.weight, self.bias, eps=self.eps)
        x, *self.new = F.batch_norm(x, {OWN}, self.weight, self.bias,
                                    training=True, momentum=self.momentum, eps=self.eps, inplace=False)
        return x
""",
}


def source(request: Request) -> Source:
    """A module; its layers come from `request.first` where that has them."""
    graph = Graph.of(request, TAKEN, operators=LIBRARY.operators)
    norm = request.norm
    body, output = graph.statements(lambda node, inputs: expression(node, inputs, "self"))
    made = [f"self.{node.id} = {layer(node, request)}" for node in graph.layers]
    text = FUNCTIONAL.format(call=CALLS[norm["functional"]]) if "functional" in norm else ""
    text += module_class("M.Module", made, body, output) + graph.adopting()
    loaded: dict[str, str] = {}
    for node, number, key in graph.new_weights(NAMES_OF_TORCH):
        line = f'    "{key}": {value(node, number, norm)},\n'
        loaded[node.id] = loaded.get(node.id, "") + line
    text += "".join(f"net.{name}.load_state_dict({{\n{lines}}})\n" for name, lines in loaded.items())
    half = "train" if request.intent == "training" else "eval"
    looking = graph.shown(lambda node, inputs: expression(node, inputs, "net"))
    return Source(
        imports=IMPORTS,
        text=text,
        predict="net.eval()\ny = net(x)\n",
        tensor="mge.Tensor({})",
        array="{}.numpy()",
        layers="\n".join([f"net.{half}()", *looking, ""]),
        tensors=graph.stored(place),
        public=graph.parameters,
        leaves=("" if request.first is not None else "train", "eval"),
    )


def value(node: Node, number: int, norm: Mapping[str, Any]) -> str:
    """The value of a weight as `load_state_dict` takes it, which gives that of a layer `M.BatchNorm*` its shape."""
    found = node.values[number]
    if node.op == "BatchNormalization" and "functional" in norm:
        return f"{found}.reshape(1, -1, 1, 1)"
    if node.op == "Conv" and number == 1:
        return f"{found}.reshape(1, -1{', 1' * (node.rank - 2)})"
    if node.op == "Conv" and (groups := node.attributes["group"]) > 1:
        return f"{found}.reshape({groups}, -1, {', '.join(map(str, node.weight_shapes[0][1:]))})"
    return found


def place(node: Node, number: int) -> Stored:
    """Where the layer keeps a weight, in ONNX's layout."""
    expression = f"net.{node.id}.{NAMES_OF_TORCH[node.op][number]}.numpy()"
    if node.op == "BatchNormalization" or (node.op == "Conv" and number == 1):
        expression += ".reshape(-1)"
    elif node.op == "Conv" and node.attributes["group"] > 1:
        expression += f".reshape({', '.join(map(str, node.weight_shapes[0]))})"
    return expression, None


def layer(node: Node, request: Request) -> str:
    """A layer. Like ONNX, MegEngine's momentum is the part that is kept."""
    attributes = node.attributes
    match node.op:
        case "BatchNormalization":
            told = {"momentum": attributes["momentum"], **request.norm}
            kind = "M.SyncBatchNorm" if told.pop("sync", False) else f"M.BatchNorm{2 if node.rank == 4 else 1}d"
            kind = "BatchNorm" if told.pop("functional", "") else kind
            words = [f"eps={attributes['epsilon']}", *(f"{key}={value}" for key, value in told.items())]
            return f"{kind}({', '.join([str(node.filters), *words])})"
        case "Conv":
            words = [str(node.channels), str(node.filters), str(per_axis(node, node.kernel))]
            words += [f"stride={per_axis(node, node.strides)}"] * node.strided
            words += [f"padding={per_axis(node, node.padding)}"] * any(node.padding)
            return f"M.Conv{node.rank - 2}d({', '.join([*words, *options(node, 'dilation', 'groups', 'bias=False')])})"
    return f"M.Linear({node.channels}, {node.filters})"


def per_axis(node: Node, numbers: tuple[int, ...]) -> int | tuple[int, ...]:
    """What layers over one axis take is a number."""
    return numbers[0] if node.rank == 3 else numbers


def expression(node: Node, inputs: list[str], net: str) -> str:
    """A call of a layer, which is an attribute of `net`, or a function."""
    attributes, x = node.attributes, inputs[0]
    if node.op in ("AveragePool", "MaxPool") and node.rank != 4:
        raise Unwritten(f"{node.op} over {node.rank - 2} axes")
    match node.op:
        case "AveragePool" if node.even:
            counted = "average" if attributes["count_include_pad"] else "average_count_exclude_padding"
            return f'F.avg_pool2d({x}, {window(node)}, mode="{counted}")'
        case "AveragePool":
            return average(
                node, x, lambda x: f"F.avg_pool2d({padded(node, x, '0.0')}, {window(node)})", "F.ones_like({})"
            )
        case "Concat":
            return f"F.concat([{', '.join(inputs)}], axis={attributes['axis']})"
        case "Flatten":
            return f"F.flatten({x}, {attributes['axis']})"
        case "GlobalAveragePool":
            return f"F.mean({x}, {tuple(range(2, node.rank))}, keepdims=True)"
        case "MaxPool":
            return f"F.max_pool2d({padded(node, x, '-np.inf')}, {window(node)})"
        case "Relu":
            return f"F.relu({x})"
        case "Softmax":
            return f"F.softmax({x}, axis={attributes['axis']})"
        case "Conv":
            return f"{net}.{node.id}({padded(node, x, '0.0')})"
    return f"{net}.{node.id}({x})" if node.op in LAYERS else operators.expression(node, inputs, LIBRARY)


def window(node: Node) -> str:
    """How the window of a pool moves; `padded` sees to uneven pads."""
    return f"{node.kernel}, stride={node.strides}, padding={node.padding}"


def padded(node: Node, x: str, value: str) -> str:
    """`x`, or where pads are uneven `F.nn.pad` of it."""
    return x if node.even else f"F.nn.pad({x}, {((0, 0), (0, 0), *node.pads)}, constant_value={value})"
