"""emx-onnx-cgen: ONNX files compiled to C, and that by the machine's C compiler; a mode is the form of the file."""

from crosscheck.runtimes.family.readers import Calls, Reader

#: `Net` is a class of the source.
READER = Reader(Calls.in_order('$net = Net("$file")\n', "$net($inputs)"), inference_form="opset-15")

FORMS = """
    opset-9 opset-9-no-momentum opset-9-fed opset-14 opset-15 opset-15-no-momentum opset-15-fed opset-21
    opset-14-training opset-14-training-unread opset-15-training opset-15-training-unread
    opset-15-training-no-momentum opset-15-training-fed opset-15-training-unread-fed opset-9-gradient
    opset-9-batch-gradient opset-15-gradient opset-15-batch-gradient opset-15-training-gradient
    opset-15-fed-gradient opset-15-batch-fed-gradient opset-15-training-fed-gradient file file-gradient
    file-batch-gradient file-training
"""
DEFAULT = """
    opset-9 opset-15 opset-15-training opset-15-training-unread opset-15-gradient opset-15-batch-gradient
    opset-15-training-gradient file file-gradient file-batch-gradient file-training
"""
MODES = READER.modes(FORMS, DEFAULT)
