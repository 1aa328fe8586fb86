"""A network as source text: the function that jaxonnxruntime makes of its file, or the backend's representation."""

from __future__ import annotations

from dataclasses import replace

from crosscheck.runtimes.jaxonnxruntime.modes import CALLS, READER
from crosscheck.runtimes.source import Request, Source

__all__ = ["SHOWS_LAYERS", "source"]

SHOWS_LAYERS = True
IMPORTS = """\
import jax
import jax.numpy as jnp
import numpy as np
import onnx
from jaxonnxruntime import backend
from jaxonnxruntime.call_onnx import call_onnx_model
"""
#: The sample is what the file's shapes are found with; the function takes any number of rows.
OPEN = 'net, params = call_onnx_model(onnx.load("$file"), [sample])\n'
CALLED = replace(CALLS, open=OPEN, predict="y = net(params, [x])[0]\n", layers="")


def source(request: Request) -> Source:
    """For JAX's gradients the function and its parameters; for forms the representation of the form's own file."""
    if request.kind != "function":
        return READER.source(request, IMPORTS, tensor="jnp.array({})", array="np.asarray({})")
    called = replace(READER, calls=CALLED).source(
        request,
        IMPORTS,
        setup=f"sample = np.zeros({request.input_shape}, np.float32)\n",
        tensor="jnp.array({})",
        array="np.asarray({})",
    )
    names = tuple(request.weights)
    text = called.text
    if request.first is not None:
        text = "first = params\n" + text + "params = {name: first.get(name, value) for name, value in params.items()}\n"
    return replace(called, text=text, tensors={name: (f'params["{name}"]', None) for name in names}, public=names)
