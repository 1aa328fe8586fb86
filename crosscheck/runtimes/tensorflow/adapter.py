"""TensorFlow under the verbs that every runtime has.

Its modes stand in `eager.py` (tapes over Keras models), `methods.py` (such models' own), `exchange.py` and
`onnx_files.py` (their files), `graphs.py` (`tf.layers` and `tf.contrib.layers` in a graph), `sessions.py` (Keras models
in a graph), and `renormalization.py` (batch renormalization in all of them).
"""

from typing import Any, Callable, Dict, Optional

import numpy as np

from crosscheck.probe.adapter import Array, Model, Network, Tensor
from crosscheck.probe.modes import Call, MakingAdapter
from crosscheck.runtimes.tensorflow import (
    eager,
    exchange,
    graph_networks,
    graphs,
    methods,
    onnx_files,
    renormalization,
    sessions,
)

TABLES = (
    eager.TABLE,
    methods.TABLE,
    exchange.TABLE,
    graphs.TABLE,
    graphs.CONTRIB,
    sessions.TABLE,
    *renormalization.TABLES,
    onnx_files.TABLE,
    onnx_files.LAYERS,
)
ASKED = {name: asked for table in TABLES for name, asked in table.items()}

#: Kind of a mode's networks -> (tf, network, shares, norm) -> model.
BUILDERS: Dict[str, Callable[..., Any]] = {
    "eager": eager.Eager,
    "layers": graph_networks.Graph,
    "contrib": graph_networks.Contrib,
    "session": sessions.Session,
}


class TensorFlow(MakingAdapter):
    """Releases of the `tensorflow` and `tensorflow-cpu` packages, on the CPU."""

    name = "tensorflow"
    modes = tuple(asked.mode for asked in ASKED.values())

    def load(self) -> str:
        """Import TensorFlow, and Keras, which it leaves to be imported later; no device is looked for yet."""
        import tensorflow as tf

        dir(tf.keras.layers)
        if hasattr(tf, "contrib"):
            dir(tf.contrib.layers)
        self.tf = tf
        self.eager = not hasattr(tf, "placeholder")
        return str(tf.__version__)

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """The network as the mode's table writes it."""
        asked = ASKED[mode]
        model = BUILDERS[asked.kind](self.tf, network, shares, asked.norm)
        if asked.prepare is not None:
            asked.prepare(self.tf, model)
        return model

    def make(self, model: Model, mode: str) -> Call:
        """What carries out a mode; `tf.function`s are traced once."""
        return ASKED[mode].call(self.tf, model)  # type: ignore[no-any-return]

    def tensor(self, x: Array) -> Tensor:
        """`tf.constant`; sessions are fed numpy's own arrays."""
        return self.tf.constant(x) if self.eager else np.array(x)

    def flags(self) -> Dict[str, bool]:
        """The global learning phase, where it is a number."""
        if not self.eager or not hasattr(self.tf.keras.backend, "learning_phase"):
            return {}
        value = self.tf.keras.backend.learning_phase()
        return {"learning_phase": bool(value)} if isinstance(value, (bool, int)) else {}
