"""OpenVINO on the CPU: a mode is the form in which the network's file is written."""

from dataclasses import replace

from crosscheck.runtimes.family.readers import BY_PLACE, Calls, Reader
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
SHAPES = replace(CALLS, open='$net = Net("$file")\n', layers="values = $net($feeds)\n" + BY_PLACE)

#: The newest form that every release knows: 2021.4 reads 14 and 15 as if they were 13, and says so.
READER = Reader(CALLS, inference_form="opset-9", older=(("2021.4.2", SHAPES), ("2022.1.0", PORTS)))

TRAINING = Contract(
    "stay",
    "Training mode is refused by releases before this change. Since it, the node becomes operators that normalise with "
    "the statistics of the batch, with the updated running statistics as further outputs; no other update is named.",
    "https://github.com/openvinotoolkit/openvino/pull/37170",
)

MODES = (
    READER.inference(7, 7, default=False),
    READER.inference(9, 9, default=False),
    READER.inference(9, 9, momentum=False, default=False),
    READER.inference(9, 9, fed=True, default=False),
    READER.inference(15, 15),
    READER.inference(15, 15, fed=True),
    READER.training(14, 14, default=False, contract=TRAINING),
    READER.training(15, 15, contract=TRAINING),
    READER.training(15, 15, momentum=False, default=False, contract=TRAINING),
    READER.training(15, 15, read=False, default=False, contract=TRAINING),
    READER.training(15, 15, fed=True, default=False, contract=TRAINING),
    READER.gradient(9, default=False),
    READER.gradient(15),
    READER.gradient(15, fed=True, default=False),
    READER.gradient(9, "batch", default=False),
    READER.gradient(15, "batch"),
    READER.gradient(15, "batch", fed=True, default=False),
    READER.gradient(15, "training", default=False),
    *READER.files(),
)
