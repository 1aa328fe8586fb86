"""OpenVINO on the CPU: a mode is the form in which the network's file is written."""

from dataclasses import replace

from crosscheck.runtimes.family.readers import BY_PLACE, GRAPH, Calls, Reader
from crosscheck.runtimes.mode import Contract

CALLS = Calls(
    open='$net = core.compile_model("$file", "CPU", settings)\n',
    predict="y = $net($feeds)[0]\n",
    gradient="dx = $net($feeds)[1]\n",
    layers="values = list($net($feeds).values())\n" + BY_PLACE,
)
#: What a call returned in 2022 could be asked for a port of the model only.
PORTS = replace(
    CALLS,
    predict="y = $net($feeds)[$net.output(0)]\n",
    gradient="dx = $net($feeds)[$net.output(1)]\n",
    layers="results = $net($feeds)\nvalues = [results[port] for port in $net.outputs]\n" + BY_PLACE,
)
#: The API of before 2022, by a class of the source.
SHAPES = Calls.in_order('$net = Net("$file")\n', "$net($feeds)")

#: The newest form that every release knows: 2021.4 reads 14 and 15 as if they were 13, and says so.
READER = Reader(CALLS, inference_form="opset-9", older=(("2021.4.2", SHAPES), ("2022.1.0", PORTS)))

TRAINING = Contract(
    "stay",
    "A graph is a computation without side effects; initialisers that are no inputs of it are constants. Until 2026.3 "
    "OpenVINO refused BatchNormalization in training mode; since then updated statistics are further outputs (pull "
    "request 37170).",
    GRAPH,
)

FORMS = """
    opset-7 opset-9 opset-9-no-momentum opset-9-fed opset-15 opset-15-fed opset-14-training opset-15-training
    opset-15-training-no-momentum opset-15-training-unread opset-15-training-fed opset-9-gradient
    opset-15-gradient opset-15-fed-gradient opset-9-batch-gradient opset-15-batch-gradient
    opset-15-batch-fed-gradient opset-15-training-gradient file file-gradient file-batch-gradient file-training
"""
DEFAULT = """
    opset-15 opset-15-fed opset-15-training opset-15-gradient opset-15-batch-gradient file file-gradient
    file-batch-gradient file-training
"""
MODES = [
    replace(mode, contract=TRAINING) if (mode.intent, mode.asks) == ("training", "prediction") else mode
    for mode in READER.modes(FORMS, DEFAULT)
]
