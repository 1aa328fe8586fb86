"""ONNX Runtime for Node.js, on the CPU: a network is an ONNX file, a mode is the form in which that is written."""

from crosscheck.probe.node import NodeAdapter, form_modes
from crosscheck.probe.onnx_forms import Forms

FORMS = Forms(
    'session = await ort.InferenceSession.create("{}.onnx"); (await session.run({x})).y',
    'session = await ort.InferenceSession.create("{}.onnx"); (await session.run({x, [cotangent]: c}))[gradient]',
)


class ONNXRuntimeNode(NodeAdapter):
    """`adapter.js` beside this file has the verbs."""

    name = "onnxruntime-node"
    shows_layers = True
    modes = form_modes(FORMS)
