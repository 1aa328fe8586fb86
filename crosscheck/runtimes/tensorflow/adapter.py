"""TensorFlow: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

from typing import Any, Dict

from crosscheck.probe.adapter import Tensor
from crosscheck.probe.keras import KerasAdapter
from crosscheck.probe.texts import Model, TextAdapter


class TensorFlow(KerasAdapter):
    """Releases of the `tensorflow` and `tensorflow-cpu` packages, on the CPU."""

    tf: Any = None

    def load(self) -> str:
        """Import TensorFlow, and Keras, which it leaves to be imported later; no device is looked for yet."""
        import tensorflow as tf

        dir(tf.keras.layers)
        if hasattr(tf, "contrib"):
            dir(tf.contrib.layers)
        self.tf = tf
        return str(tf.__version__)

    def executes_at_once(self, model: Model) -> bool:
        """Whether the model has no session."""
        return "session" not in model.names

    def state(self, model: Model) -> Dict[str, Tensor]:
        """A Keras model's tensors, or every variable; of a graph, others than the weights are renormalization's."""
        if "serve" in model.names:
            return {self.called(model, unnumbered(v.name)): v for v in model.names["serve"].variables}
        if "variables" not in model.names:
            return KerasAdapter.state(self, model)
        found = TextAdapter.state(self, model)
        expressions = {expression for expression, _ in model.source["tensors"].values()}
        for name in model.names["variables"]:
            expression = 'session.run(variables["{}"])'.format(name)
            if expression not in expressions:
                found[name] = model.evaluate(expression)
        return found

    def trainable(self, model: Model) -> Dict[str, bool]:
        """The flags of a Keras model's layers; a function of `tf.layers` and a SavedModel have none."""
        return {} if {"variables", "serve"} & set(model.names) else KerasAdapter.trainable(self, model)

    def flags(self) -> Dict[str, bool]:
        """The global learning phase, where it is a number."""
        if hasattr(self.tf, "placeholder") or not hasattr(self.tf.keras.backend, "learning_phase"):
            return {}
        value = self.tf.keras.backend.learning_phase()
        return {"learning_phase": bool(value)} if isinstance(value, (bool, int)) else {}


def unnumbered(name: str) -> str:
    """A variable's name without the number of its output."""
    return name.partition(":")[0]
