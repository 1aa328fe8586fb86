"""The exchange toy's modes: exports named after the error in the file, and readers of every file."""

from __future__ import annotations

from pathlib import Path

from crosscheck.runtimes.family.readers import Calls, Reader
from crosscheck.runtimes.mode import Contract, Modes

STAYS = Contract("stay", "the toy's manual promises that statistics stay", "https://example.org/toy/manual")

#: Careless readers use another epsilon than the file's, and export nothing.
CARELESS = False

READER = Reader(
    Calls(
        open=f'$net = exchangelib.Net("$file"{", careless=True" if CARELESS else ""})\n',
        predict='y = $net.run(["$output"], $feeds)[0]\n',
        gradient='dx = $net.run(["$input.gradient"], $feeds)[0]\n',
        layers="names = $names\nlayers = dict(zip(names, $net.run(names, $feeds)))\n",
    ),
    inference_form="opset-15",
)
EXPORTS = Modes()
for name, text in {
    "right": 'net.export("network.onnx")\n',
    "twin": 'exchangelib.export(net, "network.onnx")\n',
    "wrong-epsilon": 'net.export("network.onnx", epsilon=0.5)\n',
    "unit-scale": 'net.export("network.onnx", unit_scale=True)\n',
    "foreign": 'net.export("network.onnx", foreign=True)\n',
    "torn": 'net.export("network.onnx", torn=True)\n',
    "refused": 'net.export("network.onnx", opset=1)\n',
}.items():
    EXPORTS.export(f"export.{name}", "inference", STAYS, text, default=True, file=True, unit_scale=name == "unit-scale")
for path in sorted(Path(__file__).parent.glob("ready/*.onnx")):  # files that a test puts there
    text = f'exchangelib.pass_on("{path.name}", "network.onnx")\n'
    EXPORTS.export(f"export.{path.stem}", "inference", STAYS, text, file=True)

MODES = (*READER.modes("opset-15 file file-gradient", "file file-gradient"), *([] if CARELESS else EXPORTS))
