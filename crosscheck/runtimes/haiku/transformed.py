"""A network in Haiku: `init` and `apply`, and the parameters and the state that their user keeps."""

from typing import Any, Dict, Optional

import numpy as np

from crosscheck.probe.adapter import Array, Network
from crosscheck.probe.modes import Call
from crosscheck.runtimes.haiku.graph import Node, forward, from_haiku, nodes, to_haiku, weights_of

#: How many batches a layer with averages has seen, unless it is fresh: enough that its decay rate to that power is 0.
LONG_TRAINED = 100000
#: What a batch normalization's two counters are called in its state. They count the same.
COUNTERS = {"mean_ema": "counter", "var_ema": "var_ema.counter"}


class Transformed:
    """A pair of functions, and the parameters and the state that their user keeps; shared layers share those."""

    def __init__(self, hk: Any, jax: Any, network: Network, fresh: bool, shares: Optional["Transformed"]) -> None:
        self.forward = forward(hk, jax, network)
        self.net = hk.transform_with_state(self.forward)
        self.program = nodes(network)
        self.calls: Dict[str, Call] = {}
        self.shape = (network.batch, *network.graph["inputs"][0]["shape"][1:])
        self.kept: Dict[str, Any] = shares.kept if shares else {"params": {}, "state": {}}
        # Shapes are had from `init` without running it, so that nothing is drawn.
        x = np.zeros(self.shape, np.float32)
        shapes = jax.eval_shape(lambda key, x: self.net.init(key, x, is_training=True), jax.random.PRNGKey(0), x)
        for name, node, key in weights_of(self.program):
            if key.endswith("_ema"):
                value = network.weights[name].reshape(shapes[1][average_of(node, key)]["average"].shape)
                started = {"counter": np.int32(LONG_TRAINED), "hidden": value, "average": value}
                if fresh:
                    started.update(counter=np.int32(0), hidden=np.zeros_like(value))
                started = {part: jax.numpy.asarray(number) for part, number in started.items()}
                self.kept["state"].setdefault(average_of(node, key), started)
            else:
                value = to_haiku(key, network.weights[name]).reshape(shapes[0][node.module][key].shape)
                self.kept["params"].setdefault(node.module, {}).setdefault(key, jax.numpy.asarray(value))
        self.apply = jax.jit(self.net.apply, static_argnames=("is_training", "test_local_stats"))

    def predict(self, x: Any) -> Any:
        """`apply` without `is_training`; the state that comes back is dropped."""
        return self.apply(self.kept["params"], self.kept["state"], None, x, is_training=False)[0]

    def arrays(self) -> Any:
        """Everything that may still be under way."""
        return self.kept

    def state(self) -> Dict[str, Array]:
        """Parameters; averages under the graph's names; and the hidden averages and counters behind them."""
        found = self.parameters()
        for name, node, key in weights_of(self.program):
            if key.endswith("_ema"):
                average = self.kept["state"][average_of(node, key)]
                found[name] = from_haiku(key, average["average"])
                found["{}.{}.hidden".format(node.name, key)] = from_haiku(key, average["hidden"])
                found["{}.{}".format(node.name, COUNTERS[key])] = np.asarray(average["counter"])
        return found

    def parameters(self) -> Dict[str, Array]:
        """`params`, in the graph's layout."""
        return {
            name: from_haiku(key, self.kept["params"][node.module][key])
            for name, node, key in weights_of(self.program)
            if not key.endswith("_ema")
        }


def average_of(node: Node, key: str) -> str:
    """Under which name the state has an average: `bn1/~/mean_ema`."""
    return "{}/~/{}".format(node.module, key)
