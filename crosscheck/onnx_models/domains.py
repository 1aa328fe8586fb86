"""Domains of operators, and opsets."""

from __future__ import annotations

import onnx

__all__ = ["FIRST_OPSET", "ONNX_DOMAIN", "foreign_operators", "opset_of"]

#: The two names of the domain of ONNX's operators.
ONNX_DOMAIN = ("", "ai.onnx")
#: The domains of the operators that ONNX itself defines for inference.
INFERENCE_DOMAINS = (*ONNX_DOMAIN, "ai.onnx.ml")
#: The first opset whose BatchNormalization has no `is_test`.
FIRST_OPSET = 7


def opset_of(model: onnx.ModelProto) -> int:
    """The opset of ONNX's operators; 0 if the model declares none, which has no such operator."""
    return next((int(item.version) for item in model.opset_import if item.domain in ONNX_DOMAIN), 0)


def foreign_operators(model: onnx.ModelProto) -> list[str]:
    """Operators outside ONNX's domains, such as `com.microsoft.FusedConv`; other runtimes may not support them."""
    foreign = {f"{node.domain}.{node.op_type}" for node in model.graph.node if node.domain not in INFERENCE_DOMAINS}
    return sorted(foreign)
