"""Trigonometric and hyperbolic functions, and their inverses."""

from __future__ import annotations

from collections.abc import Callable

from crosscheck.gradients.call import Call
from crosscheck.gradients.rules.rule import Rule, chained
from crosscheck.gradients.writer import Writer

__all__ = ["RULES"]


def _sin(writer: Writer, call: Call) -> str:
    return writer.node("Cos", call.inputs[0])


def _cos(writer: Writer, call: Call) -> str:
    return writer.node("Neg", writer.node("Sin", call.inputs[0]))


def _tan(writer: Writer, call: Call) -> str:
    """The slope is 1 + y^2."""
    return writer.plus(writer.square(call.outputs[0]), 1.0)


def _sinh(writer: Writer, call: Call) -> str:
    return writer.node("Cosh", call.inputs[0])


def _cosh(writer: Writer, call: Call) -> str:
    return writer.node("Sinh", call.inputs[0])


def _asin(writer: Writer, call: Call) -> str:
    """The slope is 1 / sqrt(1 - x^2)."""
    return _inverse_root(writer, _one_minus_square(writer, call.inputs[0]))


def _acos(writer: Writer, call: Call) -> str:
    return writer.node("Neg", _asin(writer, call))


def _atan(writer: Writer, call: Call) -> str:
    """The slope is 1 / (1 + x^2)."""
    return writer.node("Reciprocal", _shifted_square(1.0)(writer, call))


def _asinh(writer: Writer, call: Call) -> str:
    """The slope is 1 / sqrt(x^2 + 1)."""
    return _inverse_root(writer, _shifted_square(1.0)(writer, call))


def _acosh(writer: Writer, call: Call) -> str:
    """The slope is 1 / sqrt(x^2 - 1)."""
    return _inverse_root(writer, _shifted_square(-1.0)(writer, call))


def _atanh(writer: Writer, call: Call) -> str:
    """The slope is 1 / (1 - x^2)."""
    return writer.node("Reciprocal", _one_minus_square(writer, call.inputs[0]))


def _shifted_square(term: float) -> Callable[[Writer, Call], str]:
    return lambda writer, call: writer.plus(writer.square(call.inputs[0]), term)


def _one_minus_square(writer: Writer, x: str) -> str:
    return writer.node("Sub", writer.constant(1.0), writer.square(x))


def _inverse_root(writer: Writer, x: str) -> str:
    return writer.node("Reciprocal", writer.node("Sqrt", x))


RULES: dict[str, Rule] = {
    "Acos": chained(_acos),
    "Acosh": chained(_acosh),
    "Asin": chained(_asin),
    "Asinh": chained(_asinh),
    "Atan": chained(_atan),
    "Atanh": chained(_atanh),
    "Cos": chained(_cos),
    "Cosh": chained(_cosh),
    "Sin": chained(_sin),
    "Sinh": chained(_sinh),
    "Tan": chained(_tan),
}
