"""Apache MXNet under the verbs that every runtime has.

Its modes stand in `symbolic.py` and `imperative.py`, those for ONNX files in `exchange.py`.
"""

import functools
import importlib.util
import os
import sys
import types
import warnings
from typing import Any, Callable, Dict, Optional

import numpy as np

from crosscheck.probe.adapter import Array, Model, Network, NotInRelease, Tensor
from crosscheck.probe.modes import Call, TableAdapter
from crosscheck.runtimes.mxnet import exchange, imperative, models, symbolic
from crosscheck.runtimes.mxnet.sources import FORM_VARIABLE, Source

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

ASKED = dict(dict(symbolic.TABLE, **imperative.TABLE), **exchange.TABLE)

#: API -> how a network is written in it.
BUILDERS: Dict[str, Callable[..., Any]] = {
    "contrib": models.Imperative,
    "executor": models.executor,
    "export": exchange.load,
    "gluon": models.gluon,
    "hybrid": models.hybrid,
    "import": models.executor,
    "import.gluon": exchange.to_gluon,
    "module": models.module,
    "nd": models.Imperative,
    "static": models.static,
    "symbolblock": models.symbol_block,
}


class MXNet(TableAdapter):
    """Every release of the `mxnet` package on PyPI."""

    name = "mxnet"
    modes = tuple(asked.mode for asked in ASKED.values())

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

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """The network in the API that the mode's name begins with."""
        api = "import.gluon" if mode.startswith(exchange.GLUON) else mode.split(".")[0]
        if api in ("gluon", "hybrid", "static", "symbolblock") and not hasattr(self.mx, "gluon"):
            raise NotInRelease("Gluon came with MXNet 0.11.0")
        asked = ASKED[mode]
        source = Source(asked.norm, os.environ.get(FORM_VARIABLE, asked.kind) or None)
        return BUILDERS[api](self.mx, network, shares, source)

    def tensor(self, x: Array) -> Tensor:
        """`mx.nd.array`."""
        return self.mx.nd.array(x)

    def numpy(self, value: Tensor) -> Array:
        """`asnumpy`, which waits for the array."""
        return value.asnumpy()

    def predict(self, model: Model, x: Tensor) -> Tensor:
        """The documented prediction of the model's API."""
        return model.predict(x)

    def call(self, model: Model, mode: str) -> Call:
        """What carries out a mode."""
        return functools.partial(ASKED[mode].call, self.mx, model)

    def state(self, model: Model) -> Dict[str, Tensor]:
        """Parameters and moving statistics where the model keeps them."""
        return dict(model.state())

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """The same as the API shows them."""
        return dict(model.parameters())

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
