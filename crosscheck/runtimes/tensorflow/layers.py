"""A network as a function of `tf.layers` or `tf.contrib.layers`, called in a graph."""

from __future__ import annotations

from packaging.version import Version

from crosscheck.runtimes.family.graph import Graph, Node, indented, kernel_from_last, last_axis
from crosscheck.runtimes.family.keras import ABSENCES, KEYS, content, keywords, renormalized, virtual
from crosscheck.runtimes.family.layers import options
from crosscheck.runtimes.family.pools import average
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
    graph = Graph.of(request, ("tf", "np", "graph", "session", "inputs", "training", "outputs", "variables"), ABSENCES)
    body, output = graph.statements(lambda node, inputs: expression(node, inputs, request))
    text = (
        "\ndef net(x, training):\n"
        + indented([f"x = {channels_last('x', len(request.input_shape))}"] if len(request.input_shape) > 2 else [])
        + indented(body)
        + indented([f"return {channels_first(output, len(graph.output_shape))}"])
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
    for node in graph.own:
        for variable, numbers in contents(node, graph).items():
            text += f'    variables["{node.id}/{variable}"].load({numbers}, session)\n'

    def place(node: Node, number: int) -> Stored:
        value = f'session.run(variables["{node.id}/{KEYS[node.op][number]}"])'
        return value + (".reshape(-1)" if virtual(node, request) else ""), kernel_from_last(node, number)

    # Those whose variables `tf.trainable_variables()` shows.
    frozen = () if request.norm.get("trainable", True) else graph.norms
    trained = [node for node in graph.layers if node not in frozen]
    return Source(
        imports="import numpy as np\nimport tensorflow as tf\n",
        text=text,
        predict="y = session.run(outputs, {inputs: x})\n",
        tensor="{}",
        array="{}",
        tensors=graph.stored(place),
        public=tuple(node.weights[n] for node in trained for n in graph.held(node) if n < 2),
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


def contents(node: Node, graph: Graph) -> dict[str, str]:
    """What the variables of a layer are to hold."""
    request = graph.request
    found = {KEYS[node.op][number]: content(node, number, request) for number in graph.held(node)}
    if node.op == "BatchNormalization" and request.norm.get("renorm"):
        further = renormalized(node)
        keys = RENORMALIZED if request.release >= Version("1.15") else RENORMALIZED_WEIGHTED
        found.update({key: further[key] for key in keys})
    return found


def expression(node: Node, inputs: list[str], request: Request) -> str:
    """One layer or function."""
    x = inputs[0]
    match node.op:
        case "BatchNormalization":
            return batch_norm(node, x, request)
        case "Conv":
            return convolution(node, x)
        case "Gemm":
            return f'tf.layers.dense({x}, {node.filters}, name="{node.id}", {REUSE})'
        case "Add":
            return " + ".join(inputs)
        case "Concat":
            return f"tf.concat([{', '.join(inputs)}], {last_axis(node.attributes['axis'], node.rank)})"
        case "Flatten":
            return f"tf.reshape({channels_first(x, node.rank)}, {[-1, node.output_shape[1]]})"
        case "GlobalAveragePool":
            return f"tf.reduce_mean({x}, {list(range(1, node.rank - 1))}, True)"
        case "MaxPool":
            return pool(node, "MAX", padded(node, x, 'float("-inf")'))
        case "AveragePool":
            return average(node, x, lambda x: pool(node, "AVG", padded(node, x)), "tf.ones_like({})")
        case "Softmax":
            rank = node.rank  # ONNX's last axis, which with images is not TensorFlow's
            return channels_last(f"tf.nn.softmax({channels_first(x, rank)})", rank)
    return f"tf.nn.relu({x})"


def batch_norm(node: Node, x: str, request: Request) -> str:
    """`tf.layers.batch_normalization`, or that of contrib."""
    told = keywords(node, request)
    if request.kind == "contrib":
        # Its own default is no scale.
        told = told.replace("momentum=", "decay=").replace(", scale=False", "")
        scaled = "" if request.norm.get("scale") is False else ", scale=True"
        return f'tf.contrib.layers.batch_norm({x}, {told}{scaled}, is_training=training, scope="{node.id}", {REUSE})'
    return f'tf.layers.batch_normalization({x}, {told}, training=training, name="{node.id}", {REUSE})'


def convolution(node: Node, x: str) -> str:
    """`tf.layers.conv1d` or `conv2d`."""
    words = [padded(node, x), str(node.filters), str(node.kernel), *[f"strides={node.strides}"] * node.strided]
    words += options(node, "dilation_rate", "groups", "use_bias=False")  # it refuses groups
    return f'tf.layers.conv{node.rank - 2}d({", ".join(words)}, name="{node.id}", {REUSE})'


def pool(node: Node, kind: str, x: str) -> str:
    """A pool without a border."""
    return f'tf.nn.pool({x}, {list(node.kernel)}, "{kind}", "VALID", strides={list(node.strides)})'


def padded(node: Node, x: str, border: str = "") -> str:
    """`x` with a border, if the node has one."""
    if not node.padded:
        return x
    everywhere = [[0, 0], *map(list, node.pads), [0, 0]]
    return f"tf.pad({x}, {everywhere}{border and f', constant_values={border}'})"


def channels_last(x: str, rank: int) -> str:
    """TensorFlow's layout."""
    return f"tf.transpose({x}, {(0, *range(2, rank), 1)})" if rank > 2 else x


def channels_first(x: str, rank: int) -> str:
    """ONNX's layout."""
    return f"tf.transpose({x}, {(0, rank - 1, *range(1, rank - 1))})" if rank > 2 else x
