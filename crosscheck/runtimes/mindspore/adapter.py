"""MindSpore: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

import importlib
import warnings
from typing import Dict

from crosscheck.probe.adapter import Tensor
from crosscheck.probe.texts import Model, TextAdapter


class MindSpore(TextAdapter):
    """Releases of the `mindspore` package, on the CPU."""

    def load(self) -> str:
        """Import MindSpore."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it says of machines without other devices
            self.mindspore = importlib.import_module("mindspore")
        return str(self.mindspore.__version__)

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """What `trainable_params` of the cell shows: no statistics."""
        shown = {id(parameter) for parameter in model.names["net"].trainable_params()}
        return {name: value for name, value in self.state(model).items() if id(value) in shown}

    def settle(self, model: Model) -> None:
        """Wait for what runs asynchronously."""
        self.mindspore.runtime.synchronize()

    def flags(self) -> Dict[str, bool]:
        """Whether networks are compiled before they run."""
        return {"graph": self.mindspore.get_context("mode") == self.mindspore.GRAPH_MODE}
