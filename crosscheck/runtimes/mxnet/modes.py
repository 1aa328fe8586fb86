"""Each way of asking, as MXNet's users write it; names begin with the API that the network is written in."""

from crosscheck.runtimes.mxnet.imperative_modes import CONTRIB, IMPERATIVE
from crosscheck.runtimes.mxnet.onnx_modes import EXPORT, IMPORT, IMPORT_GLUON
from crosscheck.runtimes.mxnet.own_modes import OWN
from crosscheck.runtimes.mxnet.symbolic_modes import EXECUTOR, MODULE

__all__ = ["MODES"]

MODES = (
    *EXECUTOR,
    *MODULE,
    *CONTRIB,
    *(mode for modes in IMPERATIVE.values() for mode in modes),
    *IMPORT,
    *IMPORT_GLUON,
    *EXPORT,
    *OWN,
)
