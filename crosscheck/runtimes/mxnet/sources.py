"""Where a symbolic model comes from: MXNet's operators, one by one, or an ONNX file that MXNet imports."""

import warnings
from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple

from crosscheck.probe.adapter import Network, NotInRelease
from crosscheck.runtimes.mxnet.operators import symbol, weights

#: The form in which a variant's networks are imported.
FORM_VARIABLE = "CROSSCHECK_MXNET_FORM"

#: Layers that use the moving statistics in every mode.
FROZEN: Mapping[str, Any] = {"use_global_stats": True}


class Source(NamedTuple):
    """What a model is made of.

    norm: further keywords of every BatchNorm, where it is written in operators.
    form: the ONNX form that is imported instead.
    """

    norm: Mapping[str, Any] = {}
    form: Optional[str] = None


def symbol_and_arrays(mx: Any, network: Network, source: Source) -> Tuple[Any, Dict[str, Any]]:
    """The network's symbol, and its parameters and statistics by name."""
    if source.form is None:
        return symbol(mx, network, source.norm), weights(mx, network)
    return import_model(mx, network.onnx[source.form])


def import_model(mx: Any, path: str) -> Tuple[Any, Dict[str, Any]]:
    """`mxnet.contrib.onnx.import_model`."""
    sym, arguments, auxiliary = exchange(mx).import_model(path)
    arrays = dict(arguments)
    arrays.update(auxiliary)
    return sym, arrays


def exchange(mx: Any) -> Any:
    """`mxnet.contrib.onnx`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import mxnet.contrib.onnx
        except ImportError as problem:
            raise NotInRelease("mxnet.contrib.onnx came with MXNet 1.2.0, and needs onnx ({})".format(problem))
    return mxnet.contrib.onnx
