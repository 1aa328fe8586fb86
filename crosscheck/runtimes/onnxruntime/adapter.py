"""ONNX Runtime on the CPU: a network is an ONNX file, a mode is the form in which that is written."""

import os
from typing import Any, Dict, List, Optional

from crosscheck.probe.adapter import Array, Mode, Network, NotInRelease
from crosscheck.probe.onnx_forms import FormAdapter, Forms, Model

#: Which graph optimisation level a variant asks for; without it a session keeps the release's own default.
LEVEL_VARIABLE = "CROSSCHECK_ORT_OPTIMISATION"
LEVELS = {"disable": "ORT_DISABLE_ALL", "basic": "ORT_ENABLE_BASIC", "extended": "ORT_ENABLE_EXTENDED"}

FORMS = Forms(
    'InferenceSession("{}.onnx", providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]',
    'InferenceSession("{}.onnx", providers=["CPUExecutionProvider"]).run(None, {"x": x, "y.cotangent": cotangent})[1]',
)

BOUND = "-bound"


def _bound(form: Mode) -> Mode:
    """The form's mode with inputs bound to the user's arrays, and outputs to memory that the session allocates."""
    call = (
        'binding = InferenceSession("{}.onnx").io_binding(); binding.bind_cpu_input("x", x){}; '
        'binding.bind_output("y"); session.run_with_iobinding(binding); binding.copy_outputs_to_cpu()[{}]'
    )
    cotangent, index = ('; binding.bind_cpu_input("y.cotangent", cotangent)', 1) if form.asks == "gradient" else ("", 0)
    return form._replace(
        name=form.name + BOUND,
        call=call.format(form.name, cotangent, index),
        inference=form.inference and form.inference + BOUND,
        training=form.training and form.training + BOUND,
        default=False,
    )


class Bound:
    """A session that is run by io-binding."""

    def __init__(self, session: Any) -> None:
        if not hasattr(session, "io_binding"):
            raise NotInRelease("InferenceSession has no io_binding")
        self.session = session

    def run(self, _: None, feeds: Dict[str, Array]) -> List[Array]:
        """All outputs, in the file's order."""
        binding = self.session.io_binding()
        for name, value in feeds.items():
            binding.bind_cpu_input(name, value)
        for output in self.session.get_outputs():
            binding.bind_output(output.name)
        self.session.run_with_iobinding(binding)
        return list(binding.copy_outputs_to_cpu())


class ONNXRuntime(FormAdapter):
    """`onnxruntime.InferenceSession` with the CPU execution provider, one session a form, asked again and again."""

    name = "onnxruntime"
    #: The newest that every release reads.
    inference_form = "opset-9"
    modes = (
        FORMS.inference(7, 7),
        FORMS.inference(9, 9),
        FORMS.inference(9, 9, momentum=False, default=False),
        FORMS.inference(14, 14, default=False),
        FORMS.inference(15, 15),
        FORMS.inference(15, 15, momentum=False, default=False),
        FORMS.training(14, 14),
        FORMS.training(14, 14, momentum=False, default=False),
        FORMS.training(15, 15),
        FORMS.training(14, 14, read=False, default=False),
        FORMS.training(15, 15, read=False),
        FORMS.training(15, 15, momentum=False),
        FORMS.inference(9, 9, fed=True, default=False),
        FORMS.inference(15, 15, fed=True, default=False),
        FORMS.training(14, 14, read=False, fed=True, default=False),
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
        _bound(FORMS.inference(15, 15)),
        _bound(FORMS.inference(15, 15, fed=True)),
        _bound(FORMS.training(15, 15, read=False)),
        _bound(FORMS.training(15, 15, read=False, fed=True)),
        _bound(FORMS.gradient(15)),
        _bound(FORMS.gradient(15, "batch")),
    )

    def load(self) -> str:
        """Import the runtime; sessions, and the threads they start, come later, in each trial."""
        import onnxruntime

        self.onnxruntime = onnxruntime
        return str(onnxruntime.__version__)

    def build(self, network: Network, mode: str, shares: Optional[Any] = None) -> Model:
        """One session a form; for io-binding, the sessions under test are run that way."""
        if not mode.endswith(BOUND):
            return FormAdapter.build(self, network, mode, shares)
        model = FormAdapter.build(self, network, mode[: -len(BOUND)], shares)
        return model._replace(asked=Bound(model.asked), inference=model.inference and Bound(model.inference))

    def session(self, path: str) -> Any:
        """A session of the file, at the variant's optimisation level."""
        options = self.onnxruntime.SessionOptions()
        # Old releases lack some of these; they get their one thread by OMP_NUM_THREADS, or run nodes in order anyway.
        for name, value in (("intra_op_num_threads", 1), ("inter_op_num_threads", 1), ("log_severity_level", 3)):
            if hasattr(options, name):
                setattr(options, name, value)
        level = os.environ.get(LEVEL_VARIABLE)
        if level is not None:
            options.graph_optimization_level = getattr(self.onnxruntime.GraphOptimizationLevel, LEVELS[level])
        try:
            return self.onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except TypeError:  # the keyword came later; the packages of before it have the CPU provider alone
            return self.onnxruntime.InferenceSession(path, options)
