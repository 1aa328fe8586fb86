"""Until 0.10: `equinox.experimental.BatchNorm`, whose statistics a callback writes to a cache outside of the model."""

from typing import Any, Callable, Dict, Optional

import numpy as np

from crosscheck.probe.adapter import Array, Network
from crosscheck.probe.modes import Between, Call, Make, Table
from crosscheck.runtimes.equinox import contracts
from crosscheck.runtimes.equinox.graph import BATCH, FUNCTIONS, KEYS, Node, convolution, dense, nodes
from crosscheck.runtimes.equinox.stateful import shaped

TABLE = Table(until="0.10.2", kind="experimental")


class Hidden:
    """A model whose batch normalizations have an index into the cache; networks with the same layers have the same."""

    def __init__(self, eqx: Any, jax: Any, network: Network, fresh: bool, shares: Optional["Hidden"]) -> None:
        self.eqx, self.jax = eqx, jax
        self.program = nodes(network)
        self.calls: Dict[str, Call] = {}
        known: Any = shares.model.layers if shares else {}
        layers = {
            node.name: known[node.name] if node.name in known else made(eqx, jax, node, network, fresh)
            for node in self.program
            if node.op in KEYS
        }
        self.model: Any = graph(eqx, jax, network)(layers)
        self.call = eqx.filter_jit(lambda model, x: batched(jax, model)(x))

    def predict(self, x: Any) -> Any:
        """`tree_inference`."""
        return self.call(self.eqx.tree_inference(self.model, True), x)

    def arrays(self) -> Any:
        """Nothing of it shows; `effects_barrier` waits for callbacks."""
        return ()

    def state(self) -> Dict[str, Array]:
        """Parameters, and the statistics as the cache has them."""
        found = self.parameters()
        for node in self.program:
            if node.op == "BatchNormalization":
                layer = self.model.layers[node.name]
                pair = layer.state_index.unsafe_get()[0]
                found.update({name: np.array(value) for name, value in zip(node.inputs[3:], pair)})
                found[node.name + ".first_time"] = np.array(layer.first_time_index.unsafe_get()[0])
        return found

    def parameters(self) -> Dict[str, Array]:
        """The model's arrays."""
        return {
            name: np.asarray(getattr(self.model.layers[node.name], key)).reshape(shaped(node, key))
            for node in self.program
            if node.op in KEYS
            for name, key in zip(node.inputs[1:], KEYS[node.op])
        }


def made(eqx: Any, jax: Any, node: Node, network: Network, fresh: bool) -> Any:
    """A layer with the network's weights; `set_state` gives it its statistics."""
    asarray = jax.numpy.asarray
    if node.op == "BatchNormalization":
        layer = eqx.experimental.BatchNorm(
            node.shape[0], BATCH, eps=node.attributes["epsilon"], momentum=node.attributes["momentum"]
        )
        eqx.experimental.set_state(layer.state_index, tuple(asarray(network.weights[name]) for name in node.inputs[3:]))
        eqx.experimental.set_state(layer.first_time_index, asarray(np.bool_(fresh)))
    else:
        layer = (convolution if node.op == "Conv" else dense)(eqx, node, jax.random.PRNGKey(0))
    for name, key in zip(node.inputs[1:], KEYS[node.op]):
        value = asarray(network.weights[name].reshape(getattr(layer, key).shape))
        layer = eqx.tree_at(lambda layer, key=key: getattr(layer, key), layer, value)
    return layer


def graph(eqx: Any, jax: Any, network: Network) -> Any:
    """The class of the network."""
    program = nodes(network)
    data, output = network.graph["inputs"][0]["name"], network.graph["outputs"][0]["name"]

    class Graph(eqx.Module):  # type: ignore[misc]
        """Layers where there are parameters, functions elsewhere; for one example."""

        layers: Dict[str, Any]

        def __call__(self, x: Any, **norm: Any) -> Any:
            """The output for x; `norm` is for the batch normalizations."""
            values = {data: x}
            for node in program:
                inputs = [values[name] for name in node.inputs if name in values]
                if node.op in KEYS:
                    keywords = norm if node.op == "BatchNormalization" else {}
                    values[node.output] = self.layers[node.name](inputs[0], **keywords)
                else:
                    values[node.output] = FUNCTIONS[node.op](jax, eqx, node, *inputs)
            return values[output]

    return Graph


def batched(jax: Any, model: Callable[..., Any]) -> Callable[..., Any]:
    """The model for a batch."""
    function: Callable[..., Any] = jax.vmap(model, axis_name=BATCH)
    return function


def gradient(tree_inference: bool = False, compiled: bool = True, checkpoint: bool = False, **norm: bool) -> Make:
    """`jax.grad`; `norm`: keywords of the batch normalizations' calls."""

    def make(eqx: Any, jax: Any, hidden: Hidden) -> Call:
        def input_gradient(model: Any, x: Any, cotangent: Any) -> Any:
            def forward(x: Any) -> Any:
                return batched(jax, lambda x: model(x, **norm))(x)

            called = jax.checkpoint(forward) if checkpoint else forward
            return jax.grad(lambda x: (called(x) * cotangent).sum())(x)

        call = eqx.filter_jit(input_gradient) if compiled else input_gradient

        def ask(x: Any, cotangent: Any, between: Between) -> Any:
            return call(eqx.tree_inference(hidden.model, True) if tree_inference else hidden.model, x, cotangent)

        return ask

    return make


def apart(eqx: Any, jax: Any, hidden: Hidden) -> Call:
    """Forward and backward by `jax.vjp`."""
    forward = eqx.filter_jit(lambda model, x: jax.vjp(batched(jax, model), x))
    backward = eqx.filter_jit(lambda pull_back, cotangent: pull_back(cotangent))

    def ask(x: Any, cotangent: Any, between: Between) -> Any:
        _, pull_back = forward(hidden.model, x)
        between()
        return backward(pull_back, cotangent)[0]

    return ask


def prediction(inference: bool) -> Make:
    """A forward pass, and no gradient."""

    def make(eqx: Any, jax: Any, hidden: Hidden) -> Call:
        return lambda x: hidden.call(eqx.tree_inference(hidden.model, True) if inference else hidden.model, x)

    return make


BATCHED = "jax.vmap(model, axis_name='batch')(x)"
LOSS = "dx = jax.grad(lambda x: (" + BATCHED + " * cotangent).sum())(x)"
INFERENCE = "model = eqx.tree_inference(model, True)\n"


def mode(name: str, intent: str, call: str, contract: Any, make: Make, asks: str = "gradient") -> None:
    """Enter a mode; those of fresh layers are compared with such."""
    fresh = ".fresh" if name.startswith("fresh") else ""
    TABLE.mode(
        "experimental." + name,
        intent,
        call + ("  # the layers are fresh" if fresh else ""),
        contract,
        inference="experimental" + fresh + ".inference.grad",
        training="experimental" + fresh + ".train.grad",
        asks=asks,
        default=name in ("inference.grad", "train.grad", "fresh.train.grad", "predict"),
    )(make)


FLAGGED = LOSS.replace("vmap(model,", "vmap(lambda x: model(x, inference={}),")
mode("inference.grad", "inference", INFERENCE + LOSS, contracts.EXPERIMENTAL_INFERENCE, gradient(tree_inference=True))
mode(
    "inference-flag.grad",
    "inference",
    FLAGGED.format(True),
    contracts.EXPERIMENTAL_INFERENCE,
    gradient(inference=True),
)
mode("train.grad", "training", LOSS, contracts.EXPERIMENTAL, gradient())
mode("train.grad.eager", "training", LOSS + "  # not compiled", contracts.EXPERIMENTAL, gradient(compiled=False))
mode(
    "train.checkpoint",
    "training",
    LOSS.replace("jax.vmap(model", "jax.checkpoint(jax.vmap(model").replace(")(x) *", "))(x) *"),
    contracts.EXPERIMENTAL_CHECKPOINTED,
    gradient(checkpoint=True),
)
mode(
    "train.vjp",
    "training",
    "y, pull_back = jax.vjp(jax.vmap(model, axis_name='batch'), x)\ndx, = pull_back(cotangent)",
    contracts.EXPERIMENTAL,
    apart,
)
mode(
    "fresh.inference.grad",
    "inference",
    INFERENCE + LOSS,
    contracts.EXPERIMENTAL_INFERENCE,
    gradient(tree_inference=True),
)
mode("fresh.train.grad", "training", LOSS, contracts.EXPERIMENTAL, gradient())
mode(
    "predict",
    "inference",
    INFERENCE + "y = " + BATCHED,
    contracts.EXPERIMENTAL_INFERENCE,
    prediction(True),
    "prediction",
)
mode("train.forward", "training", "y = " + BATCHED, contracts.EXPERIMENTAL, prediction(False), "prediction")
