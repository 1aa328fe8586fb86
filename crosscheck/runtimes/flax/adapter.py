"""Flax under the verbs that every runtime has. Its modes stand in `linen.py` and `nnx.py`."""

from typing import Any, Callable, Dict, Optional

import numpy as np

from crosscheck.probe.adapter import Adapter, Array, Model, Network, Tensor
from crosscheck.runtimes.flax import linen, nnx
from crosscheck.runtimes.flax.applied import Applied
from crosscheck.runtimes.flax.held import Held

ASKED = dict(linen.TABLE, **nnx.TABLE)

#: API -> how a network is written in it.
BUILDERS: Dict[str, Callable[..., Any]] = {"linen": Applied, "nnx": Held}


class Flax(Adapter):
    """Every release of the `flax` package on PyPI that has both APIs."""

    name = "flax"
    modes = tuple(asked.mode for asked in ASKED.values())

    def load(self) -> str:
        """Import Flax and JAX, which starts no backend: that comes with the first array."""
        import flax
        import flax.linen
        import flax.nnx
        import jax

        self.flax, self.jax = flax, jax
        return str(flax.__version__)

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """The network in the API that the mode's name begins with."""
        return BUILDERS[mode.split(".")[0]](self.flax, self.jax, network, shares)

    def call(self, model: Model, mode: str) -> Callable[..., Any]:
        """What carries out a mode of this model: made once, so that it is compiled once."""
        calls: Dict[str, Callable[..., Any]] = model.calls
        if mode not in calls:
            calls[mode] = ASKED[mode].make(self.flax, self.jax, model)
        return calls[mode]

    def tensor(self, x: Array) -> Tensor:
        """`jax.numpy.array`, a copy."""
        return self.jax.numpy.array(x)

    def numpy(self, value: Tensor) -> Array:
        """The numbers, once they are there."""
        return np.array(value)

    def predict(self, model: Model, x: Tensor) -> Tensor:
        """The documented prediction of the model's API."""
        return model.predict(x)

    def forward(self, model: Model, x: Tensor, mode: str) -> Tensor:
        """A mode that asks for a prediction."""
        return self.call(model, mode)(x)

    def gradient(self, model: Model, x: Tensor, cotangent: Tensor, mode: str, between: Callable[[], None]) -> Tensor:
        """A mode that asks for an input gradient."""
        return self.call(model, mode)(x, cotangent, between)

    def export(self, model: Model, mode: str, folder: str) -> Optional[Model]:
        """A mode that asks for files."""
        return self.call(model, mode)(folder)

    def state(self, model: Model) -> Dict[str, Tensor]:
        """Parameters, statistics, and which modes of nnx were switched, where the user keeps them."""
        return dict(model.state())

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """What the API counts among the parameters."""
        return dict(model.parameters())

    def settle(self, model: Model) -> None:
        """Wait for everything that was dispatched, with and without side effects."""
        self.jax.block_until_ready(model.arrays())
        self.jax.effects_barrier()
