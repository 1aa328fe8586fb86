"""Runtimes that read ONNX files: a mode is the form in which the network is written, and is named as the form is."""

from typing import Any, NamedTuple, Optional

from crosscheck.probe.adapter import Adapter, Array, Contract, Mode, Network

OPERATOR_PAGE = "https://onnx.ai/onnx/operators/onnx__BatchNormalization.html#l-onnx-op-batchnormalization-"

TEST_MODE = (
    "One output is the operator's test mode: the given mean and variance normalise the input, and are only read. "
    "Momentum belongs to the running statistics of the training mode."
)
INFERENCE = (
    "training_mode is 0 by default: the given mean and variance, taken as estimated before, normalise the input, and "
    "are only read; there are no statistics among the outputs."
)
TRAINING = (
    "training_mode = 1: the batch's own mean and population variance normalise the input. The updated statistics, "
    "input * momentum + batch * (1 - momentum), are further outputs; nothing is said to happen to the inputs, so who "
    "drops the outputs has changed nothing."
)


class Forms:
    """Makes modes of forms; `call` is the code that runs a file, with `{}` for its name without the ending."""

    def __init__(self, call: str) -> None:
        self.call = call

    def inference(self, opset: int, version: int, momentum: bool = True, default: bool = True) -> Mode:
        """The network as exported for inference in `opset`, whose BatchNormalization is the one since `version`."""
        name = "opset-{}{}".format(opset, "" if momentum else "-no-momentum")
        return self._mode(name, "inference", TEST_MODE if version < 14 else INFERENCE, version, default)

    def training(
        self, opset: int, version: int, momentum: bool = True, read: bool = True, default: bool = True
    ) -> Mode:
        """The network with training_mode = 1; the new statistics are graph outputs (`read`), or end in the graph."""
        name = "opset-{}-training{}{}".format(opset, "" if read else "-unread", "" if momentum else "-no-momentum")
        return self._mode(name, "training", TRAINING, version, default)

    def _mode(self, name: str, intent: str, says: str, version: int, default: bool) -> Mode:
        contract = Contract("stay", says, OPERATOR_PAGE + str(version))
        return Mode(name, intent, "prediction", self.call.replace("{}", name), contract, default=default)


class Model(NamedTuple):
    """What runs the form under test, and what predicts: the same for an inference form."""

    asked: Any
    predicts: Any
    input: str


class FormAdapter(Adapter):
    """The verbs of a runtime whose loaded file has `run(None, {input: x}) -> outputs`."""

    #: The form that `predict` uses where the mode's own form is the training one.
    inference_form = ""

    def session(self, path: str) -> Any:
        """What runs the ONNX file at `path`."""
        raise NotImplementedError

    def build(self, network: Network, mode: str, shares: Optional[Any] = None) -> Model:
        """Read the form's file. Two files have no tensor in common, so `shares` changes nothing."""
        asked = predicts = self.session(network.onnx[mode])
        if next(one.intent for one in self.modes if one.name == mode) == "training":
            predicts = self.session(network.onnx[self.inference_form])
        return Model(asked, predicts, network.graph["inputs"][0]["name"])

    def predict(self, model: Model, x: Array) -> Array:
        """Run the inference form."""
        return model.predicts.run(None, {model.input: x})[0]

    def forward(self, model: Model, x: Array, mode: str) -> Array:
        """Run the form under test and keep its first output: new statistics are dropped, as by who only wants y."""
        return model.asked.run(None, {model.input: x})[0]
