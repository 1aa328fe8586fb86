"""Keras under the verbs that every runtime has.

Its modes stand in `current.py` (Keras 3, on whichever backend KERAS_BACKEND names) and `graphs.py` (Keras 2).
"""

from typing import Any, Callable, Dict, Optional

import numpy as np

from crosscheck.probe.adapter import Adapter, Array, Model, Network, Tensor
from crosscheck.runtimes.keras import current, graphs

ASKED = {name: asked for table in (*current.TABLES, graphs.TABLE) for name, asked in table.items()}


class Keras(Adapter):
    """Releases of the `keras` package, on the CPU."""

    name = "keras"
    modes = tuple(asked.mode for asked in ASKED.values())

    def load(self) -> str:
        """Import Keras with its backend; no operation is executed yet."""
        import keras

        self.keras = keras
        self.current = hasattr(keras, "ops")
        return str(keras.__version__)

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """A functional model."""
        model: Any = (current.Functional if self.current else graphs.Functional)(self.keras, network, shares)
        prepare = ASKED[mode].prepare
        if prepare is not None:
            prepare(model)
        return model

    def call(self, model: Model, mode: str) -> Callable[..., Any]:
        """What carries out a mode of this model: made once, so that it is compiled once."""
        calls: Dict[str, Callable[..., Any]] = model.calls
        if mode not in calls:
            calls[mode] = ASKED[mode].make(model)
        return calls[mode]

    def tensor(self, x: Array) -> Tensor:
        """The backend's tensor; Keras 2 is given numpy's own arrays."""
        return self.keras.ops.convert_to_tensor(np.array(x)) if self.current else np.array(x)

    def numpy(self, value: Tensor) -> Array:
        """The numbers, once they are there."""
        if self.current and not isinstance(value, np.ndarray):
            value = self.keras.ops.convert_to_numpy(value)
        return np.array(value)

    def predict(self, model: Model, x: Tensor) -> Tensor:
        """A call in inference mode."""
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
        """Every variable, and the flags that decide what layers do."""
        return dict(model.state())

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """What `weights` shows."""
        return dict(model.parameters())
