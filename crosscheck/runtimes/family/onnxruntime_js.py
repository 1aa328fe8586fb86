"""ONNX Runtime's bindings to JavaScript: what they have in common."""

from __future__ import annotations

from crosscheck.runtimes.family.readers import Calls, Reader
from crosscheck.runtimes.mode import Mode

__all__ = ["TENSORS", "modes", "reader"]

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


def modes(reader: Reader) -> tuple[Mode, ...]:
    """The forms that every binding is asked in."""
    return (
        reader.inference(7, 7, default=False),
        reader.inference(9, 9),
        reader.inference(9, 9, momentum=False, default=False),
        reader.inference(9, 9, fed=True),
        reader.inference(15, 15),
        reader.inference(15, 15, fed=True, default=False),
        reader.training(14, 14, default=False),
        reader.training(15, 15),
        reader.training(15, 15, read=False),
        reader.training(15, 15, momentum=False, default=False),
        reader.training(15, 15, fed=True, default=False),
        reader.training(15, 15, read=False, fed=True),
        reader.gradient(9, default=False),
        reader.gradient(9, "batch", default=False),
        reader.gradient(15),
        reader.gradient(15, "batch"),
        reader.gradient(15, "training", default=False),
        reader.gradient(15, fed=True, default=False),
        reader.gradient(15, "batch", fed=True, default=False),
        *reader.files(),
    )
