"""tinygrad: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

from typing import Dict

import numpy as np

from crosscheck.probe.adapter import Tensor
from crosscheck.probe.texts import Model, TextAdapter


class Tinygrad(TextAdapter):
    """Releases of the `tinygrad` package, on the CPU."""

    def load(self) -> str:
        """Import tinygrad, which makes no device before a tensor is computed."""
        from importlib.metadata import version

        import tinygrad
        import tinygrad.helpers
        import tinygrad.nn.state

        self.tinygrad = tinygrad
        return version("tinygrad")

    def state(self, model: Model) -> Dict[str, Tensor]:
        """The source's tensors, whose reading computes them and what they waited for."""
        return TextAdapter.state(self, model)

    def left(self, model: Model) -> Dict[str, Tensor]:
        """Which tensors have a gradient; its numbers are not read, which would compute them."""
        return {
            name + ".grad": np.array(True)
            for name, value in TextAdapter.state(self, model).items()
            if isinstance(value, self.tinygrad.Tensor) and value.grad is not None
        }

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """What `nn.state.get_state_dict` shows, statistics among it."""
        shown = self.tinygrad.nn.state.get_state_dict(model.names["net"])
        names = {expression: name for name, (expression, _) in model.source["tensors"].items()}
        return {names["net." + key]: value for key, value in shown.items() if "net." + key in names}

    def flags(self) -> Dict[str, bool]:
        """The training flag, wherever the release has it."""
        flag = getattr(self.tinygrad.helpers, "TRAINING", None)
        return {"training": bool(getattr(self.tinygrad.Tensor, "training", False) if flag is None else flag.value)}
