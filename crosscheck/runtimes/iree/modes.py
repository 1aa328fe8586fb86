"""IREE on the CPU: ONNX files through its importer (torch-mlir) and its compiler; a mode is the form of the file."""

from dataclasses import replace

from crosscheck.runtimes.family.readers import Calls, Reader

#: `load` and `run` are functions of the source.
READER = Reader(
    Calls.in_order(
        '$net = load("$file")\n', "run($net, $inputs)", 'iree.runtime.asdevicearray(device, weights["$name"])'
    ),
    inference_form="opset-15",
)

FORMS = """
    opset-7 opset-9 opset-14 opset-15 opset-15-no-momentum opset-15-fed opset-21 opset-14-training
    opset-15-training opset-15-training-no-momentum opset-15-training-unread opset-15-training-fed
    opset-9-gradient opset-9-batch-gradient opset-15-gradient opset-15-batch-gradient opset-15-training-gradient
    opset-15-fed-gradient opset-15-batch-fed-gradient opset-15-training-fed-gradient file file-gradient
    file-batch-gradient file-training
"""
DEFAULT = """
    opset-15 opset-15-training-fed opset-15-gradient opset-15-batch-gradient file file-gradient
    file-batch-gradient file-training
"""
MODES = [
    # There is no BatchNormalization of opset 9 to be had here, and none is in this file.
    replace(mode, inference="opset-15-gradient") if mode.name == "opset-9-batch-gradient" else mode
    for mode in READER.modes(FORMS, DEFAULT)
]
