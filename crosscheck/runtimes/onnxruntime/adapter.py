"""ONNX Runtime on the CPU: a network is an ONNX file, a mode is the form in which that is written."""

import os
from typing import Any

from crosscheck.probe.onnx_forms import FormAdapter, Forms

#: Which graph optimisation level a variant asks for; without it a session keeps the release's own default.
LEVEL_VARIABLE = "CROSSCHECK_ORT_OPTIMISATION"
LEVELS = {"disable": "ORT_DISABLE_ALL", "basic": "ORT_ENABLE_BASIC", "extended": "ORT_ENABLE_EXTENDED"}

FORMS = Forms('InferenceSession("{}.onnx", providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]')


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
    )

    def load(self) -> str:
        """Import the runtime; sessions, and the threads they start, come later, in each trial."""
        import onnxruntime

        self.onnxruntime = onnxruntime
        return str(onnxruntime.__version__)

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
