"""PyTorch under the verbs that every runtime has.

Its modes stand in `autograd.py`, `transforms.py` and `compiled.py`, those for files in `exchange.py`.
"""

import contextlib
import functools
import importlib
import os
import warnings
from typing import Dict, Optional

import numpy as np

from crosscheck.probe.adapter import Array, Network, Tensor
from crosscheck.probe.modes import Call, TableAdapter
from crosscheck.runtimes.torch import autograd, compiled, exchange, networks, transforms
from crosscheck.runtimes.torch.networks import Model

ASKED = {
    name: asked
    for table in (autograd.TABLE, transforms.TABLE, compiled.TABLE, exchange.TABLE)
    for name, asked in table.items()
}

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


class Torch(TableAdapter):
    """Releases of the `torch` package, on the CPU."""

    name = "torch"
    modes = tuple(asked.mode for asked in ASKED.values())

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

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """The network in torch's own layers."""
        # Compilers keep what they made in the user's folder of temporary files, unless they are told of another one.
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.join(network.kept, "inductor"))
        return networks.build(self.torch, network, shares, ASKED[mode].norm)

    def tensor(self, x: Array) -> Tensor:
        """`torch.from_numpy`."""
        return self.torch.from_numpy(np.array(x))

    def numpy(self, value: Tensor) -> Array:
        """The tensor's numbers, copied."""
        return np.array(value.detach().numpy() if isinstance(value, self.torch.Tensor) else value)

    def predict(self, model: Model, x: Tensor) -> Tensor:
        """Evaluation mode, without a record for autograd."""
        if model.switches:
            networks.switch(model.module, False)
        with self.torch.no_grad():
            return model.module(x)

    def call(self, model: Model, mode: str) -> Call:
        """What carries out a mode: of the module; of exports, of all that is known of it."""
        asked = ASKED[mode]
        return functools.partial(asked.call, self.torch, model if asked.mode.asks == "export" else model.module)

    def state(self, model: Model) -> Dict[str, Tensor]:
        """Parameters and buffers, and what else a call may leave behind.

        `<buffer>.version` counts writes (-1: torch does not count this one's), `<parameter>.grad` is what `backward`
        left (zeros for None), `switched` tells which modules are in another mode than the user put them in,
        `requires_grad` are the flags of all parameters, and
        `random.next` is how many numbers the default generator has drawn from its block.
        """
        module, names = model.module, model.names
        found = {names.get(key, key): value for key, value in module.state_dict().items()}
        for key, buffer in module.named_buffers():
            found[names.get(key, key) + ".version"] = np.array(version(buffer), np.int64)
        for key, parameter in module.named_parameters():
            gradient = parameter.grad
            found[names.get(key, key) + ".grad"] = (
                np.zeros(tuple(parameter.shape), np.float32) if gradient is None else gradient
            )
        found["switched"] = np.array(networks.left_switched(module), np.int64)
        found["requires_grad"] = np.array([parameter.requires_grad for parameter in module.parameters()], np.int64)
        found["random.next"] = self.torch.get_rng_state().numpy()[RANDOM_NEXT].copy().view(np.uint64)[0]
        return found

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """What `parameters()` of the module shows: no statistics."""
        return {model.names.get(key, key): value for key, value in model.module.named_parameters()}

    def flags(self) -> Dict[str, bool]:
        """Whether autograd records, and from 1.9 on whether inference mode is on."""
        found = {"grad": bool(self.torch.is_grad_enabled())}
        if hasattr(self.torch, "is_inference_mode_enabled"):
            found["inference"] = bool(self.torch.is_inference_mode_enabled())
        return found


def version(buffer: Tensor) -> int:
    """How often a tensor was written to; -1 for one that was made in inference mode."""
    try:
        return int(buffer._version)
    except RuntimeError:
        return -1
