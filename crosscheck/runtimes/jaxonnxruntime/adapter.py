"""jaxonnxruntime: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

import importlib.metadata

from crosscheck.probe.jax import JaxAdapter


class JaxONNXRuntime(JaxAdapter):
    """Releases of the `jaxonnxruntime` package, over JAX."""

    def load(self) -> str:
        """Import it and JAX, which starts no backend: that comes with the first array."""
        import jax
        from jaxonnxruntime import backend, call_onnx  # noqa: F401 - so that no trial has to import them

        self.jax = jax
        return importlib.metadata.version("jaxonnxruntime")
