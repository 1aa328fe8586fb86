"""A runtime that exports ONNX files, rightly and wrongly, and reads those of others with onnx's evaluator."""

import os
from typing import Any

from crosscheck.probe.adapter import Contract, Mode, Network
from crosscheck.probe.onnx_forms import FormAdapter, Forms, Model

FORMS = Forms("toy.run({})", "toy.run({})")
STAYS = Contract("stay", "the toy's manual promises that statistics stay", "https://example.org/toy/manual")


def _export(name: str, **more: Any) -> Mode:
    return Mode("export." + name, "inference", "export", "toy.export()", STAYS, file=True, **more)


class ExchangeToy(FormAdapter):
    """Modes are named after what is wrong with the file; `careless` readers take another epsilon than the file's."""

    name = "toy"
    inference_form = "opset-15"
    careless = False
    modes = (
        FORMS.inference(15, 15, default=False),
        *FORMS.files(),
        _export("right"),
        _export("twin"),
        _export("wrong-epsilon"),
        _export("unit-scale", unit_scale=True),
        _export("foreign"),
        _export("torn"),
        _export("refused"),
    )

    def load(self) -> str:
        import onnx
        import onnx.reference

        self.onnx = onnx
        return "toy"

    def session(self, path: str) -> Any:
        model = self.onnx.load(path)
        if self.careless:
            self.other_epsilon(model)
        return self.onnx.reference.ReferenceEvaluator(model)

    def other_epsilon(self, model: Any) -> None:
        """Of every batch normalization but the first."""
        for node in [node for node in model.graph.node if node.op_type == "BatchNormalization"][1:]:
            next(item for item in node.attribute if item.name == "epsilon").f = 0.5

    def build(self, network: Network, mode: str, shares: Any | None = None) -> Model:
        if not mode.startswith("export."):
            return FormAdapter.build(self, network, mode, shares)
        return FormAdapter.build(self, network, "opset-15")._replace(exposed=network.onnx["opset-15"])

    def export(self, model: Model, mode: str, folder: str) -> None:
        written, path = self.onnx.load(model.exposed), os.path.join(folder, "network.onnx")
        if mode == "export.refused":
            raise ValueError("the toy does not export that")
        if mode == "export.wrong-epsilon":
            self.other_epsilon(written)
        if mode == "export.foreign":
            relu = next(node for node in written.graph.node if node.op_type == "Relu")
            relu.domain, relu.op_type = "org.example", "FastRelu"
            written.opset_import.append(self.onnx.helper.make_opsetid("org.example", 1))
        with open(path, "wb") as file:
            file.write(b"torn" if mode == "export.torn" else written.SerializeToString(deterministic=True))
