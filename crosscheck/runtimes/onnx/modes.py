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
    "stay",
    "convert_version turns a model of one opset into the same model of another, operator by operator.",
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

MODES = (
    READER.inference(7, 7, default=False),
    READER.inference(7, 7, momentum=False, default=False),
    READER.inference(9, 9),
    READER.inference(9, 9, momentum=False),
    READER.inference(13, 9, default=False),
    READER.inference(14, 14, default=False),
    READER.inference(14, 14, momentum=False, default=False),
    READER.inference(15, 15),
    READER.inference(15, 15, momentum=False, default=False),
    READER.inference(18, 15, default=False),
    READER.inference(21, 15, default=False),
    READER.training(14, 14),
    READER.training(14, 14, momentum=False, default=False),
    READER.training(15, 15),
    READER.training(14, 14, read=False, default=False),
    READER.training(15, 15, read=False),
    READER.training(15, 15, momentum=False),
    READER.training(21, 15, default=False),
    READER.inference(15, 15, fed=True, default=False),
    READER.training(15, 15, fed=True, default=False),
    READER.training(15, 15, read=False, fed=True),
    READER.gradient(9, default=False),
    READER.gradient(9, "batch", default=False),
    READER.gradient(15),
    READER.gradient(15, "batch"),
    READER.gradient(15, "training", default=False),
    READER.gradient(15, fed=True, default=False),
    READER.gradient(15, "batch", fed=True, default=False),
    READER.gradient(15, "training", fed=True, default=False),
    *READER.files(),
    *CONVERSIONS,
)
