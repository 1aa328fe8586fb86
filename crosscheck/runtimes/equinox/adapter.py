"""Equinox: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

import warnings

from crosscheck.probe.jax import JaxAdapter


class Equinox(JaxAdapter):
    """Every release of the `equinox` package on PyPI that has batch normalization."""

    def load(self) -> str:
        """Import Equinox and JAX, which starts no backend: that comes with the first array."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Equinox is told about callbacks that JAX is going to drop
            import equinox
            import jax

        self.jax = jax
        return str(equinox.__version__)
