"""Extends an ONNX model to compute d(sum(output * cotangent)) / d(input), in plain operators."""

from crosscheck.networks.differentiate.rules.statistics import UPDATED
from crosscheck.networks.differentiate.sweep import GRADIENT_OPSET, differentiate

__all__ = ["GRADIENT_OPSET", "UPDATED", "differentiate"]
