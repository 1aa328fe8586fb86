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

    def left(self, model: Model) -> Dict[str, Tensor]:
        """Parameters that are not trainable any more."""
        if model.says("freeze"):
            return {}
        net = model.names["net"]
        frozen = self.flat(net.parameters()).keys() - self.flat(net.trainable_parameters()).keys()
        return {name + ".frozen": np.array(True) for name in frozen if ".running_" not in name}

    def switched(self, model: Model) -> Dict[str, bool]:
        """Modules in another mode than the user's lines put them in."""
        found = {}
        for name, module in model.names["net"].named_modules():
            own = model.left == "train" or (model.left == "frozen" and not isinstance(module, self.mlx.nn.BatchNorm))
            if model.left and module.training != own:
                found[name or "net"] = module.training
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
