"""Haiku under the verbs that every runtime has. Its modes stand in `modes.py` and `exchange.py`."""

from typing import Optional

from crosscheck.probe.adapter import Model, Network
from crosscheck.probe.modes import Call, JaxAdapter
from crosscheck.runtimes.haiku import exchange, modes
from crosscheck.runtimes.haiku.transformed import Transformed

ASKED = dict(modes.TABLE, **dict(modes.OF_FRESH, **exchange.TABLE))


class Haiku(JaxAdapter):
    """Every release of the `dm-haiku` package on PyPI."""

    name = "haiku"
    modes = tuple(asked.mode for asked in ASKED.values())

    def load(self) -> str:
        """Import Haiku and JAX, which starts no backend: that comes with the first array."""
        import haiku
        import jax

        self.hk, self.jax = haiku, jax
        return str(haiku.__version__)

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """The network, transformed; its layers fresh if the mode says so."""
        return Transformed(self.hk, self.jax, network, mode.startswith("fresh."), shares)

    def make(self, model: Model, mode: str) -> Call:
        """What carries out a mode."""
        return ASKED[mode].call(self.hk, self.jax, model)  # type: ignore[no-any-return]
