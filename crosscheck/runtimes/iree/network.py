"""A network in IREE: its file, imported, compiled for this machine, and loaded on a synchronous device."""

from crosscheck.runtimes.iree.modes import READER
from crosscheck.runtimes.source import Request, Source

SHOWS_LAYERS = True

IMPORTS = """\
import iree.compiler.tools
import iree.compiler.tools.import_onnx.__main__ as importer
import iree.runtime
import numpy as np
import onnx
"""
FUNCTIONS = '''\
device = iree.runtime.get_device("local-sync")


def load(file):
    """The function of an ONNX file, as `iree-import-onnx` and `iree-compile` make it."""
    importer.main(importer.parse_arguments([file, "-o", file + ".mlir"$options]))
    with open(file + ".mlir") as text:
        binary = iree.compiler.tools.compile_str(
            text.read(),
            target_backends=["llvm-cpu"],
            extra_args=["--iree-llvmcpu-target-cpu=host", "--mlir-disable-threading"],
        )
    module = iree.runtime.load_vm_flatbuffer(binary, driver="local-sync")
    return module[onnx.load(file).graph.name]


def run(function, *inputs):
    """All outputs; a function with one returns it bare."""
    outputs = function(*inputs)
    return outputs if isinstance(outputs, (list, tuple)) else [outputs]


'''


def source(request: Request) -> Source:
    """A variant may have the file converted to another opset on import."""
    opset = request.told.get("opset")
    options = f', "--opset-version", "{opset}"' if opset else ""
    return READER.source(
        request,
        IMPORTS,
        FUNCTIONS.replace("$options", options),
        tensor="iree.runtime.asdevicearray(device, np.ascontiguousarray({}))",
        array="{}.to_host()",
    )
