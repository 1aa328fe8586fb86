"""Equinox under the verbs that every runtime has; its modes: `passing.py` and, until 0.10, `experimental.py`."""

import warnings
from typing import Any, Callable, Dict, Optional

import numpy as np

from crosscheck.probe.adapter import Adapter, Array, Model, Network, Tensor
from crosscheck.runtimes.equinox import experimental, passing, stateful
from crosscheck.runtimes.equinox.table import kind

ASKED = dict(passing.TABLE, **experimental.TABLE)


class Equinox(Adapter):
    """Every release of the `equinox` package on PyPI that has batch normalization."""

    name = "equinox"
    modes = tuple(asked.mode for asked in ASKED.values())

    def load(self) -> str:
        """Import Equinox and JAX, which starts no backend: that comes with the first array."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Equinox is told about callbacks that JAX is going to drop
            import equinox
            import jax

            if hasattr(equinox, "experimental"):
                import equinox.experimental

        self.eqx, self.jax = equinox, jax
        return str(equinox.__version__)

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """The network with the kind of batch normalization that the mode's name begins with."""
        norm, fresh = kind(mode)
        if norm == "experimental":
            return experimental.Hidden(self.eqx, self.jax, network, fresh, shares)
        return stateful.Passed(self.eqx, self.jax, network, norm, fresh, shares)

    def call(self, model: Model, mode: str) -> Callable[..., Any]:
        """What carries out a mode of this model: made once, so that it is compiled once."""
        calls: Dict[str, Callable[..., Any]] = model.calls
        if mode not in calls:
            calls[mode] = ASKED[mode].make(self.eqx, self.jax, model)
        return calls[mode]

    def tensor(self, x: Array) -> Tensor:
        """`jax.numpy.array`, a copy."""
        return self.jax.numpy.array(x)

    def numpy(self, value: Tensor) -> Array:
        """The numbers, once they are there."""
        return np.array(value)

    def predict(self, model: Model, x: Tensor) -> Tensor:
        """The model in inference mode."""
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
        """Parameters, statistics, and what those are computed from."""
        return dict(model.state())

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """The model's own arrays."""
        return dict(model.parameters())

    def settle(self, model: Model) -> None:
        """Wait for everything that was dispatched, with and without side effects."""
        self.jax.block_until_ready(model.arrays())
        self.jax.effects_barrier()
