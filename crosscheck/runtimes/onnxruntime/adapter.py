"""ONNX Runtime on the CPU: a network is an ONNX file, a mode is the form in which that is written."""

import os
from typing import Any, Dict, List, Optional

from crosscheck.probe.adapter import Array, Contract, Mode, Network, NotInRelease
from crosscheck.probe.onnx_forms import FormAdapter, Forms, Model

#: Which graph optimisation level a variant asks for; without it a session keeps the release's own default.
LEVEL_VARIABLE = "CROSSCHECK_ORT_OPTIMISATION"
LEVELS = {"disable": "ORT_DISABLE_ALL", "basic": "ORT_ENABLE_BASIC", "extended": "ORT_ENABLE_EXTENDED"}

FORMS = Forms(
    'InferenceSession("{}.onnx", providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]',
    'InferenceSession("{}.onnx", providers=["CPUExecutionProvider"]).run(None, {"x": x, "y.cotangent": cotangent})[1]',
)

BOUND = "-bound"

EXPORT = "export."
#: The form whose optimised graph is written: the newest that every release reads.
EXPORTED = "opset-9"
OPTIMISED = Contract(
    "stay",
    "With optimized_model_filepath a session writes the graph that its optimisation level made, and from the extended "
    "level on that graph may hold operators which are ONNX Runtime's own. Statistics are initialisers of it.",
    "https://onnxruntime.ai/docs/performance/model-optimizations/graph-optimizations.html",
)


def _export(level: str, form: str) -> Mode:
    """The optimised graph of a form's file, written by the session that made it."""
    call = (
        "options.graph_optimization_level = GraphOptimizationLevel.{}; "
        'options.optimized_model_filepath = "network.onnx"; InferenceSession("{}.onnx", options)'
    )
    return Mode(EXPORT + level, "inference", "export", call.format(LEVELS[level], form), OPTIMISED, file=True)


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
    inference_form = EXPORTED
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
        *FORMS.files(),
        _export("basic", EXPORTED),
        _export("extended", EXPORTED),
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
        """One session a form; for io-binding, those under test are run that way; an export needs the form's file."""
        if mode.startswith(EXPORT):
            return FormAdapter.build(self, network, EXPORTED)._replace(exposed=network.onnx[EXPORTED])
        if not mode.endswith(BOUND):
            return FormAdapter.build(self, network, mode, shares)
        model = FormAdapter.build(self, network, mode[: -len(BOUND)], shares)
        return model._replace(asked=Bound(model.asked), inference=model.inference and Bound(model.inference))

    def export(self, model: Model, mode: str, folder: str) -> Model:
        """The optimised graph, and a session of it that optimises no further."""
        level, path = mode[len(EXPORT) :], os.path.join(folder, "network.onnx")
        options = self.options(level)
        if not hasattr(options, "optimized_model_filepath"):
            raise NotInRelease("SessionOptions has no optimized_model_filepath")
        options.optimized_model_filepath = path
        self.open(model.exposed, options)
        return model._replace(predicts=self.open(path, self.options("disable")))

    def session(self, path: str) -> Any:
        """A session of the file, at the variant's optimisation level."""
        return self.open(path, self.options(os.environ.get(LEVEL_VARIABLE)))

    def options(self, level: Optional[str]) -> Any:
        """One thread, no messages below errors, and an optimisation level; without, the release's own default."""
        options = self.onnxruntime.SessionOptions()
        # Old releases lack some of these; they get their one thread by OMP_NUM_THREADS, or run nodes in order anyway.
        for name, value in (("intra_op_num_threads", 1), ("inter_op_num_threads", 1), ("log_severity_level", 3)):
            if hasattr(options, name):
                setattr(options, name, value)
        if level is not None:
            if not hasattr(self.onnxruntime, "GraphOptimizationLevel"):
                raise NotInRelease("there is no GraphOptimizationLevel")
            options.graph_optimization_level = getattr(self.onnxruntime.GraphOptimizationLevel, LEVELS[level])
        return options

    def open(self, path: str, options: Any) -> Any:
        """A session on the CPU."""
        try:
            return self.onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except TypeError:  # the keyword came later; the packages of before it have the CPU provider alone
            return self.onnxruntime.InferenceSession(path, options)
