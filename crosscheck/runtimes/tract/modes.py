"""tract: a mode is the form in which the network's file is written. The batch axis stays the file's symbol."""

from dataclasses import replace

from crosscheck.runtimes.family.readers import BY_PLACE, Calls, Reader

CALLS = Calls(
    open='$net = tract.onnx().load("$file").into_model().into_runnable()\n',
    predict="y = $net.run([$inputs])[0].to_numpy()\n",
    gradient="dx = $net.run([$inputs])[1].to_numpy()\n",
    layers="values = [value.to_numpy() for value in $net.run([$inputs])]\n" + BY_PLACE,
)
#: 0.23 calls `load` and `into_model` what was `model_for_path` and `into_optimized`.
OPTIMIZED = replace(CALLS, open='$net = tract.onnx().model_for_path("$file").into_optimized().into_runnable()\n')

READER = Reader(CALLS, inference_form="opset-9", older=(("0.22.4", OPTIMIZED),))

FORMS = """
    opset-7 opset-9 opset-9-no-momentum opset-9-fed opset-15 opset-15-fed opset-14-training opset-15-training
    opset-15-training-unread opset-15-training-fed opset-9-gradient opset-15-gradient opset-15-fed-gradient
    opset-9-batch-gradient opset-15-batch-gradient opset-15-batch-fed-gradient opset-15-training-gradient file
    file-gradient file-batch-gradient file-training
"""
DEFAULT = """
    opset-15 opset-15-training opset-15-gradient opset-15-batch-gradient file file-gradient file-batch-gradient
    file-training
"""
MODES = READER.modes(FORMS, DEFAULT)
