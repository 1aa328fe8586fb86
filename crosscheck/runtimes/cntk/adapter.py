"""CNTK under the verbs that every runtime has. Its modes stand in `modes.py`."""

import functools
import warnings
from typing import Any, Dict, Optional

import numpy as np

from crosscheck.probe.adapter import Array, Network, Tensor
from crosscheck.probe.modes import Call, TableAdapter
from crosscheck.runtimes.cntk import modes
from crosscheck.runtimes.cntk.networks import Model

ASKED = modes.TABLE


class Cntk(TableAdapter):
    """The last release of the `cntk` package, on the CPU."""

    name = "cntk"
    modes = tuple(asked.mode for asked in ASKED.values())
    shows_layers = True

    def load(self) -> str:
        """Import CNTK, for the CPU."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there is no GPU
            import cntk
        self.cntk = cntk
        cntk.device.try_set_default_device(cntk.device.cpu())
        return str(cntk.__version__)

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """The network in CNTK's operators; weights of the same name are the other model's parameters and constants."""
        return Model(self.cntk, network, shares, ASKED[mode].norm)

    def numpy(self, value: Tensor) -> Array:
        """A copy; CNTK gives and takes numpy's arrays."""
        return np.array(value)

    def predict(self, model: Model, x: Tensor) -> Tensor:
        """`eval`."""
        return modes.predict(self.cntk, model, x)

    def call(self, model: Model, mode: str) -> Call:
        """What carries out a mode."""
        return functools.partial(ASKED[mode].call, self.cntk, model)

    def state(self, model: Model) -> Dict[str, Tensor]:
        """Parameters and constants; `<node>.updates` is how many batches of the probe input's size a layer counted."""
        found: Dict[str, Any] = {name: tensor.value for name, tensor in model.tensors.items()}
        found.update((name + ".updates", count.value / model.network.batch) for name, count in model.counts.items())
        return found

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """What `parameters` of the function shows: no statistics, which are constants."""
        shown = {parameter.uid for parameter in model.net.parameters}
        return {name: tensor.value for name, tensor in model.tensors.items() if tensor.uid in shown}

    def layers(self, model: Model, x: Tensor, mode: str) -> Dict[str, Tensor]:
        """What every node puts out in evaluation, or, where the mode keeps what backward needs, then."""
        whole = self.cntk.combine(list(model.values.values()))
        _, values = whole.forward({model.x: x}, whole.outputs, set(whole.outputs) if "keep" in mode else None)
        return dict(zip(model.values, (values[output] for output in whole.outputs)))
