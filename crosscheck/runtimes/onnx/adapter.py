"""The ONNX reference evaluator: a network is an ONNX file, a mode is the form in which that is written."""

from typing import Any, Dict

from crosscheck.probe.adapter import Array
from crosscheck.probe.onnx_forms import FormAdapter, Forms, Model

FORMS = Forms(
    'ReferenceEvaluator("{}.onnx").run(None, {"x": x})[0]',
    'ReferenceEvaluator("{}.onnx").run(None, {"x": x, "y.cotangent": cotangent})[1]',
)


class ReferenceEvaluator(FormAdapter):
    """`onnx.reference.ReferenceEvaluator`: the operators' definitions in numpy."""

    name = "onnx"
    inference_form = "opset-15"
    modes = (
        FORMS.inference(7, 7, default=False),
        FORMS.inference(7, 7, momentum=False, default=False),
        FORMS.inference(9, 9),
        FORMS.inference(9, 9, momentum=False),
        FORMS.inference(13, 9, default=False),
        FORMS.inference(14, 14, default=False),
        FORMS.inference(14, 14, momentum=False, default=False),
        FORMS.inference(15, 15),
        FORMS.inference(15, 15, momentum=False, default=False),
        FORMS.inference(18, 15, default=False),
        FORMS.inference(21, 15, default=False),
        FORMS.training(14, 14),
        FORMS.training(14, 14, momentum=False, default=False),
        FORMS.training(15, 15),
        FORMS.training(14, 14, read=False, default=False),
        FORMS.training(15, 15, read=False),
        FORMS.training(15, 15, momentum=False),
        FORMS.training(21, 15, default=False),
        FORMS.inference(15, 15, fed=True, default=False),
        FORMS.training(15, 15, fed=True, default=False),
        FORMS.training(15, 15, read=False, fed=True),
        FORMS.gradient(9, default=False),
        FORMS.gradient(9, "batch", default=False),
        FORMS.gradient(15),
        FORMS.gradient(15, "batch"),
        FORMS.gradient(15, "training", default=False),
        FORMS.gradient(15, fed=True, default=False),
        FORMS.gradient(15, "batch", fed=True, default=False),
        FORMS.gradient(15, "training", fed=True, default=False),
    )

    def load(self) -> str:
        """Import the evaluator, which `import onnx` does not bring, and the operators, which a first model would."""
        import onnx
        import onnx.reference
        import onnx.reference.ops._op_list  # several tenths of a second, which would otherwise pass in every trial

        self.onnx = onnx
        return str(onnx.__version__)

    def session(self, path: str) -> Any:
        """An evaluator of the file."""
        return self.onnx.reference.ReferenceEvaluator(path)

    def state(self, model: Model) -> Dict[str, Array]:
        """The initialisers held by the evaluator of the form under test, in an undocumented attribute; what is fed."""
        return dict({name: value for name, value in model.asked.rt_inits_.items() if name}, **model.fed)
