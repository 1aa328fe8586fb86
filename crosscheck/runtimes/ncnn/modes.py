"""ncnn on the CPU: an ONNX file goes through pnnx, its converter, and a mode is the form of the file.

`Net` is a class of the source. Rows go through it one by one, as ncnn's arrays have no batch axis, unless they depend
on each other.
"""

from dataclasses import replace

from crosscheck.runtimes.family.readers import Calls, Reader

CALLS = Calls.in_order('$net = Net("$file")\n', "$net($inputs)")
READER = Reader(CALLS, inference_form="opset-9")
WHOLE = replace(READER, calls=replace(CALLS, open='$net = Net("$file", one_by_one=False)\n'))

FORMS = """
    opset-7 opset-9 opset-9-no-momentum opset-14 opset-15 opset-15-no-momentum opset-9-fed opset-15-fed
    opset-14-training opset-15-training opset-14-training-unread opset-15-training-unread
    opset-15-training-no-momentum opset-9-gradient opset-9-batch-gradient opset-15-gradient
    opset-15-batch-gradient opset-15-training-gradient file file-gradient file-batch-gradient file-training
"""
DEFAULT = """
    opset-9 opset-9-fed opset-15-training-unread opset-15-gradient opset-15-batch-gradient file file-gradient
    file-batch-gradient file-training
"""
MODES = [
    one_by_one if one_by_one.intent == "inference" else whole
    for one_by_one, whole in zip(READER.modes(FORMS, DEFAULT), WHOLE.modes(FORMS, DEFAULT), strict=True)
]
