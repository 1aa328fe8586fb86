"""Files of MXNet networks: a symbol and its parameters, as checkpoints and Gluon's `export` write them."""

from crosscheck.runtimes.format import Format
from crosscheck.runtimes.mxnet.symbols import CHECKPOINT

__all__ = ["FORMATS"]

EXPORT = f"""\
import ast
import json

import mxnet as mx
import numpy as np

{CHECKPOINT}
params = dict(arg_params, **aux_params)
inputs = [name for name in sym.list_inputs() if name not in params]
sizes = []
for name in inputs:
    known = ast.literal_eval(sym.attr_dict().get(name, {{}}).get("__shape__", "()"))
    size = tuple(shapes.get(name, known))
    size = (size[0] or batch,) + size[1:] if size else size
    if not all(size) or not size:
        refuse("input '%s' has no sizes in the file; give them by --shape %s=1,3,224,224." % (name, name))
    sizes.append(size)
mx.onnx.export_model(sym, params, sizes, np.float32, "network.onnx")
"""

FORMATS = (
    Format(
        name="mxnet",
        title="an MXNet network",
        parts={"network-symbol.json": r"-symbol\.json", "network-0000.params": r"-\d{4}\.params"},
        release="1.9.1",
        variant="onnx",
        export=EXPORT,
    ),
)
