"""The ONNX reference evaluator: a mode is the form in which the network's file is written."""

from crosscheck.runtimes.family.readers import Calls, Reader
from crosscheck.runtimes.mode import Contract, Modes

READER = Reader(
    Calls(
        open='$net = ReferenceEvaluator("$file")\n',
        predict='y = $net.run(["$output"], $feeds)[0]\n',
        gradient='dx = $net.run(["$input.gradient"], $feeds)[0]\n',
        layers="names = $names\nlayers = dict(zip(names, $net.run(names, $feeds)))\n",
    ),
    inference_form="opset-15",
)

CONVERTED = Contract(
    "undocumented",
    "convert_version converts a model to another opset; that it computes the same then, by the same statistics, is not "
    "said.",
    "https://onnx.ai/onnx/api/version_converter.html",
)
#: The converted file is not read back: its evaluator is another mode's matter.
CONVERSIONS = Modes()
for opset, target in ((9, 15), (15, 9), (9, 7)):
    CONVERSIONS.export(
        f"export.{opset}-to-{target}",
        "inference",
        CONVERTED,
        f"""\
model = onnx.load("opset-{opset}.onnx")
onnx.save(onnx.version_converter.convert_version(model, {target}), "network.onnx")
""",
        form=f"opset-{opset}",
        file=True,
        default=True,
    )

FORMS = """
    opset-7 opset-7-no-momentum opset-9 opset-9-no-momentum opset-13 opset-14 opset-14-no-momentum opset-15
    opset-15-no-momentum opset-18 opset-21 opset-14-training opset-14-training-no-momentum opset-15-training
    opset-14-training-unread opset-15-training-unread opset-15-training-no-momentum opset-21-training
    opset-15-fed opset-15-training-fed opset-15-training-unread-fed opset-9-gradient opset-9-batch-gradient
    opset-15-gradient opset-15-batch-gradient opset-15-training-gradient opset-15-fed-gradient
    opset-15-batch-fed-gradient opset-15-training-fed-gradient file file-gradient file-batch-gradient
    file-training
"""
DEFAULT = """
    opset-9 opset-9-no-momentum opset-15 opset-14-training opset-15-training opset-15-training-unread
    opset-15-training-no-momentum opset-15-training-unread-fed opset-15-gradient opset-15-batch-gradient file
    file-gradient file-batch-gradient file-training
"""
MODES = (*READER.modes(FORMS, DEFAULT), *CONVERSIONS)
