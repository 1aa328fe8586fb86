"""The library of the exchange toy: runs ONNX files with onnx's evaluator, and exports them, some with errors."""

import shutil
from pathlib import Path
from typing import Any

import onnx
import onnx.reference


class Net:
    """An imported file. `careless`: batch normalizations after the first get another epsilon than the file's."""

    def __init__(self, path: str, careless: bool = False) -> None:
        self.model = onnx.load(path)
        if careless:
            set_epsilon(self.model, 0.5)
        self.evaluator = onnx.reference.ReferenceEvaluator(self.model)

    def run(self, names: list[str], feeds: dict[str, Any]) -> list[Any]:
        return list(self.evaluator.run(names, feeds))

    def export(self, path: str, **options: Any) -> None:
        export(self, path, **options)


def export(
    net: Net,
    path: str,
    epsilon: float = 0,
    unit_scale: bool = False,
    foreign: bool = False,
    torn: bool = False,
    opset: int = 15,
) -> None:
    """Write the network. `unit_scale` is not exported; `foreign` writes an operator of no other runtime."""
    if opset < 15:
        raise ValueError("the toy does not export that")
    written = onnx.ModelProto()
    written.CopyFrom(net.model)
    if epsilon:
        set_epsilon(written, epsilon)
    if foreign:
        relu = next(node for node in written.graph.node if node.op_type == "Relu")
        relu.domain, relu.op_type = "org.example", "FastRelu"
        written.opset_import.append(onnx.helper.make_opsetid("org.example", 1))
    with open(path, "wb") as file:
        file.write(b"torn" if torn else written.SerializeToString(deterministic=True))


def pass_on(name: str, path: str) -> None:
    """Write a file of the folder `ready`, whatever is in it."""
    shutil.copyfile(Path(__file__).parent / "ready" / name, path)


def set_epsilon(model: Any, epsilon: float) -> None:
    """Set it in every batch normalization except the first."""
    for node in [node for node in model.graph.node if node.op_type == "BatchNormalization"][1:]:
        next(item for item in node.attribute if item.name == "epsilon").f = epsilon
