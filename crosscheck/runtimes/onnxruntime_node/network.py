"""A network in ONNX Runtime for Node.js: a session of its file, with one thread and no messages below errors."""

from crosscheck.runtimes.family.onnxruntime_js import TENSORS
from crosscheck.runtimes.onnxruntime_node.modes import READER
from crosscheck.runtimes.source import Request, Source

SHOWS_LAYERS = True

IMPORTS = 'import ort from "onnxruntime-node";\n\n'
OPTIONS = """\
const options = { executionProviders: ["cpu"], intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3 };
"""


def source(request: Request) -> Source:
    """The network's file, or that of its inference form."""
    return READER.source(request, IMPORTS + TENSORS, OPTIONS, "tensor({})", "array({})")
