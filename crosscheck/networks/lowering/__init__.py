"""Lowers a checked ONNX model to the plain graph (`crosscheck.networks.graph`) and its weights."""

from crosscheck.networks.lowering.lower import ANY_RANK, lower

__all__ = ["ANY_RANK", "lower"]
