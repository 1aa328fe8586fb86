"""A network as source text: a module of Jittor's own layers, whose layout is ONNX's."""

from __future__ import annotations

from crosscheck.runtimes.family.graph import Graph, Node
from crosscheck.runtimes.family.layers import NAMES_OF_TORCH, options
from crosscheck.runtimes.family.modules import module_class
from crosscheck.runtimes.family.pools import average
from crosscheck.runtimes.source import Request, Source

__all__ = ["SHOWS_LAYERS", "source"]

SHOWS_LAYERS = True

#: What `Module` has under these names is its own.
TAKEN = (
    *("apply", "buffers", "children", "dfs", "eval", "execute", "load", "modules", "named_modules", "parameters"),
    *("register_buffer", "save", "state_dict", "train"),
)


def source(request: Request) -> Source:
    """A module; its layers come from `request.first` where that has them."""
    graph = Graph.of(request, TAKEN)
    body, output = graph.statements(lambda node, inputs: expression(node, inputs, "self"))
    made = [f"self.{node.id} = {layer(node, request)}" for node in graph.layers]
    text = module_class("nn.Module", made, body, output, method="execute", parent="") + graph.adopting()
    own = [
        f'    "{node.id}.{key}": {node.values[number]},\n' for node, number, key in graph.new_weights(NAMES_OF_TORCH)
    ]
    if own:
        text += "net.load_state_dict({\n" + "".join(own) + "})\n"
    half = "train" if request.intent == "training" else "eval"
    looking = graph.shown(lambda node, inputs: expression(node, inputs, "net"))
    return Source(
        imports="import copy\n\nimport jittor as jt\nfrom jittor import nn\n",
        text=text,
        predict="net.eval()\nwith jt.no_grad():\n    y = net(x)\n",
        tensor="jt.array({})",
        array="{}.numpy()",
        layers="\n".join([f"net.{half}()", *looking, ""]),
        tensors=graph.attributes(NAMES_OF_TORCH),
        leaves=("" if request.first is not None else "frozen" if "is_train" in request.norm else "train", "eval"),
    )


def layer(node: Node, request: Request) -> str:
    """A layer. Momentum is the part that is taken from the batch, rounded as a user would write it."""
    attributes = node.attributes
    match node.op:
        case "BatchNormalization":
            told = {"momentum": round(1 - attributes["momentum"], 7), **request.norm}
            words = [
                str(node.filters),
                f"eps={attributes['epsilon']}",
                *(f"{key}={value}" for key, value in told.items()),
            ]
            return f"nn.BatchNorm({', '.join(words)})"
        case "Conv":
            words = [str(node.channels), str(node.filters), str(node.kernel)]
            words += [f"stride={node.strides}"] * node.strided + [f"padding={node.padding}"] * any(node.padding)
            return f"nn.Conv({', '.join([*words, *options(node, 'dilation', 'groups', 'bias=False')])})"
    return f"nn.Linear({node.channels}, {node.filters})"


def padded(node: Node, x: str, value: str) -> str:
    """The input or, where pads are uneven, `nn.ConstantPad2d` of it: left, right, top, bottom."""
    if node.even:
        return x
    top, left, bottom, right = node.attributes["pads"]
    return f"nn.ConstantPad2d({(left, right, top, bottom)}, {value})({x})"


def expression(node: Node, inputs: list[str], net: str) -> str:
    """A call of a layer, which is an attribute of `net`, or a function."""
    attributes, x = node.attributes, inputs[0]
    match node.op:
        case "Add":
            return " + ".join(inputs)
        case "AveragePool":
            return average(node, x, lambda x: pooled(node, "avg", padded(node, x, "0.0")), "jt.ones_like({})")
        case "Concat":
            return f"jt.concat([{', '.join(inputs)}], dim={attributes['axis']})"
        case "Conv":
            return f"{net}.{node.id}({padded(node, x, '0.0')})"
        case "Flatten":
            return f"jt.flatten({x}, 1)"
        case "GlobalAveragePool":
            return f"{x}.mean(dims=(2, 3), keepdims=True)"
        case "MaxPool":
            return pooled(node, "max", padded(node, x, 'float("-inf")'))
        case "Relu":
            return f"nn.relu({x})"
        case "Softmax":
            return f"nn.softmax({x}, dim={attributes['axis']})"
    return f"{net}.{node.id}({x})"


def pooled(node: Node, kind: str, x: str) -> str:
    """`nn.max_pool2d` or `nn.avg_pool2d`: kernel, stride, padding."""
    window = [str(node.kernel), str(node.strides), *[str(node.padding)] * any(node.padding)]
    return f"nn.{kind}_pool2d({', '.join([x, *window])})"
