"""MindSpore under the verbs that every runtime has. Its modes stand in `modes.py` and `exchange.py`."""

import functools
import importlib
import warnings
from typing import Dict, Optional

import numpy as np

from crosscheck.probe.adapter import Array, Network, Tensor
from crosscheck.probe.modes import Call, TableAdapter
from crosscheck.runtimes.mindspore import exchange, modes, networks
from crosscheck.runtimes.mindspore.networks import Model

ASKED = dict(modes.TABLE, **exchange.TABLE)


class MindSpore(TableAdapter):
    """Releases of the `mindspore` package, on the CPU."""

    name = "mindspore"
    modes = tuple(asked.mode for asked in ASKED.values())

    def load(self) -> str:
        """Import MindSpore."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it says of machines without other devices
            self.mindspore = importlib.import_module("mindspore")
        return str(self.mindspore.__version__)

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """The network as a cell; the mode's first word says how the process executes cells from then on."""
        graph = mode.startswith("graph.")
        self.mindspore.set_context(mode=self.mindspore.GRAPH_MODE if graph else self.mindspore.PYNATIVE_MODE)
        return networks.build(self.mindspore, network, shares, ASKED[mode].norm)

    def tensor(self, x: Array) -> Tensor:
        """A tensor of a copy of the array."""
        return self.mindspore.Tensor(np.array(x))

    def numpy(self, value: Tensor) -> Array:
        """The tensor's numbers, copied."""
        return np.array(value.asnumpy() if hasattr(value, "asnumpy") else value)

    def predict(self, model: Model, x: Tensor) -> Tensor:
        """In evaluation."""
        return modes.in_mode("eval", modes.forward)(self.mindspore, model.net, x)

    def call(self, model: Model, mode: str) -> Call:
        """What carries out a mode: of the cell; of exports, of all that is known of it."""
        asked = ASKED[mode]
        return functools.partial(asked.call, self.mindspore, model if asked.mode.asks == "export" else model.net)

    def state(self, model: Model) -> Dict[str, Tensor]:
        """Parameters and statistics, which are parameters, too."""
        return {name: getattr(cell, role) for name, (cell, role) in model.places.items()}

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """What `trainable_params` of the cell shows: no statistics."""
        shown = {id(parameter) for parameter in model.net.trainable_params()}
        return {name: value for name, value in self.state(model).items() if id(value) in shown}

    def settle(self, model: Model) -> None:
        """Wait for what runs asynchronously."""
        self.mindspore.runtime.synchronize()

    def flags(self) -> Dict[str, bool]:
        """Whether networks are compiled before they run."""
        return {"graph": self.mindspore.get_context("mode") == self.mindspore.GRAPH_MODE}
