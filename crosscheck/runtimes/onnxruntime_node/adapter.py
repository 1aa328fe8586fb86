"""ONNX Runtime for Node.js, on the CPU: a network is an ONNX file, a mode is the form in which that is written."""

from crosscheck.probe.node import NodeAdapter
from crosscheck.probe.onnx_forms import Forms

FORMS = Forms(
    'session = await ort.InferenceSession.create("{}.onnx"); (await session.run({x})).y',
    'session = await ort.InferenceSession.create("{}.onnx"); (await session.run({x, [cotangent]: c}))[gradient]',
)


class ONNXRuntimeNode(NodeAdapter):
    """`adapter.js` beside this file has the verbs."""

    name = "onnxruntime-node"
    shows_layers = True
    modes = (
        FORMS.inference(7, 7, default=False),
        FORMS.inference(9, 9),
        FORMS.inference(9, 9, momentum=False, default=False),
        FORMS.inference(9, 9, fed=True),
        FORMS.inference(15, 15),
        FORMS.inference(15, 15, fed=True, default=False),
        FORMS.training(14, 14, default=False),
        FORMS.training(15, 15),
        FORMS.training(15, 15, read=False),
        FORMS.training(15, 15, momentum=False, default=False),
        FORMS.training(15, 15, fed=True, default=False),
        FORMS.training(15, 15, read=False, fed=True),
        FORMS.gradient(9, default=False),
        FORMS.gradient(9, "batch", default=False),
        FORMS.gradient(15),
        FORMS.gradient(15, "batch"),
        FORMS.gradient(15, "training", default=False),
        FORMS.gradient(15, fed=True, default=False),
        FORMS.gradient(15, "batch", fed=True, default=False),
    )
