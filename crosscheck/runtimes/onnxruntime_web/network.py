"""A network in ONNX Runtime Web: a session of its file's bytes, in this thread, without messages below errors."""

from packaging.version import Version

from crosscheck.runtimes.family.onnxruntime_js import TENSORS
from crosscheck.runtimes.onnxruntime_web.modes import READER
from crosscheck.runtimes.source import Request, Source

SHOWS_LAYERS = True

IMPORTS = 'import fs from "node:fs";\nimport ort from "onnxruntime-web";\n\n'
#: Releases before 1.14 fetch their .wasm file, by a path, where there is a `fetch`; without one they read it.
#: `node --no-experimental-fetch` does the same: https://github.com/microsoft/onnxruntime/issues/17274
READS_SINCE = Version("1.14")
UNFETCHED = "delete globalThis.fetch; // so that the .wasm file is read: it has no address\n"
THREADS = "ort.env.wasm.numThreads = 1;\n"
OPTIONS = 'const options = { executionProviders: ["wasm"], logSeverityLevel: 3 };\n'


def source(request: Request) -> Source:
    """The network's file, or that of its inference form."""
    unfetched = "" if request.release >= READS_SINCE else UNFETCHED
    return READER.source(request, IMPORTS + unfetched + THREADS + TENSORS, OPTIONS, "tensor({})", "array({})")
