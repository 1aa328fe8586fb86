"""MLX: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

from typing import Any, Dict

import numpy as np

from crosscheck.probe.adapter import Tensor
from crosscheck.probe.texts import Model, TextAdapter


class Mlx(TextAdapter):
    """Releases of the `mlx` package, on the CPU."""

    def load(self) -> str:
        """Import MLX. Nothing may be computed before the fork: afterwards a child waits for ever."""
        import mlx.core
        import mlx.nn

        self.mlx = mlx
        return str(mlx.core.__version__)

    def state(self, model: Model) -> Dict[str, Tensor]:
        """The source's tensors, the modules' `training` flags, and how many parameters are trainable."""
        net, found = model.names["net"], TextAdapter.state(self, model)
        found["training"] = np.array([module.training for module in net.modules()], np.int64)
        found["trainable"] = np.array(len(self.flat(net.trainable_parameters())), np.int64)
        return found

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """What `parameters()` of the module shows: the statistics, too."""
        shown = self.flat(model.names["net"].parameters())
        tensors = model.source["tensors"].items()
        places = {name: ".".join(expression.split(".")[1:3]) for name, (expression, _) in tensors}
        return {name: self.read(model, *where) for name, where in tensors if places[name] in shown}

    def flat(self, tree: Any) -> Dict[str, Any]:
        """The arrays of a tree, by their dotted names."""
        return dict(self.mlx.utils.tree_flatten(tree))

    def settle(self, model: Model) -> None:
        """Compute what the module holds, and wait for all streams."""
        self.mlx.core.eval(model.names["net"].parameters())
        self.mlx.core.synchronize()
