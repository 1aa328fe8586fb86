"""Keras under the verbs that every runtime has.

Its modes stand in `current.py` and `renormalization.py` (Keras 3, on whichever backend KERAS_BACKEND names) and
`graphs.py` (Keras 2).
"""

from typing import Any, Optional

import numpy as np

from crosscheck.probe.adapter import Array, Model, Network, Tensor
from crosscheck.probe.modes import Call, MakingAdapter
from crosscheck.runtimes.keras import current, graphs, renormalization

TABLES = (*current.TABLES, renormalization.TENSORFLOW, renormalization.JAX, renormalization.TORCH, graphs.TABLE)
ASKED = {name: asked for table in TABLES for name, asked in table.items()}


class Keras(MakingAdapter):
    """Releases of the `keras` package, on the CPU."""

    name = "keras"
    modes = tuple(asked.mode for asked in ASKED.values())

    def load(self) -> str:
        """Import Keras with its backend; no operation is executed yet."""
        if graphs.backend_is("theano"):
            graphs.set_up_theano()
        import keras

        self.keras = keras
        self.current = hasattr(keras, "ops")
        return str(keras.__version__)

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """A functional model."""
        asked = ASKED[mode]
        kind: Any = current.Functional if self.current else graphs.Functional
        model = kind(self.keras, network, shares, asked.norm)
        if asked.prepare is not None:
            asked.prepare(model)
        return model

    def make(self, model: Model, mode: str) -> Call:
        """What carries out a mode."""
        return ASKED[mode].call(model)  # type: ignore[no-any-return]

    def tensor(self, x: Array) -> Tensor:
        """The backend's tensor; Keras 2 is given numpy's own arrays."""
        return self.keras.ops.convert_to_tensor(np.array(x)) if self.current else np.array(x)

    def numpy(self, value: Tensor) -> Array:
        """The numbers, once they are there."""
        if self.current and not isinstance(value, np.ndarray):
            value = self.keras.ops.convert_to_numpy(value)
        return np.array(value)
