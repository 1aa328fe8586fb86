"""MLX under the verbs that every runtime has. Its modes stand in `modes.py`."""

from typing import Any, Dict, Optional

import numpy as np

from crosscheck.probe.adapter import Array, Network, Tensor
from crosscheck.probe.modes import Call, MakingAdapter
from crosscheck.runtimes.mlx import modes, networks
from crosscheck.runtimes.mlx.networks import Model

ASKED = modes.TABLE


class Mlx(MakingAdapter):
    """Releases of the `mlx` package, on the CPU."""

    name = "mlx"
    modes = tuple(asked.mode for asked in ASKED.values())
    shows_layers = True

    def load(self) -> str:
        """Import MLX. Nothing may be computed before the fork: afterwards a child waits for ever."""
        import mlx.core
        import mlx.nn
        import mlx.nn.utils

        self.mlx = mlx
        return str(mlx.core.__version__)

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """The network as a module."""
        return networks.build(self.mlx, network, shares)

    def make(self, model: Model, mode: str) -> Call:
        """What carries out a mode."""
        return ASKED[mode].call(self.mlx, model)  # type: ignore[no-any-return]

    def tensor(self, x: Array) -> Tensor:
        """`mx.array`, a copy."""
        return self.mlx.core.array(x)

    def state(self, model: Model) -> Dict[str, Tensor]:
        """Parameters and statistics, the modules' `training` flags, and how many parameters are trainable."""
        module = model.module
        found: Dict[str, Any] = dict(model.weights())
        found["training"] = np.array([part.training for part in module.modules()], np.int64)
        flat = self.mlx.utils.tree_flatten(module.trainable_parameters())
        found["trainable"] = np.array(len(flat), np.int64)
        return found

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """What `parameters()` of the module shows: the statistics, too."""
        shown = dict(self.mlx.utils.tree_flatten(model.module.parameters()))
        names = {"{}.{}".format(*place): name for name, place in model.places.items()}
        return {names[key]: networks.to_graph(value) for key, value in shown.items()}

    def layers(self, model: Model, x: Tensor, mode: str) -> Dict[str, Tensor]:
        """What every node puts out."""
        modes.prepared("train" if mode.startswith("train") else "eval", model)
        return {name: value for name, value in model.module.values(x).items() if name != self.input_name(model)}

    def input_name(self, model: Model) -> str:
        """The graph's one input."""
        return str(model.network.graph["inputs"][0]["name"])

    def settle(self, model: Model) -> None:
        """Compute what the module holds, and wait for all streams."""
        self.mlx.core.eval(model.module.parameters())
        self.mlx.core.synchronize()
