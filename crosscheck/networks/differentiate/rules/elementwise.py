"""Operators that work on each element by itself."""

from __future__ import annotations

from crosscheck.networks.differentiate.call import Call
from crosscheck.networks.differentiate.rules.rule import Cotangents, Gradients, Rule, unbroadcast
from crosscheck.networks.differentiate.writer import Writer

__all__ = ["RULES"]


def _add(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    (given,) = cotangents
    assert given is not None
    return [unbroadcast(writer, call, given, index) if call.wanted[index] else None for index in range(2)]


def _relu(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """Zero where the input is exactly zero: the left derivative, as in torch and TensorFlow."""
    (given,) = cotangents
    assert given is not None
    return [writer.masked(given, writer.node("Greater", call.inputs[0], writer.constant(0.0)))]


RULES: dict[str, Rule] = {"Add": _add, "Relu": _relu}
