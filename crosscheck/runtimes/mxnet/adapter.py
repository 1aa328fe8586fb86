"""Apache MXNet: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

import importlib.util
import os
import sys
import types
import warnings
from typing import Any, Dict, Optional

import numpy as np

from crosscheck.probe.adapter import Network, Tensor
from crosscheck.probe.texts import Model, TextAdapter

#: What MXNet reads from numpy when it is imported, and numpy has dropped since (in 1.24 and 2.0).
DROPPED_BY_NUMPY: Dict[str, Any] = {
    "alltrue": np.all,
    "bool": bool,
    "complex": complex,
    "cumproduct": np.cumprod,
    "float": float,
    "float_": np.float64,
    "Inf": np.inf,
    "Infinity": np.inf,
    "int": int,
    "NaN": np.nan,
    "NAN": np.nan,
    "NINF": -np.inf,
    "NZERO": -0.0,
    "object": object,
    "PINF": np.inf,
    "product": np.prod,
    "PZERO": 0.0,
    "round_": np.round,
    "sometrue": np.any,
    "str": str,
}
#: The same, for functions that MXNet only passes on to its users.
ONLY_NAMED = ("mirr", "msort", "npv", "pmt", "ppmt", "pv", "rate")


class MXNet(TextAdapter):
    """Every release of the `mxnet` package on PyPI."""

    def __init__(self) -> None:
        self.built: Dict[Model, Dict[str, str]] = {}

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """The network; what is asked of the gradients of a block's parameters is kept."""
        model = TextAdapter.build(self, network, mode, shares)
        self.built[model] = {name: parameter.grad_req for name, parameter in blocks_parameters(model).items()}
        return model

    def load(self) -> str:
        """Import MXNet, with what it needs of the numpy and the Python of its day."""
        for name, value in DROPPED_BY_NUMPY.items():
            vars(np).setdefault(name, value)
        for name in ONLY_NAMED:
            if name not in vars(np):
                setattr(np, name, None)
        if np.__version__ >= "2":
            # Shapes reach MXNet's operators as text; numpy 2 writes a number as `np.int64(3)` unless told not to.
            np.set_printoptions(legacy="1.25")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what old source code is told by new compilers
            self.mx = import_mxnet()
        return str(self.mx.__version__)

    def state(self, model: Model) -> Dict[str, Tensor]:
        """The tensors that the source names; of a file, whose tensors it does not know, all."""
        if model.source["tensors"]:
            return TextAdapter.state(self, model)
        net = model.names["net"]
        if hasattr(net, "collect_params"):
            found = {name: parameter.data() for name, parameter in net.collect_params().items()}
        else:
            found = dict(model.names.get("arg_params", {}), **model.names.get("aux_params", {}))
        return {self.called(model, name): value for name, value in found.items()}

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """The public view that the source names; of such a file, all as well."""
        return TextAdapter.parameters(self, model) if model.source["tensors"] else self.state(model)

    def left(self, model: Model) -> Dict[str, Tensor]:
        """Gradients to which the next backward pass adds, and parameters of whose gradients something else is asked."""
        found, built = {}, self.built.get(model, {})
        own = model.says('("grad_req"', ".grad_req =")
        parameters = blocks_parameters(model)
        others = {key for key, parameter in parameters.items() if parameter.grad_req != built.get(key) and not own}
        adding = {key for key, parameter in parameters.items() if parameter.grad_req == "add"}
        names = self.named(model) if others or adding else {}
        for key in sorted(others | adding):
            name = names.get(id(parameters[key]), self.called(model, key))
            if key in adding:
                found[name + ".grad"] = parameters[key].grad()
            if key in others:
                found[name + ".grad_req"] = np.array(True)
        return found

    def named(self, model: Model) -> Dict[int, str]:
        """What the graph calls a block's parameter, by its identity."""
        stored = {name: place.rpartition(".data()") for name, (place, _) in model.source["tensors"].items()}
        return {id(model.evaluate(parameter)): name for name, (parameter, data, _) in stored.items() if data}

    def settle(self, model: Model) -> None:
        """`waitall`, MXNet's only full fence."""
        self.mx.nd.waitall()

    def flags(self) -> Dict[str, bool]:
        """Autograd's two global flags, from 0.11 on."""
        autograd = getattr(self.mx, "autograd", None)
        if autograd is None:
            return {}
        return {"training": autograd.is_training(), "recording": autograd.is_recording()}


def blocks_parameters(model: Model) -> Dict[str, Any]:
    """The parameters of a Gluon block, by their own names; none of other networks."""
    collect = getattr(model.names["net"], "collect_params", None)
    return {} if collect is None else dict(collect().items())


def import_mxnet() -> Any:
    """The package, without its Gluon data loader where that is no valid Python: in 1.2, from CPython 3.8 on."""
    package = importlib.util.find_spec("mxnet")
    loader = os.path.join(os.path.dirname(package.origin or ""), "gluon", "data", "dataloader.py") if package else ""
    if os.path.exists(loader):
        with open(loader) as source:
            try:
                compile(source.read(), loader, "exec")
            except SyntaxError:
                absent = types.ModuleType("mxnet.gluon.data.dataloader")
                vars(absent).update(__all__=[], DataLoader=None)
                sys.modules[absent.__name__] = absent
    import mxnet

    return mxnet
