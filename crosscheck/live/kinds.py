"""Which framework a model is of, among those that the caller has imported."""

from __future__ import annotations

import sys
from typing import Any

from crosscheck.live.equinox_module import EquinoxModule, holds_module
from crosscheck.live.gluon_block import GluonBlock
from crosscheck.live.keras_model import KerasModel
from crosscheck.live.model import LiveModel
from crosscheck.live.nnx_module import NnxModule
from crosscheck.live.tensorflow_module import TensorFlowModule
from crosscheck.live.torch_module import TorchModule

__all__ = ["live"]

#: Packages that are Keras.
KERAS = ("keras", "tf_keras")
TAKEN = [kind.takes for kind in (TorchModule, KerasModel, TensorFlowModule, NnxModule, EquinoxModule, GluonBlock)]


def live(model: Any) -> LiveModel:
    """The model in its framework's hands.

    Keras comes first, whose models are modules of torch or TensorFlow, too. Raises TypeError for other objects.
    """
    kerases = tuple(library for name in KERAS if (library := sys.modules.get(name)) and hasattr(library, "layers"))
    for library in kerases:
        if isinstance(model, library.layers.Layer):
            return KerasModel(model, library)
    if isinstance(model, _kind("torch.nn", "Module")):
        return TorchModule(model)
    if isinstance(model, _kind("tensorflow", "Module")) and callable(model):
        return TensorFlowModule(model, kerases)
    if isinstance(model, _kind("flax.nnx", "Module")):
        return NnxModule(model)
    if isinstance(model, _kind("mxnet.gluon", "Block")):
        return GluonBlock(model)
    equinox = sys.modules.get("equinox")
    if equinox is not None and holds_module(model, equinox):
        return EquinoxModule(model)
    *others, last = TAKEN
    raise TypeError(
        f"a model is a {', '.join(others)} or {last}, not {type(model).__module__}.{type(model).__qualname__}"
    )


def _kind(module: str, name: str) -> tuple[type, ...]:
    """The class of that name, none if the module has not been imported."""
    found = getattr(sys.modules.get(module), name, None)
    return () if found is None else (found,)
