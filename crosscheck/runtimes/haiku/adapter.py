"""Haiku: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

from crosscheck.probe.jax import JaxAdapter


class Haiku(JaxAdapter):
    """Every release of the `dm-haiku` package on PyPI."""

    def load(self) -> str:
        """Import Haiku and JAX, which starts no backend: that comes with the first array."""
        import haiku
        import jax

        self.jax = jax
        return str(haiku.__version__)
