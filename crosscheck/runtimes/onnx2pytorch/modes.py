"""Each way of asking a converted module: as torch modules are asked, and by forms of the file that say it themselves.

A module is converted from the form "opset-15". In the kind "as-converted" every layer is in the mode in which
`ConvertModel` made it; a module in training mode may have layers in evaluation mode.
"""

from dataclasses import replace

from crosscheck.runtimes.family.halves import HALVES, Halves
from crosscheck.runtimes.family.readers import Calls, Reader
from crosscheck.runtimes.family.torch import BACKWARD, FROZEN, GRAD, PREDICT
from crosscheck.runtimes.mode import Contracts, Modes

contracts = Contracts(__file__)

#: Forms are read in evaluation mode. A module returns a list where its file has several outputs.
CALLS = Calls(
    open='$net = ConvertModel(onnx.load("$file"), experimental=True).eval()\n',
    predict="with torch.no_grad():\n    y = $net($inputs)\n",
    gradient="with torch.no_grad():\n    dx = $net($inputs)[1]\n",
    layers="with torch.no_grad():\n    y, *inner = $net($inputs)\nlayers = dict(zip($names, [y] + inner))\n",
    statistic='torch.from_numpy(weights["$name"].copy())',
)
#: A file with one node has one output.
ONE_NODE = replace(CALLS, layers="with torch.no_grad():\n    y = $net($inputs)\nlayers = dict(zip($names, [y]))\n")
READER = Reader(CALLS, inference_form="opset-15")

MODULE = Halves(contracts.EVALUATION, inference="eval.backward", training="train.backward", kind="module")
for name, text in (("backward", BACKWARD), ("autograd-grad", GRAD)):
    MODULE.halves(
        "{}." + name,
        contracts.TRAINING,
        text,
        default=HALVES if name == "backward" else (),
        paired=False,
        form="opset-15",
    )
MODULE.gradient(
    "train.frozen.backward",
    "inference",
    contracts.EVALUATION,
    FROZEN + BACKWARD,
    form="opset-15",
    leaves="frozen",
    default=True,
)
MODULE.prediction(
    "train.no-grad", "training", contracts.TRAINING, "net.train()\n" + PREDICT, form="opset-15", leaves="train"
)

AS_CONVERTED = "for layer, mode in as_converted.items():\n    layer.training = mode\n"
CONVERT = Modes(inference="eval.backward", training="train.backward", kind="as-converted")
CONVERT.gradient(
    "convert.backward",
    "inference",
    contracts.AS_CONVERTED,
    AS_CONVERTED + BACKWARD,
    form="opset-15",
    default=True,
)
CONVERT.prediction(
    "convert",
    "inference",
    contracts.AS_CONVERTED,
    AS_CONVERTED + "y = net(x)\n",
    form="opset-15",
    default=True,
)

FED = Halves(contracts.FED, inference="eval.backward-fed", training="train.backward-fed", kind="module")
FEEDING = BACKWARD.replace("net(x.requires_grad_())", "net(x.requires_grad_(), *statistics.values())")
FED.halves("{}.backward-fed", contracts.FED, FEEDING, default=["train"], form="opset-15-fed", fed=True)
FILES = Modes(inference="file.backward", kind="module")
FILES.gradient(
    "file.backward",
    "inference",
    contracts.EVALUATION,
    "net.eval()\n" + BACKWARD,
    form="file",
    leaves="eval",
    file=True,
    default=True,
)

FORMS = """
    opset-7 opset-9 opset-15 opset-15-no-momentum opset-15-fed opset-15-training opset-15-training-unread
    opset-15-training-unread-fed opset-15-gradient opset-15-batch-gradient opset-15-fed-gradient
    opset-15-batch-fed-gradient
"""
DEFAULT = """
    opset-15 opset-15-training
"""
MODES = (
    *MODULE,
    *CONVERT,
    *FED,
    replace(READER.modes("file", "file")[0], contract=contracts.EVALUATION),
    *FILES,
    *READER.modes(FORMS, DEFAULT),
)
