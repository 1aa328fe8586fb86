"""The ONNX reference evaluator: a network is an ONNX file, a mode is the form in which that is written."""

import os
from typing import Any, Dict, Optional

from crosscheck.probe.adapter import Array, Contract, Mode, Network
from crosscheck.probe.onnx_forms import FormAdapter, Forms, Model

FORMS = Forms(
    'ReferenceEvaluator("{}.onnx").run(None, {"x": x})[0]',
    'ReferenceEvaluator("{}.onnx").run(None, {"x": x, "y.cotangent": cotangent})[1]',
)

CONVERTED = Contract(
    "stay",
    "convert_version turns a model of one opset into the same model of another, operator by operator.",
    "https://onnx.ai/onnx/api/version_converter.html",
)
#: Export mode -> the form that is converted, and the opset into which.
CONVERSIONS = {
    "export.9-to-15": ("opset-9", 15),
    "export.15-to-9": ("opset-15", 9),
    "export.9-to-7": ("opset-9", 7),
}


def _conversion(name: str) -> Mode:
    form, opset = CONVERSIONS[name]
    call = 'onnx.save(onnx.version_converter.convert_version(onnx.load("{}.onnx"), {}), "network.onnx")'
    return Mode(name, "inference", "export", call.format(form, opset), CONVERTED, file=True)


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
        *FORMS.files(),
        *(_conversion(name) for name in CONVERSIONS),
    )

    def load(self) -> str:
        """Import the evaluator, which `import onnx` does not bring, and the operators, which a first model would."""
        import onnx
        import onnx.reference
        import onnx.reference.ops._op_list  # several tenths of a second, which would otherwise pass in every trial
        import onnx.version_converter

        self.onnx = onnx
        return str(onnx.__version__)

    def build(self, network: Network, mode: str, shares: Optional[Any] = None) -> Model:
        """The form's evaluators; for a conversion, those of the form that every release evaluates as it is meant."""
        if mode not in CONVERSIONS:
            return FormAdapter.build(self, network, mode, shares)
        model = FormAdapter.build(self, network, self.inference_form, shares)
        return model._replace(exposed=network.onnx[CONVERSIONS[mode][0]])

    def export(self, model: Model, mode: str, folder: str) -> None:
        """The converted file, which is not read back: its evaluator is another mode's matter."""
        converted = self.onnx.version_converter.convert_version(self.onnx.load(model.exposed), CONVERSIONS[mode][1])
        self.onnx.save(converted, os.path.join(folder, "network.onnx"))

    def session(self, path: str) -> Any:
        """An evaluator of the file."""
        return self.onnx.reference.ReferenceEvaluator(path)

    def state(self, model: Model) -> Dict[str, Array]:
        """The initialisers held by the evaluator of the form under test, in an undocumented attribute; what is fed."""
        return dict({name: value for name, value in model.asked.rt_inits_.items() if name}, **model.fed)
