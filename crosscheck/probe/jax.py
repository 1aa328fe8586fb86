"""Libraries on JAX: asynchronous dispatch, and how to wait for it."""

from typing import Any

from crosscheck.probe.texts import Model, TextAdapter


class JaxAdapter(TextAdapter):
    """The verbs of libraries on JAX; `load` leaves the module in `jax`."""

    jax: Any = None

    def settle(self, model: Model) -> None:
        """Wait for everything that was dispatched, with and without side effects."""
        self.jax.block_until_ready([model.evaluate(expression) for expression, _ in model.source["tensors"].values()])
        self.jax.effects_barrier()
