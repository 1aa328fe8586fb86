"""PyTorch: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

import contextlib
import importlib
import warnings
from typing import Dict, List

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
        """Parameters and buffers, and what else a call may leave behind.

        `<buffer>.version` counts writes (-1: torch does not count this one's), `<parameter>.grad` is what `backward`
        left (zeros for None), `switched` tells which modules are in another mode than the user's texts put them in,
        `requires_grad` are the flags of all parameters, and
        `random.next` is how many numbers the default generator has drawn from its block.
        """
        module, names = model.names["net"], self.keys(model)
        found = super().state(model)
        for key, buffer in module.named_buffers():
            found[names.get(key, key) + ".version"] = np.array(version(buffer), np.int64)
        for key, parameter in module.named_parameters():
            gradient = parameter.grad
            found[names.get(key, key) + ".grad"] = (
                np.zeros(tuple(parameter.shape), np.float32) if gradient is None else gradient
            )
        found["switched"] = np.array(self.switched(model), np.int64)
        found["requires_grad"] = np.array([parameter.requires_grad for parameter in module.parameters()], np.int64)
        found["random.next"] = self.torch.get_rng_state().numpy()[RANDOM_NEXT].copy().view(np.uint64)[0]
        return found

    def switched(self, model: Model) -> List[bool]:
        """For each part of the network, whether its mode is another than that in which the user's texts left it."""
        parts = list(model.names["net"].modules())
        norm = self.torch.nn.modules.batchnorm._BatchNorm
        expected = {
            "train": [True for _ in parts],
            "eval": [False for _ in parts],
            "frozen": [not isinstance(part, norm) for part in parts],
        }.get(model.left, [part.training for part in parts])
        return [part.training != own for part, own in zip(parts, expected)]


def version(buffer: Tensor) -> int:
    """How often a tensor was written to; -1 for one that was made in inference mode."""
    try:
        return int(buffer._version)
    except RuntimeError:
        return -1
