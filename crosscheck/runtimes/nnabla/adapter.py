"""NNabla: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

from typing import Dict

import numpy as np

from crosscheck.probe.adapter import Tensor
from crosscheck.probe.texts import Model, TextAdapter


class NNabla(TextAdapter):
    """Releases of the `nnabla` package, on the CPU."""

    def load(self) -> str:
        """Import NNabla, which logs that it has a CPU."""
        import nnabla

        self.nnabla = nnabla
        return str(nnabla.__version__)

    def left(self, model: Model) -> Dict[str, Tensor]:
        """Gradients on parameters, which are zero in a new network, and parameters that take none any more."""
        found: Dict[str, Tensor] = {}
        for name, (expression, _) in model.source["tensors"].items():
            parameter = model.evaluate(expression.partition(".d")[0])
            if np.any(parameter.g):
                found[name + ".grad"] = np.array(parameter.g)
            if name in model.source["public"] and not parameter.need_grad:
                found[name + ".need_grad"] = np.array(False)
        return found

    def flags(self) -> Dict[str, bool]:
        """Whether functions are executed as they are called."""
        return {"auto_forward": bool(self.nnabla.get_auto_forward())}
