"""Apache MXNet: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

import importlib.util
import os
import sys
import types
import warnings
from typing import Any, Dict

import numpy as np

from crosscheck.probe.adapter import Tensor
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

    def settle(self, model: Model) -> None:
        """`waitall`, MXNet's only full fence."""
        self.mx.nd.waitall()

    def flags(self) -> Dict[str, bool]:
        """Autograd's two global flags, from 0.11 on."""
        autograd = getattr(self.mx, "autograd", None)
        if autograd is None:
            return {}
        return {"training": autograd.is_training(), "recording": autograd.is_recording()}


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
