"""Each way of asking a module that `convert` made (`crosscheck.runtimes.family.converted`), and its exports."""

from crosscheck.runtimes.family.converted import AS_CONVERTED
from crosscheck.runtimes.mode import Contracts, Modes
from crosscheck.runtimes.onnx2torch.network import CONVERTER

contracts = Contracts(__file__)

EXPORTS = Modes(kind="as-converted")
EXPORTS.export(
    "export.torchscript",
    "inference",
    contracts.EXPORTED,
    AS_CONVERTED + 'torch.onnx.export(net, x, "network.onnx", opset_version=13, input_names=["$input"])\n',
    form="opset-15",
    file=True,
    default=True,
)
EXPORTS.export(
    "export.dynamo",
    "inference",
    contracts.EXPORTED,
    'torch.onnx.dynamo_export(net.eval(), x).save("network.onnx")\n',
    form="opset-15",
    leaves="eval",
    file=True,
    default=True,
)
MODES = CONVERTER.modes(contracts, tuple(EXPORTS))
