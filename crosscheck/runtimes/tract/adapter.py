"""tract: a network is an ONNX file, a mode is the form in which that is written."""

from typing import Any, Dict, List, NamedTuple, Tuple

from crosscheck.probe.adapter import Array
from crosscheck.probe.onnx_forms import FormAdapter, Forms

FORMS = Forms(
    'tract.onnx().load("{}.onnx").into_model().into_runnable().run([x])[0].to_numpy()',
    'tract.onnx().load("{}.onnx").into_model().into_runnable().run([x, cotangent])[1].to_numpy()',
)


class Session(NamedTuple):
    """A runnable model, and the names of its inputs in the order in which it takes them."""

    runnable: Any
    inputs: Tuple[str, ...]


class Tract(FormAdapter):
    """`tract.onnx()`, optimised by tract; the batch axis stays the symbol that the file makes of it."""

    name = "tract"
    inference_form = "opset-9"
    modes = (
        FORMS.inference(7, 7, default=False),
        FORMS.inference(9, 9, default=False),
        FORMS.inference(9, 9, momentum=False, default=False),
        FORMS.inference(9, 9, fed=True, default=False),
        FORMS.inference(15, 15),
        FORMS.inference(15, 15, fed=True, default=False),
        FORMS.training(14, 14, default=False),
        FORMS.training(15, 15),
        FORMS.training(15, 15, read=False, default=False),
        FORMS.training(15, 15, fed=True, default=False),
        FORMS.gradient(9, default=False),
        FORMS.gradient(15),
        FORMS.gradient(15, fed=True, default=False),
        FORMS.gradient(9, "batch", default=False),
        FORMS.gradient(15, "batch"),
        FORMS.gradient(15, "batch", fed=True, default=False),
        FORMS.gradient(15, "training", default=False),
        *FORMS.files(),
    )

    def load(self) -> str:
        """Import the bindings, which bring the library."""
        import tract

        self.tract = tract
        return str(tract.version())

    def session(self, path: str) -> Session:
        """The model of the file, ready to run."""
        onnx = self.tract.onnx()
        # 0.23 calls `load` and `into_model` what was `model_for_path` and `into_optimized`.
        model = onnx.load(path) if hasattr(onnx, "load") else onnx.model_for_path(path)
        inputs = tuple(model.input_name(place) for place in range(model.input_count()))
        optimised = model.into_model() if hasattr(model, "into_model") else model.into_optimized()
        return Session(optimised.into_runnable(), inputs)

    def run(self, session: Session, feeds: Dict[str, Array]) -> List[Array]:
        """Inputs and outputs by position, as tract has them."""
        return [value.to_numpy() for value in session.runnable.run([feeds[name] for name in session.inputs])]
