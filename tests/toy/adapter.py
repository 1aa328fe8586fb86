"""The adapter of the toy runtime."""

import importlib
import os
import sys
from typing import Any, Dict

import numpy as np

from crosscheck.probe.adapter import Array
from crosscheck.probe.texts import Model, TextAdapter


class Toy(TextAdapter):
    """The library `toylib` in this folder."""

    def load(self) -> str:
        if os.environ.get("TOY_UNIMPORTABLE"):
            raise ImportError("libtoy.so.1: cannot open shared object file")
        if os.environ.get("TOY_NOISY"):
            print("welcome to the toy")
        sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
        self.toylib: Any = importlib.import_module("toylib")
        return "toy"

    def numpy(self, value: Any) -> Array:
        """Convert arrays and deferred gradients."""
        return self.toylib.numbers(value)

    def state(self, model: Model) -> Dict[str, Array]:
        """Copies of the tensors, and a counter; with one habit, reading runs the deferred work."""
        net = model.names["net"]
        shown = {name: np.array(value) for name, value in TextAdapter.state(self, model).items()}
        shown["counter"] = np.array(net.counter)
        if net.habit == "leak-on-read":
            net.apply()
        return shown

    def parameters(self, model: Model) -> Dict[str, Array]:
        return {name: np.array(value) for name, value in TextAdapter.parameters(self, model).items()}

    def settle(self, model: Model) -> None:
        """Run the deferred work, except with the habit that waits for a read."""
        net = model.names["net"]
        if net.habit != "leak-on-read":
            net.apply()

    def left(self, model: Model) -> Dict[str, Array]:
        """Gradients of parameters."""
        net = model.names["net"]
        return {name + ".gradient": np.array(value) for name, value in net.gradients.items()}

    def switched(self, model: Model) -> Dict[str, bool]:
        """Layers whose flag the user's lines set otherwise."""
        flags = model.names["net"].training
        return {name: flag for name, flag in flags.items() if model.left and flag != (model.left == "train")}

    def flags(self) -> Dict[str, bool]:
        return {"training": self.toylib.flags.training}
