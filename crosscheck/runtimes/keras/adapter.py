"""Keras: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

import os
import tempfile
from typing import Any

from crosscheck.probe.keras import KerasAdapter
from crosscheck.probe.texts import Model


class Keras(KerasAdapter):
    """Releases of the `keras` package, on the CPU."""

    keras: Any = None

    def load(self) -> str:
        """Import Keras with its backend; no operation is executed yet."""
        if os.environ["KERAS_BACKEND"] == "theano":  # whose folder for compiled code is else the user's
            os.environ["THEANO_FLAGS"] += ",base_compiledir=" + tempfile.mkdtemp(dir=os.getcwd())
        import keras

        self.keras = keras
        return str(keras.__version__)

    def executes_at_once(self, model: Model) -> bool:
        """Keras 2 has a graph."""
        return hasattr(self.keras, "ops")
