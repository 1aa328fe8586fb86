"""ONNX Runtime's bindings to JavaScript: what they have in common.

A call leaves nothing behind: an `InferenceSession` has no gradients (a gradient is an output of the file like others),
no hooks, no layers, and no mode that a call could switch. Its options are fixed when it is made, and those of `ort.env`
are settings of the package that the user's lines set before.
"""

from __future__ import annotations

from crosscheck.runtimes.family.readers import Calls, Reader

__all__ = ["DEFAULT", "FORMS", "TENSORS", "reader"]

#: What every program begins with: a tensor of an array, and back.
TENSORS = """\
const tensor = ({ shape, data }) => new ort.Tensor("float32", data, shape);
const array = ({ dims, data }) => ({ shape: dims, data });
"""


def reader(file: str) -> Reader:
    """`file`: the expression, with "$file" in it, that `InferenceSession.create` takes beside the options."""
    return Reader(
        Calls(
            open=f"$net = await ort.InferenceSession.create({file}, options);\n",
            predict='y = (await $net.run($feeds))["$output"];\n',
            gradient='dx = (await $net.run($feeds))["$input.gradient"];\n',
            layers="layers = await $net.run($feeds, $names);\n",
            statistics="const statistics = $entries;\n",
            statistic='tensor(weights["$name"])',
            spread="...",
            declare="const ",
        ),
        inference_form="opset-9",
    )


#: The forms that every binding is asked in.
FORMS = """
    opset-7 opset-9 opset-9-no-momentum opset-9-fed opset-15 opset-15-fed opset-14-training opset-15-training
    opset-15-training-unread opset-15-training-no-momentum opset-15-training-fed opset-15-training-unread-fed
    opset-9-gradient opset-9-batch-gradient opset-15-gradient opset-15-batch-gradient opset-15-training-gradient
    opset-15-fed-gradient opset-15-batch-fed-gradient file file-gradient file-batch-gradient file-training
"""
DEFAULT = """
    opset-9 opset-9-fed opset-15 opset-15-training opset-15-training-unread opset-15-training-unread-fed
    opset-15-gradient opset-15-batch-gradient file file-gradient file-batch-gradient file-training
"""
