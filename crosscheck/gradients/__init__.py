"""The input gradient of an ONNX model as an ONNX model, in plain operators: a reverse-mode pass over its nodes."""

from crosscheck.gradients.api import gradient, sized_gradient
from crosscheck.gradients.rules.statistics import UPDATED
from crosscheck.gradients.sweep import GRADIENT_OPSET, differentiate

__all__ = ["GRADIENT_OPSET", "UPDATED", "differentiate", "gradient", "sized_gradient"]
