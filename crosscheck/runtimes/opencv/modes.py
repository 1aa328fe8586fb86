"""OpenCV on the CPU: a mode is the form in which the network's file is written."""

from dataclasses import replace

from crosscheck.runtimes.family.readers import Calls, Reader
from crosscheck.runtimes.mode import Contract

#: `load` and `run` are functions of the source.
CALLS = Calls(
    open='$net = load("$file")\n',
    predict='y = run($net, $feeds, "$output")\n',
    gradient='dx = run($net, $feeds, "$input.gradient")\n',
    layers="names = $net.getUnconnectedOutLayersNames()\nlayers = dict(zip(names, run($net, $feeds, names)))\n",
)
#: Until 4.5.5 an output that a further layer reads is not among these names, but can be asked for by its own.
INNER = replace(CALLS, layers="names = $names\nlayers = dict(zip(names, run($net, $feeds, names)))\n")

#: The newest form that every release reads.
READER = Reader(CALLS, inference_form="opset-9", older=(("4.5.5.64", INNER),))

TRAINING = Contract(
    "undocumented",
    "The module computes forward passes only, and training a network is in principle not supported. What becomes of a "
    "file whose batch normalizations have training_mode = 1 is not said.",
    "https://docs.opencv.org/4.x/d6/d0f/group__dnn.html",
)

FORMS = """
    opset-7 opset-9 opset-9-no-momentum opset-9-fed opset-14 opset-15 opset-15-no-momentum opset-15-fed opset-21
    opset-14-training opset-15-training opset-14-training-unread opset-15-training-unread
    opset-15-training-no-momentum opset-15-training-fed opset-9-gradient opset-9-batch-gradient
    opset-15-gradient opset-15-batch-gradient opset-15-training-gradient opset-15-fed-gradient
    opset-15-batch-fed-gradient file file-gradient file-batch-gradient file-training
"""
DEFAULT = """
    opset-9 opset-15 opset-15-training opset-15-training-unread opset-9-gradient opset-15-gradient
    opset-15-batch-gradient file file-gradient file-batch-gradient file-training
"""
MODES = [
    replace(mode, contract=TRAINING) if (mode.intent, mode.asks) == ("training", "prediction") else mode
    for mode in READER.modes(FORMS, DEFAULT)
]
