"""MNN on the CPU: ONNX forms through its converter, and its own autograd on its own modules.

nn: the network is written in layers; module: it is imported from a file that was converted for training.
"""

from crosscheck.runtimes.family.readers import Calls, Reader
from crosscheck.runtimes.mode import Contract, Contracts, Modes

contracts = Contracts(__file__)

#: `load` and `run` are functions of the source.
READER = Reader(
    Calls(
        open='$net = load("$file")\n',
        predict='y = run($net, $feeds)["$output"]\n',
        gradient='dx = run($net, $feeds)["$input.gradient"]\n',
        layers="names = $names\noutputs = run($net, $feeds)\nlayers = {name: outputs[name] for name in names}\n",
        statistic='variable(weights["$name"])',
    ),
    inference_form="opset-9",
)

TRAIN, EVAL = "net.train(True)\n", "net.train(False)\n"
FROZEN = TRAIN + "for norm in norms:\n    norm.train(False)\n"
NN_FORWARD = "y = net.forward(x)\n"
#: An imported module puts out MNN's own layout.
MODULE_FORWARD = "y = expr.convert(net.forward(x), expr.NCHW)\n"
BACKWARD = "---\n_, gradients = optim.Grad().grad([y], [cotangent], [x])\ndx = gradients[0]\n"

NN = Modes(training="nn.train", kind="nn")
MODULE = Modes(inference="module.eval", training="module.train", kind="module")


def asking(name: str, intent: str, text: str, **more: str) -> None:
    """A gradient of the network in layers."""
    NN.gradient(name, intent, contracts.UNSAID, text + NN_FORWARD + BACKWARD, default=True, **more)


def imported(name: str, intent: str, text: str, contract: Contract = contracts.IMPORTED) -> None:
    """A gradient of the imported network."""
    MODULE.gradient(name, intent, contract, text + MODULE_FORWARD + BACKWARD, default=True, form="opset-15")


asking("nn.train", "training", TRAIN, inference="nn.frozen")
asking("nn.eval", "inference", EVAL, inference="nn.eval")
asking("nn.frozen", "inference", FROZEN, inference="nn.frozen")
NN.prediction("nn.train.forward", "training", contracts.UNSAID, TRAIN + NN_FORWARD, default=True)
NN.prediction("nn.eval.forward", "inference", contracts.UNSAID, EVAL + NN_FORWARD, default=True)
imported("module.train", "training", TRAIN)
imported("module.eval", "inference", EVAL)
MODULE.prediction(
    "module.train.forward", "training", contracts.IMPORTED, TRAIN + MODULE_FORWARD, default=True, form="opset-15"
)

FORMS = """
    opset-7 opset-9 opset-9-no-momentum opset-14 opset-15 opset-15-no-momentum opset-9-fed opset-15-fed
    opset-14-training opset-15-training opset-14-training-unread opset-15-training-unread
    opset-15-training-no-momentum opset-15-training-unread-fed opset-9-gradient opset-9-batch-gradient
    opset-15-gradient opset-15-batch-gradient opset-15-training-gradient file file-gradient file-batch-gradient
    file-training
"""
DEFAULT = """
    opset-9 opset-15-fed opset-15-training-unread opset-15-gradient opset-15-batch-gradient file file-gradient
    file-batch-gradient file-training
"""
MODES = (*READER.modes(FORMS, DEFAULT), *NN, *MODULE)
