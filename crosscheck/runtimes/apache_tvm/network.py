"""A network in Apache TVM: its file, imported and compiled for the CPU, or imported with its weights beside it."""

from collections.abc import Collection

from crosscheck.runtimes.apache_tvm.modes import READER
from crosscheck.runtimes.source import Request, Source

SHOWS_LAYERS = True

IMPORTS = """\
import numpy as np
import onnx
import tvm
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx
from tvm.relax.training.utils import AppendLoss
"""
COMPILED = '''\
def compiled(module):
    """The module on Relax's virtual machine."""
    return relax.VirtualMachine(tvm.compile(module, target="llvm"), tvm.cpu())
'''
LOAD = '''\
def load(file):
    """The function of an ONNX file, for any number of rows."""
    return compiled(from_onnx(onnx.load(file)))["main"]
'''
STATIC = '''\
def load(file):
    """The function of an ONNX file, compiled for each shape of its inputs."""
    model, functions = onnx.load(file), {}
    weights = {item.name for item in model.graph.initializer}
    names = [item.name for item in model.graph.input if item.name not in weights]

    def function(*inputs):
        shapes = {name: list(value.shape) for name, value in zip(names, inputs)}
        if str(shapes) not in functions:
            functions[str(shapes)] = compiled(from_onnx(model, shape_dict=shapes))["main"]
        return functions[str(shapes)](*inputs)

    return function
'''
RUN = '''\
def run(function, *inputs):
    """All outputs; a function with one returns it bare."""
    outputs = function(*inputs)
    return [outputs] if isinstance(outputs, tvm.runtime.Tensor) else list(outputs)
'''
IMPORTED = '''\
def imported(rows):
    """The module of the file, whose function takes the weights after its input."""
    module = from_onnx(onnx.load("opset-15.onnx"), {shapes}, keep_params_in_input=True)
    return relax.frontend.detach_params(module)[0]
'''
TENSOR, ARRAY = "tvm.runtime.tensor(np.ascontiguousarray({}))", "{}.numpy()"


def source(request: Request) -> Source:
    """The form's file, for any shape or, in a variant, for each; for Relax's gradients, see `differentiable`."""
    if request.kind == "relax":
        return differentiable(request)
    load = STATIC if request.told.get("shapes") == "static" else LOAD
    setup = "".join(f"{part}\n\n" for part in (COMPILED, load, RUN))
    return READER.source(request, IMPORTS, setup, tensor=TENSOR, array=ARRAY)


def differentiable(request: Request) -> Source:
    """The imported network; weights and statistics are arrays that go with every call, some of a first network's."""
    shared: Collection[str] = ()
    if request.first is not None:
        shared = {name for node in request.first["nodes"] for name in node["inputs"]}
    entries = [
        f'    "{name}": ' + (f'first["{name}"]' if name in shared else f'tvm.runtime.tensor(weights["{name}"])') + ",\n"
        for name in request.weights
    ]
    shapes = f'{{"{request.input}": [rows, {", ".join(map(str, request.input_shape[1:]))}]}}'
    text = f"{COMPILED}\n\n" if request.first is None else "first = params\n\n\n"
    text += IMPORTED.format(shapes=shapes)
    text += f'\n\nparams = {{\n{"".join(entries)}}}\nnet = compiled(imported({request.batch}))["main"]\n'
    return Source(
        imports=IMPORTS,
        text=text,
        predict="y = net(x, *params.values())\n",
        classify='y = compiled(imported(x.shape[0]))["main"](x, *params.values())\n',
        tensor=TENSOR,
        array=ARRAY,
        tensors={name: (f'params["{name}"]', None) for name in request.weights},
        files={"opset-15.onnx": "opset-15"},
    )
