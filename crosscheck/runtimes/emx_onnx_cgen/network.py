"""A network as C: its file, with sizes for the batch axis, compiled twice and loaded as a shared library."""

from crosscheck.runtimes.emx_onnx_cgen.modes import READER
from crosscheck.runtimes.source import Request, Source

SHOWS_LAYERS = True

IMPORTS = """\
import ctypes
import os
import subprocess

import numpy as np
import onnx
from emx_onnx_cgen import Compiler
from emx_onnx_cgen.compiler import CompilerOptions
"""
FUNCTIONS = '''\
class Net:
    """The C function of an ONNX file, compiled for each shape of its inputs."""

    def __init__(self, file):
        self.file, self.compiled = file, {}

    def __call__(self, *inputs):
        inputs = [np.ascontiguousarray(x, np.float32) for x in inputs]
        shapes = tuple(x.shape for x in inputs)
        if shapes not in self.compiled:
            self.compiled[shapes] = self.compile(shapes, str(len(self.compiled)))
        function, outputs = self.compiled[shapes]
        arrays = [np.full(shape, np.nan, np.float32) for shape in outputs]
        function(*[ctypes.c_void_p(array.ctypes.data) for array in [*inputs, *arrays]])
        return arrays

    def compile(self, shapes, name):
        """The function, and the shapes of its outputs."""
        model, sizes = onnx.load(self.file), {}
        weights = {tensor.name for tensor in model.graph.initializer}
        fed = [value for value in model.graph.input if value.name not in weights]
        for value, shape in zip(fed, shapes):
            sizes.update(zip((dim.dim_param for dim in value.type.tensor_type.shape.dim), shape))
        for value in [*fed, *model.graph.output]:
            for dim in value.type.tensor_type.shape.dim:
                if dim.dim_param:
                    dim.dim_value = sizes[dim.dim_param]
        code, library = self.file + name + ".c", self.file + name + ".so"
        with open(code, "w") as text:
            text.write(Compiler(CompilerOptions(large_weight_threshold=0)).compile(model))
        subprocess.run(["cc", "-shared", "-fPIC", code, "-o", library, "-lm"], check=True)
        outputs = [[dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in model.graph.output]
        return ctypes.CDLL(os.path.abspath(library)).model, outputs


'''


def source(request: Request) -> Source:
    """The weights are part of the C text."""
    return READER.source(request, IMPORTS, FUNCTIONS)
