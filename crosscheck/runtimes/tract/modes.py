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

MODES = (
    READER.inference(7, 7, default=False),
    READER.inference(9, 9, default=False),
    READER.inference(9, 9, momentum=False, default=False),
    READER.inference(9, 9, fed=True, default=False),
    READER.inference(15, 15),
    READER.inference(15, 15, fed=True, default=False),
    READER.training(14, 14, default=False),
    READER.training(15, 15),
    READER.training(15, 15, read=False, default=False),
    READER.training(15, 15, fed=True, default=False),
    READER.gradient(9, default=False),
    READER.gradient(15),
    READER.gradient(15, fed=True, default=False),
    READER.gradient(9, "batch", default=False),
    READER.gradient(15, "batch"),
    READER.gradient(15, "batch", fed=True, default=False),
    READER.gradient(15, "training", default=False),
    *READER.files(),
)
