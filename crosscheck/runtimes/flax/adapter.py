"""Flax under the verbs that every runtime has. Its modes stand in `linen.py`, `nnx.py` and `exchange.py`."""

from typing import Any, Callable, Dict, Optional

from crosscheck.probe.adapter import Model, Network
from crosscheck.probe.modes import Call, JaxAdapter
from crosscheck.runtimes.flax import exchange, linen, nnx
from crosscheck.runtimes.flax.applied import Applied
from crosscheck.runtimes.flax.held import Held

ASKED = dict(linen.TABLE, **dict(nnx.TABLE, **exchange.TABLE))

#: API -> how a network is written in it.
BUILDERS: Dict[str, Callable[..., Any]] = {"linen": Applied, "nnx": Held}


class Flax(JaxAdapter):
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

    def make(self, model: Model, mode: str) -> Call:
        """What carries out a mode."""
        return ASKED[mode].call(self.flax, self.jax, model)  # type: ignore[no-any-return]
