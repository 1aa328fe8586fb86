"""ONNX Runtime on the CPU: a network is an ONNX file, a mode is the form in which that is written."""

import os
from typing import Any, NamedTuple, Optional

from crosscheck.probe.adapter import Adapter, Array, Contract, Mode, Network

#: The form that `predict` uses where the mode's own form is the training one: the newest that every release reads.
INFERENCE_FORM = "opset-9"
#: Which graph optimisation level a variant asks for; without it a session keeps the release's own default.
LEVEL_VARIABLE = "CROSSCHECK_ORT_OPTIMISATION"
LEVELS = {"disable": "ORT_DISABLE_ALL", "basic": "ORT_ENABLE_BASIC", "extended": "ORT_ENABLE_EXTENDED"}


class Model(NamedTuple):
    """A session of the form under test, and the one that predicts: the same one for an inference form."""

    asked: Any
    predicts: Any
    input: str


def operator_page(version: int) -> str:
    """Where BatchNormalization is documented as it is since opset `version`."""
    page = "https://onnx.ai/onnx/operators/onnx__BatchNormalization.html"
    return "{}#l-onnx-op-batchnormalization-{}".format(page, version)


def inference_form(opset: int, version: int, momentum: bool = True, default: bool = True) -> Mode:
    """The network as exported for inference in `opset`, whose BatchNormalization is the one since opset `version`."""
    says = (
        "ONNX Runtime implements ONNX's operators. {}: the given mean and variance normalise the input, and are only "
        "read; there are no statistics among the outputs."
    ).format("One output is the operator's test mode" if version < 14 else "training_mode is 0 by default")
    name = "opset-{}{}".format(opset, "" if momentum else "-no-momentum")
    return mode(name, "inference", Contract("stay", says, operator_page(version)), default)


def training_form(opset: int, version: int, momentum: bool = True, read: bool = True, default: bool = True) -> Mode:
    """The network with training_mode = 1; the new statistics are graph outputs (`read`), or end in the graph."""
    says = (
        "ONNX Runtime implements ONNX's operators. training_mode = 1: the batch's own mean and population variance "
        "normalise the input. "
        "The updated statistics, input * momentum + batch * (1 - momentum), are further outputs; "
        "nothing is said to happen to the inputs, so who drops the outputs has changed nothing."
    )
    name = "opset-{}-training{}{}".format(opset, "" if read else "-unread", "" if momentum else "-no-momentum")
    return mode(name, "training", Contract("stay", says, operator_page(version)), default)


def mode(name: str, intent: str, contract: Contract, default: bool) -> Mode:
    """A form as a mode: the form's name is the mode's."""
    call = 'InferenceSession("{}.onnx", providers=["CPUExecutionProvider"]).run(None, {{"x": x}})[0]'.format(name)
    return Mode(name, intent, "prediction", call, contract, default=default)


class ONNXRuntime(Adapter):
    """`onnxruntime.InferenceSession` with the CPU execution provider, one session a form, asked again and again."""

    name = "onnxruntime"
    modes = (
        inference_form(7, 7),
        inference_form(9, 9),
        inference_form(9, 9, momentum=False, default=False),
        inference_form(14, 14, default=False),
        inference_form(15, 15),
        inference_form(15, 15, momentum=False, default=False),
        training_form(14, 14),
        training_form(14, 14, momentum=False, default=False),
        training_form(15, 15),
        training_form(14, 14, read=False, default=False),
        training_form(15, 15, read=False),
        training_form(15, 15, momentum=False),
    )

    def load(self) -> str:
        """Import the runtime; sessions, and the threads they start, come later, in each trial."""
        import onnxruntime

        self.onnxruntime = onnxruntime
        return str(onnxruntime.__version__)

    def build(self, network: Network, mode: str, shares: Optional[Any] = None) -> Model:
        """Make a session of the form. Two files have no tensor in common, so `shares` changes nothing."""
        asked = self._session(network.onnx[mode])
        predicts = asked
        if next(one.intent for one in self.modes if one.name == mode) == "training":
            predicts = self._session(network.onnx[INFERENCE_FORM])
        return Model(asked, predicts, network.graph["inputs"][0]["name"])

    def _session(self, path: str) -> Any:
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

    def predict(self, model: Model, x: Array) -> Array:
        """Run the inference form."""
        return model.predicts.run(None, {model.input: x})[0]

    def forward(self, model: Model, x: Array, mode: str) -> Array:
        """Run the form under test and keep its first output, as a caller does who only wants y."""
        return model.asked.run(None, {model.input: x})[0]
