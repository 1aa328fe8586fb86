"""A network as source text: a module for one example, which `vmap` calls on a batch.

Since 0.11 the statistics lie in a state that goes in beside the input and comes out beside the output; until 0.10 in a
cache outside of every array that the user sees.
"""

from __future__ import annotations

from packaging.version import Version

from crosscheck.runtimes.family import numpy_like
from crosscheck.runtimes.family.graph import Graph, Node, concluded
from crosscheck.runtimes.family.layers import class_with_layers, options
from crosscheck.runtimes.family.pools import average
from crosscheck.runtimes.source import Request, Source, Stored

__all__ = ["source"]

#: The first release whose batch normalization has a `mode`; before, it is what "ema" is since.
MODE = Version("0.13")
#: How many batches a layer with statistics has seen, unless it is fresh: enough that momentum to that power is 0.
LONG_TRAINED = 100000
KEYS = ("weight", "bias")
#: How a module for one example is called on a batch, if a state goes in and comes out, and if not.
CALL = {
    True: """\
@eqx.filter_jit
def call(net, state, x):
    return jax.vmap(net, axis_name="batch", in_axes=(0, None), out_axes=(0, None))(x, state)
""",
    False: """\
@eqx.filter_jit
def call(net, x):
    return jax.vmap(net, axis_name="batch")(x)
""",
}


def source(request: Request) -> Source:
    """The network with the kind of batch normalization that the mode is of."""
    taken = ("call", "inference", "key", "loss", "state")
    graph = Graph.of(request, taken, operators=numpy_like.JAX_EXAMPLE.operators)
    passed = request.kind != "experimental"
    tensors = graph.stored(lambda node, number: place(request, node, number))
    for node in graph.norms:
        tensors |= hidden(request, node)
    predict = "y, _ = call(eqx.nn.inference_mode(net), state, x)\n" if passed else "y = call(inference, x)\n"
    return Source(
        imports="import equinox as eqx\nimport jax\nimport jax.numpy as jnp\n",
        text=module(graph, passed) + made(graph, passed) + CALL[passed],
        predict=predict if passed else "inference = eqx.tree_inference(net, True)\n" + predict,
        tensor="jnp.array({})",
        array="{}",
        tensors=tensors,
        public=graph.parameters,
        carried=("state",) if passed else (),
    )


def module(graph: Graph, passed: bool) -> str:
    """The class of the network. passed: whether a state goes in and comes out."""
    body, result = graph.statements(lambda node, inputs: expression(node, inputs, passed))
    if passed:
        norms = [node.op == "BatchNormalization" for node in graph]
        body = [line.replace(" = ", ", state = ", 1) if norm else line for line, norm in zip(body, norms, strict=True)]
        result += ", state"
    return class_with_layers(
        "Net(eqx.Module)",
        [f"self.{node.id} = {layer(graph.request, node)}" for node in graph.layers],
        concluded(body, result),
        method=f"__call__(self, x{', state' if passed else ''}, inference=None)",
        arguments="self, key",
        fields=[*(f"{node.id}: eqx.Module" for node in graph.layers), ""],
    )


def layer(request: Request, node: Node) -> str:
    """The constructor of a layer."""
    attributes = node.attributes
    match node.op:
        case "BatchNormalization":
            mode = f', mode="{request.kind}"' if request.release >= MODE else ""
            where = "eqx.experimental" if request.kind == "experimental" else "eqx.nn"
            affine = "" if request.norm.get("affine", True) else ", channelwise_affine=False"
            words = f"eps={attributes['epsilon']}{affine}, momentum={attributes['momentum']}{mode}"
            return f'{where}.BatchNorm({node.filters}, "batch", {words})'
        case "Conv":
            words = ", ".join([window(node), *options(node, "dilation", "groups", "use_bias=False")])
            return f"eqx.nn.Conv{node.rank - 2}d({node.channels}, {node.filters}, {words}, key=key)"
    return f"eqx.nn.Linear({node.channels}, {node.filters}, key=key)"


def window(node: Node) -> str:
    """How the window of a convolution or a pool moves."""
    return f"{node.kernel}, stride={node.strides}, padding={node.pads}"


def expression(node: Node, inputs: list[str], passed: bool) -> str:
    """A call of a layer, or a function, for one example."""
    kind = f"{node.rank - 2}d({window(node)})" if "Pool" in node.op and node.op != "GlobalAveragePool" else ""
    match node.op:
        case "BatchNormalization":
            return f"self.{node.id}({inputs[0]}{', state' if passed else ''}, inference=inference)"
        case "Conv" | "Gemm":
            return f"self.{node.id}({inputs[0]})"
        case "AveragePool":
            return average(node, inputs[0], lambda x: f"eqx.nn.AvgPool{kind}({x})", "jnp.ones_like({})")
        case "MaxPool":
            return f"eqx.nn.MaxPool{kind}({inputs[0]})"
    return numpy_like.function(node, inputs, library=numpy_like.JAX_EXAMPLE)


def made(graph: Graph, passed: bool) -> str:
    """Makes `net`, and `state` if there is one: abstract, as for loading a checkpoint, and then sets its arrays."""
    alone = graph.request.first is None
    maker = "eqx.nn.make_with_state(Net)" if passed and alone else "Net"
    text = ("" if alone else "first = net\n") + ("net, state" if passed and alone else "net")
    text += f" = eqx.filter_eval_shape({maker}, jax.random.PRNGKey(0))  # without initial values\n"
    for node in graph.shared:
        text += f"net = eqx.tree_at(lambda net: net.{node.id}, net, first.{node.id})\n"
    for node in graph.own:
        for number, key in enumerate(KEYS):
            if number in graph.held(node):
                text += f"net = eqx.tree_at(lambda net: net.{node.id}.{key}, net, {array(node, number)})\n"
        if node.op == "BatchNormalization":
            text += statistics(graph.request, node)
    return text + "\n\n"


def array(node: Node, number: int) -> str:
    """A weight for Equinox, which gives a convolution's bias the axes of its output."""
    value = node.values[number]
    if node.op == "Conv" and number == 1:
        value += f".reshape{(-1, *[1] * (node.rank - 2))}"
    return f"jnp.array({value})"


def indices(request: Request, node: Node) -> tuple[str, str]:
    """Where the layer's pair of statistics lies in the state, and what it knows of earlier batches."""
    if request.kind == "batch":
        return f"net.{node.id}.batch_state_index", f"net.{node.id}.batch_counter"
    prefix = "ema_" if request.release >= MODE else ""
    return f"net.{node.id}.{prefix}state_index", f"net.{node.id}.{prefix}first_time_index"


def statistics(request: Request, node: Node) -> str:
    """Sets a batch normalization's statistics, and whether it knows of earlier batches: not if it is fresh."""
    pair, seen = indices(request, node)
    fresh = bool(request.norm.get("fresh"))
    known = f"jnp.asarray({0 if fresh else LONG_TRAINED})" if request.kind == "batch" else f"jnp.bool_({fresh})"
    mean, variance = (f"jnp.array({value})" for value in node.values[2:])
    call = "eqx.experimental.set_state(" if request.kind == "experimental" else "state = state.set("
    return f"{call}{pair}, ({mean}, {variance}))\n{call}{seen}, {known})\n"


def place(request: Request, node: Node, number: int) -> Stored:
    """Where a weight lies; of statistics, those that inference uses."""
    if number < 2:
        return f"net.{node.id}.{KEYS[number]}" + (".ravel()" if node.op == "Conv" and number == 1 else ""), None
    pair, seen = indices(request, node)
    if request.kind == "experimental":
        return f"{pair}.unsafe_get()[0][{number - 2}]", None
    kept = f"state.get({pair})[{number - 2}]"
    if request.kind == "ema":
        return kept, None
    # Corrected as the layer does it; one that has seen no batch has nothing to correct by.
    return f"{kept} / (1 - net.{node.id}.momentum ** (state.get({seen}) or jnp.inf))", None


def hidden(request: Request, node: Node) -> dict[str, Stored]:
    """What the statistics that inference uses are computed from."""
    pair, seen = indices(request, node)
    if request.kind == "experimental":
        return {f"{node.name}.first_time": (f"{seen}.unsafe_get()[0]", None)}
    if request.kind == "ema":
        return {f"{node.name}.first_time": (f"state.get({seen})", None)}
    return {
        f"{node.name}.hidden_mean": (f"state.get({pair})[0]", None),
        f"{node.name}.hidden_var": (f"state.get({pair})[1]", None),
        f"{node.name}.counter": (f"state.get({seen})", None),
    }
