"""Runtimes that read ONNX files: a mode is the form in which the network is written, and is named as the form is."""

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

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


GRADIENT = (
    "The file holds the network and, in plain operators, its gradient. Initialisers are constants of the graph, inputs "
    "belong to the caller, and no operator of the file writes to either: who runs it has changed nothing."
)
WRITTEN = (
    "A file that another runtime exported for inference. Without training_mode the given mean and variance normalise "
    "the input, and are only read."
)
IR_PAGE = "https://github.com/onnx/onnx/blob/main/docs/IR.md#graphs"


class Forms:
    """Makes modes of forms; `call` is the code that runs a file, with `{}` for its name without the ending.

    `gradient_call`, likewise, asks for the second output of a file that has the gradient in it.
    """

    def __init__(self, call: str, gradient_call: str = "") -> None:
        self.call = call
        self.gradient_call = gradient_call

    def inference(
        self, opset: int, version: int, momentum: bool = True, fed: bool = False, default: bool = True
    ) -> Mode:
        """The network as exported for inference in `opset`, whose BatchNormalization is the one since `version`."""
        name = "opset-{}{}{}".format(opset, "" if momentum else "-no-momentum", "-fed" if fed else "")
        return self._prediction(name, "inference", TEST_MODE if version < 14 else INFERENCE, version, default)

    def training(
        self,
        opset: int,
        version: int,
        momentum: bool = True,
        read: bool = True,
        fed: bool = False,
        default: bool = True,
    ) -> Mode:
        """The network with training_mode = 1; the new statistics are graph outputs (`read`), or end in the graph."""
        name = "opset-{}-training{}{}{}".format(
            opset, "" if read else "-unread", "" if momentum else "-no-momentum", "-fed" if fed else ""
        )
        return self._prediction(name, "training", TRAINING, version, default)

    def gradient(self, opset: int, statistics: str = "", fed: bool = False, default: bool = True) -> Mode:
        """The network with its gradient, as crosscheck's pass writes it.

        `statistics`: "" for the moving ones, "batch" for the batch's by plain operators, "training" for training_mode.
        """
        kind = ("-" + statistics if statistics else "") + ("-fed" if fed else "")
        name = "opset-{}{}-gradient".format(opset, kind)
        inference = "opset-{}{}-gradient".format(opset, "-fed" if fed else "")
        other = "opset-{}-{}{}-gradient".format(opset, "batch", "-fed" if fed else "")
        return Mode(
            name,
            "training" if statistics else "inference",
            "gradient",
            self.gradient_call.replace("{}", name),
            Contract("stay", GRADIENT, IR_PAGE),
            inference=inference,
            training=None if statistics else other,
            default=default,
        )

    def files(self) -> Tuple[Mode, Mode]:
        """A file that another runtime wrote, as it stands; and the same with its gradient, by crosscheck's pass."""
        says = Contract("stay", WRITTEN, OPERATOR_PAGE + "15")
        name = "file-gradient"
        return (
            Mode("file", "inference", "prediction", self.call.replace("{}", "file"), says, file=True),
            Mode(
                name,
                "inference",
                "gradient",
                self.gradient_call.replace("{}", name),
                Contract("stay", GRADIENT, IR_PAGE),
                inference=name,
                file=True,
            ),
        )

    def _prediction(self, name: str, intent: str, says: str, version: int, default: bool) -> Mode:
        contract = Contract("stay", says, OPERATOR_PAGE + str(version))
        return Mode(name, intent, "prediction", self.call.replace("{}", name), contract, default=default)


class Model(NamedTuple):
    """What runs each file that a mode needs, and what the user feeds to them all.

    asked: the form under test; predicts: the inference form, the same as `asked` for an inference form.
    inference: the inference-mode gradient, None for a mode that asks for a prediction.
    exposed: the path of the form under test with every node's output among the graph's; "" where there is none.
    tensors: the nodes' outputs, in order, the network's own output last. In that file they come last, in that order.
    fed: the statistics that go with every call, name -> array; empty where they are initialisers.
    """

    asked: Any
    predicts: Any
    inference: Any
    exposed: str
    tensors: List[str]
    input: str
    cotangent: str
    fed: Dict[str, Array]


class FormAdapter(Adapter):
    """The verbs of a runtime that reads ONNX files: it says how a file is loaded, and how it is run."""

    #: The form that `predict` uses where the mode's own form is not an inference form.
    inference_form = ""
    shows_layers = True

    def session(self, path: str) -> Any:
        """What runs the ONNX file at `path`."""
        raise NotImplementedError

    def run(self, session: Any, feeds: Dict[str, Array]) -> List[Array]:
        """All outputs of the file, in its order, for inputs by name."""
        return list(session.run(None, feeds))

    def build(self, network: Network, mode: str, shares: Optional[Any] = None) -> Model:
        """Read the form's file. Two files have no tensor in common, so `shares` changes nothing."""
        form = next(one for one in self.modes if one.name == mode)
        fed = _statistics(network) if "-fed" in mode else {}
        asked = predicts = inference = self.session(network.onnx[mode])
        if form.asks == "gradient" or form.intent == "training":
            plain = "file" if form.file else self.inference_form + ("-fed" if fed else "")
            predicts = self.session(network.onnx[plain])
        if form.inference != mode:
            inference = None if form.inference is None else self.session(network.onnx[form.inference])
        return Model(
            asked,
            predicts,
            inference,
            exposed=network.onnx.get(mode + "-exposed", ""),
            tensors=[node["outputs"][0] for node in network.graph["nodes"]],
            input=network.graph["inputs"][0]["name"],
            cotangent=network.graph["outputs"][0]["name"] + ".cotangent",
            fed=fed,
        )

    def predict(self, model: Model, x: Array) -> Array:
        """Run the inference form."""
        return self.run(model.predicts, dict(model.fed, **{model.input: x}))[0]

    def forward(self, model: Model, x: Array, mode: str) -> Array:
        """Run the form under test and keep its first output: new statistics are dropped, as by who only wants y."""
        return self.run(model.asked, dict(model.fed, **{model.input: x}))[0]

    def gradient(self, model: Model, x: Array, cotangent: Array, mode: str, between: Callable[[], None]) -> Array:
        """Run the file and keep its second output, the gradient; one call does forward and backward."""
        session = model.inference if "-training" not in mode and "-batch" not in mode else model.asked
        return self.run(session, dict(model.fed, **{model.input: x, model.cotangent: cotangent}))[1]

    def layers(self, model: Model, x: Array, mode: str) -> Dict[str, Array]:
        """Run the form whose every tensor is an output."""
        outputs = self.run(self.session(model.exposed), dict(model.fed, **{model.input: x}))
        *inner, last = model.tensors
        return dict(zip([last] + inner, outputs[:1] + outputs[len(outputs) - len(inner) :]))

    def state(self, model: Model) -> Dict[str, Array]:
        """The arrays that the user feeds: whatever a runtime does with them is there to see."""
        return model.fed


def _statistics(network: Network) -> Dict[str, Array]:
    """The moving statistics, in arrays of the user's own."""
    names = [
        name for node in network.graph["nodes"] if node["op"] == "BatchNormalization" for name in node["inputs"][3:]
    ]
    return {name: np.array(network.weights[name]) for name in names}
