"""PyTorch: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

import contextlib
import importlib
import warnings
from typing import Dict

import numpy as np

from crosscheck.probe.adapter import Tensor
from crosscheck.probe.texts import Model
from crosscheck.probe.torch import TorchAdapter

#: What torch imports when it is first needed, in every trial anew if the server has not imported it.
LATER = (
    "networkx",
    "torch._dynamo",
    "torch.export",
    "torch.func",
    "torch.fx.experimental.symbolic_shapes",
    "torch.nn.utils.stateless",
    "torch.onnx",
    "torch.onnx._internal.exporter._compat",
    "torch.utils.checkpoint",
)

#: Where a generator's state, as bytes, counts the numbers drawn from its present block; the seed and two ints precede.
RANDOM_NEXT = slice(16, 24)


class Torch(TorchAdapter):
    """Releases of the `torch` package, on the CPU."""

    def load(self) -> str:
        """Import torch, all that it would import later included."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what old source code is told by new compilers
            import torch

            for name in LATER:
                with contextlib.suppress(ImportError):
                    importlib.import_module(name)
        self.torch = torch
        return str(torch.__version__)

    def state(self, model: Model) -> Dict[str, Tensor]:
        """Parameters and buffers, and how many numbers the default generator has drawn from its block."""
        found = super().state(model)
        found["random.next"] = self.torch.get_rng_state().numpy()[RANDOM_NEXT].copy().view(np.uint64)[0]
        return found
