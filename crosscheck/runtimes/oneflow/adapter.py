"""OneFlow: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

from typing import Dict

import numpy as np

from crosscheck.probe.adapter import Tensor
from crosscheck.probe.texts import Model
from crosscheck.probe.torch import TorchAdapter


class OneFlow(TorchAdapter):
    """Releases of the `oneflow` package, on the CPU; its modules are torch's by another library."""

    def load(self) -> str:
        """Import OneFlow, which starts the threads that carry out operations."""
        import oneflow

        self.torch = oneflow
        return str(oneflow.__version__)

    def left(self, model: Model) -> Dict[str, Tensor]:
        """What torch's modules are looked at for; gradients that a graph left have no values."""
        found = TorchAdapter.left(self, model)
        return {name: np.array(True) if getattr(value, "is_lazy", False) else value for name, value in found.items()}

    def settle(self, model: Model) -> None:
        """Wait for those threads."""
        self.torch._oneflow_internal.eager.Sync()
