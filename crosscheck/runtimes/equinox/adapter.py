"""Equinox under the verbs that every runtime has.

Its modes stand in `passing.py` and `exchange.py`; until 0.10, in `experimental.py`.
"""

import warnings
from typing import Optional

from crosscheck.probe.adapter import Model, Network
from crosscheck.probe.modes import Call, JaxAdapter
from crosscheck.runtimes.equinox import exchange, experimental, passing, stateful

ASKED = dict(passing.TABLE, **dict(exchange.TABLE, **experimental.TABLE))


class Equinox(JaxAdapter):
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
        """The network with the mode's kind of batch normalization."""
        norm, fresh = ASKED[mode].kind, ".fresh." in mode
        if norm == "experimental":
            return experimental.Hidden(self.eqx, self.jax, network, fresh, shares)
        return stateful.Passed(self.eqx, self.jax, network, norm, fresh, shares)

    def make(self, model: Model, mode: str) -> Call:
        """What carries out a mode."""
        return ASKED[mode].call(self.eqx, self.jax, model)  # type: ignore[no-any-return]
