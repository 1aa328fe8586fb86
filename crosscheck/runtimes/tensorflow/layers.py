"""A network as a function of `tf.layers` or `tf.contrib.layers`, called in a graph."""

from __future__ import annotations

from packaging.version import Version

from crosscheck.runtimes.family.graph import (
    LAYERS,
    Node,
    indented,
    last_axis,
    nodes,
    pairs,
    shared_layers,
    statements,
    stored,
)
from crosscheck.runtimes.family.keras import KEYS, layout, renormalized, value
from crosscheck.runtimes.source import Request, Source, Stored

__all__ = ["BLOCK", "source"]

#: Where operations of the network's graph are made, and Keras finds its session.
BLOCK = "with graph.as_default(), session.as_default():\n"
REUSE = "reuse=tf.AUTO_REUSE"
#: The further variables of a batch renormalization in TensorFlow 1.4, and in 1.15 and later.
RENORMALIZED_WEIGHTED = ("renorm_mean", "renorm_mean_weight", "renorm_stddev", "renorm_stddev_weight")
RENORMALIZED = ("moving_stddev", "renorm_mean", "renorm_stddev")


def source(request: Request) -> Source:
    """`net`, its placeholders, and its variables by name; `training` is False where it is not fed."""
    graph = nodes(request, taken=("tf", "np", "graph", "session", "inputs", "training", "outputs", "variables"))
    shared = shared_layers(graph, request)
    body, names = statements(graph, request.input, lambda node, inputs: expression(node, inputs, request))
    output = names[request.output]
    text = (
        "\ndef net(x, training):\n"
        + indented([f"x = {channels_last('x', len(request.input_shape))}"] if len(request.input_shape) > 2 else [])
        + indented(body)
        + indented([f"return {channels_first(output, len(graph[-1].output_shape))}"])
        + f"\n\n{BLOCK}"
        + indented(
            [
                f"inputs = tf.placeholder(tf.float32, {(None, *request.input_shape[1:])})",
                "training = tf.placeholder_with_default(False, [])",
                f"cotangents = tf.placeholder(tf.float32, {(None, *request.graph['outputs'][0]['shape'][1:])})",
                "outputs = net(inputs, training)",
                *created(request),
            ]
        )
    )
    for node in graph:
        if node.op in LAYERS and node not in shared:
            for variable, content in contents(node, request).items():
                text += f'    variables["{node.id}/{variable}"].load({content}, session)\n'

    def place(node: Node, number: int) -> Stored:
        return f'session.run(variables["{node.id}/{KEYS[node.op][number]}"])', layout(node, number)

    return Source(
        imports="import numpy as np\nimport tensorflow as tf\n",
        text=text,
        predict="y = session.run(outputs, {inputs: x})\n",
        tensor="{}",
        array="{}",
        tensors=stored(graph, place),
        public=trainable(graph, request),
    )


def created(request: Request) -> list[str]:
    """Finds the updates and variables of the network, and initializes those that no other network has."""
    if request.first is None:
        return [
            "update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)",
            "variables = {variable.op.name: variable for variable in tf.global_variables()}",
            "session.run(tf.global_variables_initializer())",
        ]
    return [
        "update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)[len(update_ops):]",
        "new = {v.op.name: v for v in tf.global_variables() if v.op.name not in variables}",
        "session.run(tf.variables_initializer(list(new.values())))",
        "variables = dict(variables, **new)",
    ]


def contents(node: Node, request: Request) -> dict[str, str]:
    """What the variables of a layer are to hold."""
    found = {key: value(node, number) for number, key in enumerate(KEYS[node.op][: len(node.weights)])}
    if node.op == "BatchNormalization" and request.norm.get("renorm"):
        further = renormalized(node)
        keys = RENORMALIZED if request.release >= Version("1.15") else RENORMALIZED_WEIGHTED
        found.update({key: further[key] for key in keys})
    return found


def trainable(graph: list[Node], request: Request) -> tuple[str, ...]:
    """The weights whose variables `tf.trainable_variables()` shows."""
    return tuple(
        name
        for node in graph
        if node.op in LAYERS and (node.op != "BatchNormalization" or request.norm.get("trainable", True))
        for name in node.weights[:2]
    )


def expression(node: Node, inputs: list[str], request: Request) -> str:
    """One layer or function."""
    attributes, x = node.attributes, inputs[0]
    match node.op:
        case "BatchNormalization":
            return batch_norm(node, x, request)
        case "Conv":
            return convolution(node, x)
        case "Gemm":
            return f'tf.layers.dense({x}, {node.weight_shapes[0][0]}, name="{node.id}", {REUSE})'
        case "Add":
            return " + ".join(inputs)
        case "Concat":
            axis = attributes["axis"]
            return f"tf.concat([{', '.join(inputs)}], {last_axis(axis, node.rank)})"
        case "Flatten":
            return f"tf.reshape({channels_first(x, node.rank)}, {[-1, node.output_shape[1]]})"
        case "GlobalAveragePool":
            return f"tf.reduce_mean({x}, {list(range(1, node.rank - 1))}, True)"
        case "MaxPool":
            return pool(node, "MAX", padded(node, x, 'float("-inf")'))
        case "AveragePool":
            mean = pool(node, "AVG", padded(node, x))
            if attributes["count_include_pad"] or not any(attributes["pads"]):
                return mean
            return f"{mean} / {pool(node, 'AVG', padded(node, f'tf.ones_like({x})'))}"
        case "Softmax":
            rank = node.rank  # ONNX's last axis, which with images is not TensorFlow's
            return channels_last(f"tf.nn.softmax({channels_first(x, rank)})", rank)
    return f"tf.nn.relu({x})"


def batch_norm(node: Node, x: str, request: Request) -> str:
    """`tf.layers.batch_normalization`, or that of contrib."""
    momentum, epsilon = node.attributes["momentum"], node.attributes["epsilon"]
    told = "".join(f", {key}={given!r}" for key, given in request.norm.items())
    if request.kind == "contrib":
        return (
            f"tf.contrib.layers.batch_norm({x}, decay={momentum}, epsilon={epsilon}, scale=True, "
            f'is_training=training{told}, scope="{node.id}", {REUSE})'
        )
    return (
        f"tf.layers.batch_normalization({x}, momentum={momentum}, epsilon={epsilon}, training=training{told}, "
        f'name="{node.id}", {REUSE})'
    )


def convolution(node: Node, x: str) -> str:
    """`tf.layers.conv1d` or `conv2d`."""
    attributes = node.attributes
    words = [padded(node, x), str(node.weight_shapes[0][0]), str(tuple(attributes["kernel_shape"]))]
    words += [f"strides={tuple(attributes['strides'])}"] * any(step != 1 for step in attributes["strides"])
    words += [f"dilation_rate={tuple(attributes['dilations'])}"] * any(step != 1 for step in attributes["dilations"])
    words += [f"groups={attributes['group']}"] * (attributes["group"] != 1)  # which they refuse
    words += ["use_bias=False"] * (len(node.weights) == 1)
    return f'tf.layers.conv{node.rank - 2}d({", ".join(words)}, name="{node.id}", {REUSE})'


def pool(node: Node, kind: str, x: str) -> str:
    """A pool without a border."""
    kernel, strides = node.attributes["kernel_shape"], node.attributes["strides"]
    return f'tf.nn.pool({x}, {list(kernel)}, "{kind}", "VALID", strides={list(strides)})'


def padded(node: Node, x: str, border: str = "") -> str:
    """`x` with a border, if the node has one."""
    pads = node.attributes["pads"]
    if not any(pads):
        return x
    everywhere = [[0, 0], *map(list, pairs(pads)), [0, 0]]
    return f"tf.pad({x}, {everywhere}{border and f', constant_values={border}'})"


def channels_last(x: str, rank: int) -> str:
    """TensorFlow's layout."""
    return f"tf.transpose({x}, {(0, *range(2, rank), 1)})" if rank > 2 else x


def channels_first(x: str, rank: int) -> str:
    """ONNX's layout."""
    return f"tf.transpose({x}, {(0, rank - 1, *range(1, rank - 1))})" if rank > 2 else x
