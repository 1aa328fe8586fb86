"""CNTK: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

import warnings
from typing import Dict

from crosscheck.probe.adapter import Tensor
from crosscheck.probe.texts import Model, TextAdapter


class Cntk(TextAdapter):
    """The last release of the `cntk` package, on the CPU."""

    def load(self) -> str:
        """Import CNTK."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there is no GPU
            import cntk

        return str(cntk.__version__)

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """What `parameters` of the function shows: no statistics, which are constants."""
        shown = {parameter.uid for parameter in model.names["net"].parameters}
        return {name: tensor.value for name, tensor in model.names["tensors"].items() if tensor.uid in shown}
