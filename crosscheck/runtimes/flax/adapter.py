"""Flax: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

from crosscheck.probe.jax import JaxAdapter


class Flax(JaxAdapter):
    """Every release of the `flax` package on PyPI that has both APIs."""

    def load(self) -> str:
        """Import Flax and JAX, which starts no backend: that comes with the first array."""
        import flax
        import flax.linen
        import flax.nnx
        import jax

        self.jax = jax
        return str(flax.__version__)
