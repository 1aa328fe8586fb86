"""A network in linen: a module without arrays, and the variables that its user keeps."""

from typing import Any, Dict, Optional

from crosscheck.probe.adapter import Array, Network
from crosscheck.probe.modes import Call
from crosscheck.runtimes.flax.graph import Node, convolution, from_flax, nodes, normalization, places, run, to_flax


class Applied:
    """A linen module, and the variables that its user keeps: {"params": {layer: {key: array}}, "batch_stats": ...}.

    Networks that share layers are applied to one and the same variables; each takes what it has layers for.
    """

    def __init__(self, flax: Any, jax: Any, network: Network, shares: Optional["Applied"]) -> None:
        self.net = module(flax, jax, network)
        self.places = places(nodes(network))
        self.variables: Dict[str, Any] = shares.variables if shares else {"params": {}, "batch_stats": {}}
        self.calls: Dict[str, Call] = {}
        self.shape = (network.batch, *network.graph["inputs"][0]["shape"][1:])
        for name, place in self.places.items():
            layer = self.variables[place.collection].setdefault(place.layer, {})
            if place.key not in layer:
                layer[place.key] = jax.numpy.asarray(to_flax(place, network.weights[name]))
        self.apply = jax.jit(self.net.apply, static_argnames="train")

    def predict(self, x: Any) -> Any:
        """`apply` with the running averages."""
        return self.apply(self.variables, x, train=False)

    def arrays(self) -> Any:
        """Everything that may still be under way."""
        return self.variables

    def state(self) -> Dict[str, Array]:
        """The variables, in the graph's layout."""
        return {
            name: from_flax(place, self.variables[place.collection][place.layer][place.key])
            for name, place in self.places.items()
        }

    def parameters(self) -> Dict[str, Array]:
        """The collection `params`."""
        return {name: value for name, value in self.state().items() if self.places[name].collection == "params"}


def module(flax: Any, jax: Any, network: Network) -> Any:
    """The network as a module; with `frozen` its batch normalizations use the running averages in any case."""
    linen = flax.linen
    program = nodes(network)

    class Graph(linen.Module):  # type: ignore[misc, name-defined]
        """Layers where there are parameters, functions elsewhere."""

        frozen: bool = False

        @linen.compact  # type: ignore[untyped-decorator]
        def __call__(self, x: Any, train: bool) -> Any:
            """The output for x, both in the graph's layout."""

            def layer(node: Node, x: Any) -> Any:
                if node.op == "BatchNormalization":
                    average = self.frozen or not train
                    return linen.BatchNorm(use_running_average=average, name=node.name, **normalization(node))(x)
                units = len(network.weights[node.inputs[1]])
                if node.op == "Gemm":
                    return linen.Dense(units, name=node.name)(x)
                return linen.Conv(units, name=node.name, **convolution(node))(x)

            return run(jax, linen, network, program, layer, x)

    return Graph()
