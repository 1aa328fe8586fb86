"""A network as a functional model of `tf.layers`: channels last behind a permutation of the input, or first throughout.

What a layer cannot say it is not made to say: groups of a convolution, and windows over one axis, are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from packaging.version import Version

from crosscheck.runtimes.family.graph import Graph, Node, indented, kernel_from_last, kernel_to_last, last_axis
from crosscheck.runtimes.family.keras import ABSENCES
from crosscheck.runtimes.source import Request, Source, Stored, Unwritten
from crosscheck.runtimes.tfjs.pools import AVERAGE, MAXIMUM

__all__ = ["SHOWS_LAYERS", "source"]

SHOWS_LAYERS = True

#: Until then the CPU backend was a part of the core, and `setBackend` no promise.
PARTS_SINCE = Version("2")
#: The names of `imports`, and JavaScript's reserved words that Python has no use for.
TAKEN = (
    *("tf", "core", "parts", "tensor", "array", "network", "first", "input", "weights", "layers"),
    *("case", "catch", "const", "debugger", "default", "delete", "do", "enum", "export", "extends", "function", "let"),
    *("implements", "instanceof", "interface", "new", "null", "package", "private", "protected", "public", "static"),
    *("super", "switch", "this", "throw", "true", "false", "typeof", "undefined", "var", "void"),
)
#: Characters of a line.
WIDTH = 100
TO_LAST, TO_FIRST = [2, 3, 1], [3, 1, 2]


def source(request: Request) -> Source:
    """The model; the last layer of every node has its name."""
    graph = Graph.of(request, TAKEN, ABSENCES)
    first = request.kind == "channels-first"

    def expression(node: Node, inputs: list[str]) -> str:
        value = inputs[0] if len(inputs) == 1 else f"[{', '.join(inputs)}]"
        own = (
            [*padding(node, first), f'first.getLayer("{node.id}")']
            if node in graph.shared
            else layers(node, first, request.norm)
        )
        return "\n".join([value, *own])

    lines, result = graph.statements(expression)
    body = [step for line in lines for step in applied(line)]
    if len(request.input_shape) == 4 and not first:
        body.insert(0, f"x = {permute(TO_LAST)}.apply(x)")
    if len(graph.output_shape) == 4 and not first:
        result = f"{permute(TO_FIRST)}.apply({result})"
    text = pool_classes(graph) + ("" if request.first is None else "const first = net;\n")
    text += "function network(x) {\n" + block([*body, f"return {result}"]) + "}\n\n"
    text += f"const input = tf.input({{ shape: {list(request.input_shape[1:])} }});\n"
    text += "net = tf.model({ inputs: input, outputs: network(input) });\n"
    text += "".join(set_weights(node, graph) for node in graph.own)
    return Source(
        imports=imports(request.release),
        text=text,
        predict="y = net.predict(x);\n",
        tensor="tensor({})",
        array="array({})",
        layers=outputs(graph, first) if request.asks == "prediction" else "",
        tensors=graph.stored(lambda node, number: place(node, number, graph)),
        public=graph.parameters,
    )


def imports(release: Version) -> str:
    """The parts of `@tensorflow/tfjs` that are needed, as the package itself puts them together."""
    parts = release >= PARTS_SINCE
    return (
        'import * as core from "@tensorflow/tfjs-core";\nimport * as parts from "@tensorflow/tfjs-layers";\n'
        + ('import "@tensorflow/tfjs-backend-cpu";\n' if parts else "")
        + "\nconst tf = { ...core, ...parts }; // as @tensorflow/tfjs exports them\n"
        + f'{"await " if parts else ""}tf.setBackend("cpu");\n'
        + "const tensor = ({ shape, data }) => tf.tensor(data, shape);\n"
        + "const array = (tensor) => ({ shape: tensor.shape, data: tensor.dataSync() });\n"
    )


def layers(node: Node, first: bool, norm: Mapping[str, Any]) -> list[str]:
    """The layer of an operator, or several one after the other, the last with the node's name."""
    name = [f'name: "{node.id}"']
    attributes = node.attributes
    data_format = ['dataFormat: "channelsFirst"'] if first else []
    match node.op:
        case "BatchNormalization":
            axis = ["axis: 1"] if first else []
            facts = [f"{key}: {attributes[key]}" for key in ("momentum", "epsilon")]
            told = [f"{key}: {json.dumps(value)}" for key, value in norm.items()]
            return [call("batchNormalization", [*name, *axis, *facts, *told])]
        case "Conv":
            return [*padding(node, first), call("conv2d", [*name, *convolution(node), *data_format])]
        case "Gemm":
            return [call("dense", [*name, f"units: {node.filters}"])]
        case "Relu":
            return [call("reLU", name)]
        case "Softmax":
            return [call("softmax", name)]
        case "Add":
            return [call("add", name)]
        case "Concat":
            joined = attributes["axis"] if first else last_axis(attributes["axis"], node.rank)
            return [call("concatenate", [*name, f"axis: {joined}"])]
        case "Flatten":
            return [*([permute(TO_FIRST)] if node.rank == 4 and not first else []), call("flatten", name)]
        case "GlobalAveragePool":
            shape = [node.channels, 1, 1] if first else [1, 1, node.channels]
            return [call("globalAveragePooling2d", data_format), call("reshape", [*name, f"targetShape: {shape}"])]
    return pool(node, first, name)


def pool(node: Node, first: bool, name: list[str]) -> list[str]:
    """MaxPool or AveragePool; one whose layer cannot say its pads is a class of the text's own, with channels last."""
    refuse_one_axis(node)
    facts = [f"poolSize: {list(node.kernel)}", f"strides: {list(node.strides)}"]
    if pool_class(node):
        own = f"new {pool_class(node)}({{ {', '.join([*name * (not first), *facts, f'padding: {sides(node)}'])} }})"
        return [permute(TO_LAST), own, permute(TO_FIRST, name)] if first else [own]
    data_format = ['dataFormat: "channelsFirst"'] if first else []
    kind = "maxPooling2d" if node.op == "MaxPool" else "averagePooling2d"
    return [*padding(node, first), call(kind, [*name, *facts, *data_format])]


def pool_class(node: Node) -> str:
    """The class of a padded pool; a padded average that counts its pads is an average of zeros, too."""
    if node.op not in ("MaxPool", "AveragePool") or not node.padded:
        return ""
    if node.op == "MaxPool":
        return "PaddedMaxPool"
    return "" if node.attributes["count_include_pad"] else "PaddedAveragePool"


def pool_classes(graph: Graph) -> str:
    """The definitions of the classes that the network uses."""
    used = {pool_class(node) for node in graph}
    return (MAXIMUM if "PaddedMaxPool" in used else "") + (AVERAGE if "PaddedAveragePool" in used else "")


def padding(node: Node, first: bool) -> list[str]:
    """A layer of zeros around the input of a convolution or a pool, if it has pads."""
    if not node.padded:
        return []
    return [call("zeroPadding2d", [f"padding: {sides(node)}", *(['dataFormat: "channelsFirst"'] if first else [])])]


def convolution(node: Node) -> list[str]:
    """What a convolution is told."""
    refuse_one_axis(node)
    if node.attributes["group"] != 1:
        raise Unwritten("Conv with groups")
    facts = [f"filters: {node.filters}", f"kernelSize: {list(node.kernel)}"]
    facts += [f"strides: {list(node.strides)}"] * node.strided
    facts += [f"dilationRate: {list(node.dilations)}"] * node.dilated
    return facts + ["useBias: false"] * (not node.biased)


def refuse_one_axis(node: Node) -> None:
    """Layers over one axis are not written here."""
    if node.rank != 4:
        raise Unwritten(f"{node.op} over one axis")


def sides(node: Node) -> list[list[int]]:
    """The pads as [[top, bottom], [left, right]]."""
    return [list(pair) for pair in node.pads]


def call(name: str, facts: Sequence[str]) -> str:
    """A layer of the library."""
    return f"tf.layers.{name}({{ {', '.join(facts)} }})" if facts else f"tf.layers.{name}({{}})"


def permute(dims: Sequence[int], name: Sequence[str] = ()) -> str:
    """A layer that moves the axes behind the first, which are counted from 1."""
    return call("permute", [*name, f"dims: {list(dims)}"])


def applied(line: str) -> list[str]:
    """One statement a layer, of `variable = value` and layers on lines of their own; all variables but `x` are new."""
    variable, _, chain = line.partition(" = ")
    value, *own = chain.split("\n")
    target = variable if variable == "x" else f"{'let' if len(own) > 1 else 'const'} {variable}"
    made = []
    for layer in own:
        made.append(f"{target} = {layer}.apply({value})")
        target = value = variable
    return made


def block(lines: Sequence[str]) -> str:
    """The lines of a function's body."""
    return indented(f"{line};" for line in lines).replace("    ", "  ")


def set_weights(node: Node, graph: Graph) -> str:
    """The statement that gives a layer its weights, on one line or on one a weight."""
    values = [value(node, number) for number in graph.held(node)]
    begin, end = f'net.getLayer("{node.id}").setWeights([', "]);\n"
    short = begin + ", ".join(values) + end
    return short if len(short) <= WIDTH else f"{begin}\n" + "".join(f"  {value},\n" for value in values) + end


def value(node: Node, number: int) -> str:
    """A weight as the layer holds it: kernels (height, width, in, out), matrices (in, out)."""
    made = f"tensor(weights[{json.dumps(node.weights[number])}])"
    moved = kernel_to_last(node, number)
    return f"tf.transpose({made}, {list(moved)})" if moved else made


def place(node: Node, number: int, graph: Graph) -> Stored:
    """Where the model keeps a weight, and the order of axes that makes ONNX's layout of it."""
    index = graph.held(node).index(number)
    return f'net.getLayer("{node.id}").weights[{index}].read()', kernel_from_last(node, number)


def outputs(graph: Graph, first: bool) -> str:
    """A model of the same layers that puts out every node's output, asked as the mode's intent wants it."""
    names = ", ".join(f'"{node.id}"' for node in graph)
    asked = "apply(x, { training: true })" if graph.request.intent == "training" else "predict(x)"
    lines = [
        f"const outputs = [{names}].map((name) => net.getLayer(name).output);",
        f"const values = [tf.model({{ inputs: net.inputs, outputs }}).{asked}].flat();",
        "layers = {",
    ]
    for number, node in enumerate(graph):
        last = len(node.output_shape) == 4 and not first
        moved = f"tf.transpose(values[{number}], [0, 3, 1, 2])" if last else f"values[{number}]"
        lines.append(f"  {json.dumps(node.output)}: {moved},")
    return "\n".join([*lines, "};\n"])
