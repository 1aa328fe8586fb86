"""Haiku under the verbs that every runtime has. Its modes stand in `modes.py`."""

from typing import Any, Callable, Dict, Optional

import numpy as np

from crosscheck.probe.adapter import Adapter, Array, Model, Network, Tensor
from crosscheck.runtimes.haiku import modes
from crosscheck.runtimes.haiku.transformed import Transformed


class Haiku(Adapter):
    """Every release of the `dm-haiku` package on PyPI."""

    name = "haiku"
    modes = tuple(asked.mode for asked in modes.TABLE.values())

    def load(self) -> str:
        """Import Haiku and JAX, which starts no backend: that comes with the first array."""
        import haiku
        import jax

        self.hk, self.jax = haiku, jax
        return str(haiku.__version__)

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """The network, transformed; its layers fresh if the mode says so."""
        return Transformed(self.hk, self.jax, network, mode.startswith("fresh."), shares)

    def call(self, model: Model, mode: str) -> Callable[..., Any]:
        """What carries out a mode of this model: made once, so that it is compiled once."""
        calls: Dict[str, Callable[..., Any]] = model.calls
        if mode not in calls:
            calls[mode] = modes.TABLE[mode].make(self.hk, self.jax, model)
        return calls[mode]

    def tensor(self, x: Array) -> Tensor:
        """`jax.numpy.array`, a copy."""
        return self.jax.numpy.array(x)

    def numpy(self, value: Tensor) -> Array:
        """The numbers, once they are there."""
        return np.array(value)

    def predict(self, model: Model, x: Tensor) -> Tensor:
        """`apply` without `is_training`."""
        return model.predict(x)

    def forward(self, model: Model, x: Tensor, mode: str) -> Tensor:
        """A mode that asks for a prediction."""
        return self.call(model, mode)(x)

    def gradient(self, model: Model, x: Tensor, cotangent: Tensor, mode: str, between: Callable[[], None]) -> Tensor:
        """A mode that asks for an input gradient."""
        return self.call(model, mode)(x, cotangent, between)

    def state(self, model: Model) -> Dict[str, Tensor]:
        """Parameters, averages, and the hidden averages and counters behind them."""
        return dict(model.state())

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """`params`."""
        return dict(model.parameters())

    def settle(self, model: Model) -> None:
        """Wait for everything that was dispatched, with and without side effects."""
        self.jax.block_until_ready(model.arrays())
        self.jax.effects_barrier()
