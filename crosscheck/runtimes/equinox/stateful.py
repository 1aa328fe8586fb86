"""A network from 0.11 on: its state goes in beside the input, and a new one comes out beside the output."""

from inspect import signature
from typing import Any, Callable, Dict, Optional, Tuple

import numpy as np

from crosscheck.probe.adapter import Array, Network
from crosscheck.probe.modes import Call
from crosscheck.runtimes.equinox.graph import BATCH, FUNCTIONS, KEYS, Node, convolution, dense, nodes

#: How many batches a layer with statistics has seen, unless it is fresh: enough that momentum to that power is 0.
LONG_TRAINED = 100000


class Passed:
    """A model and the state that its user keeps in `kept["state"]`, which networks with the same layers share."""

    def __init__(
        self, eqx: Any, jax: Any, network: Network, norm: str, fresh: bool, shares: Optional["Passed"]
    ) -> None:
        self.program = nodes(network)
        self.norm = norm
        self.calls: Dict[str, Call] = {}
        self.shape = (network.batch, *network.graph["inputs"][0]["shape"][1:])
        known: Any = shares.model.layers if shares else {}
        new = [node for node in self.program if node.op in KEYS and node.name not in known]
        if shares and any(node.op == "BatchNormalization" for node in new):
            raise NotImplementedError("the second network has batch normalizations that the first one lacks")
        layers, state = made(eqx, jax, new, network, norm, fresh)
        self.kept: Dict[str, Any] = shares.kept if shares else {"state": state}
        self.model: Any = graph(eqx, jax, network)(dict(known, **layers))
        self.call = eqx.filter_jit(lambda model, state, x: batched(jax, model)(x, state))
        self.eqx = eqx

    def predict(self, x: Any) -> Any:
        """`inference_mode`, and the state that comes back dropped."""
        return self.call(self.eqx.nn.inference_mode(self.model), self.kept["state"], x)[0]

    def arrays(self) -> Any:
        """Everything that may still be under way."""
        return self.kept["state"]

    def state(self) -> Dict[str, Array]:
        """Parameters; the statistics that inference uses; and what those are computed from."""
        found = self.parameters()
        for node in self.program:
            if node.op == "BatchNormalization":
                found.update(statistics(self.norm, node, self.model.layers[node.name], self.kept["state"]))
        return found

    def parameters(self) -> Dict[str, Array]:
        """The model's arrays."""
        return {
            name: np.asarray(getattr(self.model.layers[node.name], key)).reshape(shaped(node, key))
            for node in self.program
            if node.op in KEYS
            for name, key in zip(node.inputs[1:], KEYS[node.op])
        }


def shaped(node: Node, key: str) -> Any:
    """A parameter's shape in the graph: a convolution's bias has axes of its own in Equinox."""
    return node.shape if key == "weight" else (-1,)


def made(eqx: Any, jax: Any, new: Any, network: Network, norm: str, fresh: bool) -> Any:
    """Layers by name with the network's weights, and the state with its statistics.

    They are made abstract, as for loading a checkpoint, so that nothing is drawn.
    """

    def layer(node: Node, key: Any) -> Any:
        if node.op == "BatchNormalization":
            told = {"mode": norm} if "mode" in signature(eqx.nn.BatchNorm).parameters else {}  # until 0.12 it is "ema"
            return eqx.nn.BatchNorm(
                node.shape[0], BATCH, eps=node.attributes["epsilon"], momentum=node.attributes["momentum"], **told
            )
        return (convolution if node.op == "Conv" else dense)(eqx, node, key)

    def all_layers(key: Any) -> Any:
        return {node.name: layer(node, key) for node in new}

    asarray = jax.numpy.asarray
    layers, state = eqx.filter_eval_shape(eqx.nn.make_with_state(all_layers), jax.random.PRNGKey(0))
    state = jax.tree_util.tree_map(lambda leaf: asarray(np.zeros(leaf.shape, leaf.dtype)), state)
    for node in new:
        for name, key in zip(node.inputs[1:], KEYS[node.op]):
            hole = getattr(layers[node.name], key)
            value = asarray(network.weights[name].reshape(hole.shape))
            layers[node.name] = eqx.tree_at(lambda layer, key=key: getattr(layer, key), layers[node.name], value)
        if node.op == "BatchNormalization":
            pair = tuple(asarray(network.weights[name]) for name in node.inputs[3:])
            own = layers[node.name]
            if norm == "batch":
                state = state.set(own.batch_state_index, pair)
                state = state.set(own.batch_counter, asarray(np.int32(0 if fresh else LONG_TRAINED)))
            else:
                pair_index, first_time_index = ema_indices(own)
                state = state.set(pair_index, pair)
                state = state.set(first_time_index, asarray(np.bool_(fresh)))
    return layers, state


def ema_indices(layer: Any) -> Tuple[Any, Any]:
    """Where the state has an exponential average's statistics, and whether no batch has been seen."""
    if hasattr(layer, "ema_state_index"):
        return layer.ema_state_index, layer.ema_first_time_index
    return layer.state_index, layer.first_time_index  # until 0.12


def statistics(norm: str, node: Node, layer: Any, state: Any) -> Dict[str, Array]:
    """What a layer has in the state, under the graph's names as inference takes it, and as it is kept."""
    mean, variance = node.inputs[3:]
    if norm == "ema":
        pair, first = (state.get(index) for index in ema_indices(layer))
        return {mean: np.array(pair[0]), variance: np.array(pair[1]), node.name + ".first_time": np.array(first)}
    hidden = [np.array(values) for values in state.get(layer.batch_state_index)]
    counter = np.array(state.get(layer.batch_counter))
    scale = np.float32(1 if counter == 0 else 1 - np.float32(layer.momentum) ** np.float32(counter))
    return {
        mean: hidden[0] / scale,
        variance: hidden[1] / scale,
        node.name + ".hidden_mean": hidden[0],
        node.name + ".hidden_var": hidden[1],
        node.name + ".counter": counter,
    }


def graph(eqx: Any, jax: Any, network: Network) -> Any:
    """The class of the network."""
    program = nodes(network)
    data, output = network.graph["inputs"][0]["name"], network.graph["outputs"][0]["name"]

    class Graph(eqx.Module):  # type: ignore[misc]
        """Layers where there are parameters, functions elsewhere; for one example."""

        layers: Dict[str, Any]

        def __call__(self, x: Any, state: Any, inference: Optional[bool] = None) -> Any:
            """The output for x and the new state."""
            values = {data: x}
            for node in program:
                inputs = [values[name] for name in node.inputs if name in values]
                if node.op == "BatchNormalization":
                    y, state = self.layers[node.name](inputs[0], state, inference=inference)
                elif node.op in KEYS:
                    y = self.layers[node.name](inputs[0])
                else:
                    y = FUNCTIONS[node.op](jax, eqx, node, *inputs)
                values[node.output] = y
            return values[output], state

    return Graph


def batched(jax: Any, model: Callable[..., Any]) -> Callable[..., Any]:
    """The model for a batch: one state for all of it."""
    function: Callable[..., Any] = jax.vmap(model, axis_name=BATCH, in_axes=(0, None), out_axes=(0, None))
    return function
