"""A network in nnx: a module that holds its arrays, and a mode flag in each batch normalization."""

from typing import Any, Callable, Dict, List, Optional

import numpy as np

from crosscheck.probe.adapter import Array, Network
from crosscheck.probe.modes import Call
from crosscheck.runtimes.flax.graph import Node, convolution, from_flax, nodes, normalization, places, run, to_flax


class Held:
    """An nnx module. `net` is the user's; networks that share layers hold the same layer objects."""

    def __init__(self, flax: Any, jax: Any, network: Network, shares: Optional["Held"]) -> None:
        self.nnx, self.jax = flax.nnx, jax
        self.program = nodes(network)
        self.places = places(self.program)
        self.calls: Dict[str, Call] = {}
        self.shape = (network.batch, *network.graph["inputs"][0]["shape"][1:])
        known: Any = shares.net.layers if shares else {}
        layers = {
            node.name: known[node.name] if node.name in known else self.layer(node, network)
            for node in self.program
            if node.op in LAYERS
        }
        self.net: Any = module(flax, jax, network)(layers)
        self.call = flax.nnx.jit(lambda net, x: net(x))
        self.note()

    def layer(self, node: Node, network: Network) -> Any:
        """A layer with the network's weights: made abstract, as for loading a checkpoint, so that nothing is drawn."""
        shape = network.weights[node.inputs[1]].shape
        layer = self.nnx.eval_shape(lambda: LAYERS[node.op](self.nnx, node, shape))
        for name, place in self.places.items():
            if place.layer == node.name:
                variable, value = (
                    getattr(layer, place.key),
                    self.jax.numpy.asarray(to_flax(place, network.weights[name])),
                )
                if hasattr(variable, "set_value"):
                    variable.set_value(value)
                else:
                    variable.value = value  # until 0.11
        return layer

    def predict(self, x: Any) -> Any:
        """`eval()`, then a call."""
        self.eval()
        return self.call(self.net, x)

    def train(self) -> None:
        """As the user says `net.train()`."""
        self.net.train()
        self.note()

    def eval(self) -> None:
        """As the user says `net.eval()`."""
        self.net.eval()
        self.note()

    def note(self) -> None:
        """Remember the modes that the user has put the batch normalizations into."""
        self.put = self.mode_flags()

    def mode_flags(self) -> List[Any]:
        """The mode flag of each batch normalization."""
        return [norm.use_running_average for norm in self.norms()]

    def arrays(self) -> Any:
        """Everything that may still be under way."""
        return self.jax.tree_util.tree_leaves(self.nnx.state(self.net))

    def norms(self) -> List[Any]:
        """The batch normalizations."""
        return [self.net.layers[node.name] for node in self.program if node.op == "BatchNormalization"]

    def state(self) -> Dict[str, Array]:
        """The variables in the graph's layout, and which batch normalizations somebody else has switched since."""
        found = {
            name: from_flax(place, getattr(self.net.layers[place.layer], place.key)[...])
            for name, place in self.places.items()
        }
        found["switched"] = np.array([now != put for now, put in zip(self.mode_flags(), self.put)], np.int64)
        return found

    def parameters(self) -> Dict[str, Array]:
        """The variables of type `nnx.Param`."""
        shown = {name for name, place in self.places.items() if place.collection == "params"}
        return {name: value for name, value in self.state().items() if name in shown}


def convolution_layer(nnx: Any, node: Node, shape: Any) -> Any:
    """Conv as `nnx.Conv`; `shape` is the weight's, (out, in / group, *window)."""
    group = node.attributes["group"]
    return nnx.Conv(shape[1] * group, shape[0], rngs=nnx.Rngs(0), **convolution(node))


def dense_layer(nnx: Any, node: Node, shape: Any) -> Any:
    """Gemm as `nnx.Linear`; `shape` is the weight's, (out, in)."""
    return nnx.Linear(shape[1], shape[0], rngs=nnx.Rngs(0))


def batch_norm_layer(nnx: Any, node: Node, shape: Any) -> Any:
    """BatchNormalization as `nnx.BatchNorm`, told no mode by its constructor."""
    return nnx.BatchNorm(shape[0], rngs=nnx.Rngs(0), **normalization(node))


LAYERS: Dict[str, Callable[..., Any]] = {
    "BatchNormalization": batch_norm_layer,
    "Conv": convolution_layer,
    "Gemm": dense_layer,
}


def module(flax: Any, jax: Any, network: Network) -> Any:
    """The class of the network."""
    program = nodes(network)

    class Graph(flax.nnx.Module):  # type: ignore[misc]
        """Layers where there are parameters, functions elsewhere."""

        def __init__(self, layers: Dict[str, Any]) -> None:
            self.layers = flax.nnx.Dict(layers)

        def __call__(self, x: Any, **norm: Any) -> Any:
            """The output for x, both in the graph's layout; `norm` is for the batch normalizations."""

            def layer(node: Node, x: Any) -> Any:
                return self.layers[node.name](x, **(norm if node.op == "BatchNormalization" else {}))

            return run(jax, flax.linen, network, program, layer, x)

    return Graph
