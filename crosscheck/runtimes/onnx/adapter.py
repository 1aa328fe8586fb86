"""The ONNX reference evaluator: a network is an ONNX file, a mode is the form in which that is written."""

from typing import Any, Dict, NamedTuple, Optional

from crosscheck.probe.adapter import Adapter, Array, Contract, Mode, Network

#: The form that `predict` uses where the mode's own form is the training one.
INFERENCE_FORM = "opset-15"


class Model(NamedTuple):
    """An evaluator of the form under test, and the one that predicts: the same one for an inference form."""

    asked: Any
    predicts: Any
    input: str


def operator_page(version: int) -> str:
    """Where BatchNormalization is documented as it is since opset `version`."""
    page = "https://onnx.ai/onnx/operators/onnx__BatchNormalization.html"
    return "{}#l-onnx-op-batchnormalization-{}".format(page, version)


def inference_form(opset: int, version: int, momentum: bool = True, default: bool = True) -> Mode:
    """The network as exported for inference in `opset`, whose BatchNormalization is the one since opset `version`."""
    if version < 14:
        says = (
            "One output is the operator's test mode: the given mean and variance normalise the input, and are only "
            "read. Momentum belongs to the running statistics of the training mode."
        )
    else:
        says = (
            "training_mode is 0 by default: the given mean and variance, taken as estimated before, normalise the "
            "input, and are only read; there are no statistics among the outputs."
        )
    name = "opset-{}{}".format(opset, "" if momentum else "-no-momentum")
    return mode(name, "inference", Contract("stay", says, operator_page(version)), default)


def training_form(opset: int, version: int, momentum: bool = True, read: bool = True, default: bool = True) -> Mode:
    """The network with training_mode = 1; the new statistics are graph outputs (`read`), or end in the graph."""
    says = (
        "training_mode = 1: the batch's own mean and population variance normalise the input. "
        "The updated statistics, input * momentum + batch * (1 - momentum), are further outputs; "
        "nothing is said to happen to the inputs, so who drops the outputs has changed nothing."
    )
    name = "opset-{}-training{}{}".format(opset, "" if read else "-unread", "" if momentum else "-no-momentum")
    return mode(name, "training", Contract("stay", says, operator_page(version)), default)


def mode(name: str, intent: str, contract: Contract, default: bool) -> Mode:
    """A form as a mode: the form's name is the mode's."""
    call = 'ReferenceEvaluator("{}.onnx").run(None, {{"x": x}})[0]'.format(name)
    return Mode(name, intent, "prediction", call, contract, default=default)


class ReferenceEvaluator(Adapter):
    """`onnx.reference.ReferenceEvaluator`: the operators' definitions in numpy."""

    name = "onnx"
    modes = (
        inference_form(7, 7, default=False),
        inference_form(7, 7, momentum=False, default=False),
        inference_form(9, 9),
        inference_form(9, 9, momentum=False),
        inference_form(13, 9, default=False),
        inference_form(14, 14, default=False),
        inference_form(14, 14, momentum=False, default=False),
        inference_form(15, 15),
        inference_form(15, 15, momentum=False, default=False),
        inference_form(18, 15, default=False),
        inference_form(21, 15, default=False),
        training_form(14, 14),
        training_form(14, 14, momentum=False, default=False),
        training_form(15, 15),
        training_form(14, 14, read=False, default=False),
        training_form(15, 15, read=False),
        training_form(15, 15, momentum=False),
        training_form(21, 15, default=False),
    )

    def load(self) -> str:
        """Import the evaluator, which `import onnx` does not bring, and the operators, which a first model would."""
        import onnx
        import onnx.reference
        import onnx.reference.ops._op_list  # several tenths of a second, which would otherwise pass in every trial

        self.onnx = onnx
        return str(onnx.__version__)

    def build(self, network: Network, mode: str, shares: Optional[Any] = None) -> Model:
        """Read the form's file. Two files have no tensor in common, so `shares` changes nothing."""
        asked = self.onnx.reference.ReferenceEvaluator(network.onnx[mode])
        predicts = asked
        if next(one.intent for one in self.modes if one.name == mode) == "training":
            predicts = self.onnx.reference.ReferenceEvaluator(network.onnx[INFERENCE_FORM])
        return Model(asked, predicts, network.graph["inputs"][0]["name"])

    def predict(self, model: Model, x: Array) -> Array:
        """Run the inference form."""
        return model.predicts.run(None, {model.input: x})[0]

    def forward(self, model: Model, x: Array, mode: str) -> Array:
        """Run the form under test and keep its first output, as a caller does who only wants y."""
        return model.asked.run(None, {model.input: x})[0]

    def state(self, model: Model) -> Dict[str, Array]:
        """The initialisers held by the evaluator of the form under test, in an attribute that is not documented."""
        return {name: value for name, value in model.asked.rt_inits_.items() if name}
