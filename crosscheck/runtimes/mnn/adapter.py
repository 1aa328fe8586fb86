"""MNN: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

from typing import Any, Dict, Optional

import numpy as np

from crosscheck.probe.adapter import Network, Tensor
from crosscheck.probe.texts import Model, TextAdapter


class MNN(TextAdapter):
    """MNN on the CPU in its default precision, one thread; an imported module's parameters have no names."""

    def load(self) -> str:
        """Import the engine and the converter's native half.

        Its Python half, behind the command `mnnconvert`, would install a package and report each conversion.
        """
        import _tools  # noqa: F401
        import MNN
        import MNN.expr
        import MNN.nn
        import MNN.optim

        self.places: Dict[str, int] = {}
        return str(MNN.version())

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """Of an imported module, find out which weight is which parameter, while all numbers are the file's."""
        model = super(MNN, self).build(network, mode, shares)
        if "variables" in model.names:
            self.places = places(network, model.names["net"])
        return model

    def state(self, model: Model) -> Dict[str, Tensor]:
        """`module.parameters`, in which a batch normalization has its running statistics, too; and what is fed."""
        if "variables" not in model.names:
            return super(MNN, self).state(model)
        values = [np.array(one.read()) for one in model.names["net"].parameters]
        weights = model.network.weights
        return {
            name: values[index].reshape(weights[name].shape if name in weights else values[index].shape)
            for name, index in self.places.items()
        }

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """The same for modules: it is the public view."""
        return super(MNN, self).parameters(model) if "variables" not in model.names else self.state(model)


def places(network: Network, module: Any) -> Dict[str, int]:
    """Which weight is which parameter of an imported module, which has them in an order of its own.

    A batch normalization's four follow each other, as does no other layer's: scale, bias, variance, mean. The rest are
    told by their numbers.
    """
    values = [np.array(one.read()).ravel() for one in module.parameters]
    left = {name: value.ravel() for name, value in network.weights.items()}
    found: Dict[int, str] = {}
    for node in network.graph["nodes"]:
        if node["op"] != "BatchNormalization":
            continue
        _, scale, bias, mean, variance = node["inputs"]
        names = [scale, bias, variance, mean]
        for first in range(len(values) - 3):
            four = list(zip(names, values[first : first + 4]))
            if first not in found and all(np.array_equal(left[name], value) for name, value in four):
                found.update({first + offset: name for offset, name in enumerate(names)})
                break
    for index, value in enumerate(values):
        if index not in found:
            same = (name for name in left if name not in found.values() and np.array_equal(left[name], value))
            found[index] = next(same, "module.parameters.{}".format(index))
    return {name: index for index, name in found.items()}
