"""ONNX Runtime Web, its WebAssembly backend on Node.js: a network is an ONNX file, a mode its form."""

from crosscheck.probe.node import NodeAdapter, form_modes
from crosscheck.probe.onnx_forms import Forms

FORMS = Forms(
    'session = await ort.InferenceSession.create(readFileSync("{}.onnx")); (await session.run({x})).y',
    'session = await ort.InferenceSession.create(readFileSync("{}.onnx")); '
    "(await session.run({x, [cotangent]: c}))[gradient]",
)


class ONNXRuntimeWeb(NodeAdapter):
    """`adapter.js` beside this file has the verbs."""

    name = "onnxruntime-web"
    shows_layers = True
    modes = form_modes(FORMS)
