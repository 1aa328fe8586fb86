"""Elementwise operators.

Equal arguments of Max or Min share the cotangent equally. At kinks and steps Abs, Sign, Floor, Ceil and Round have
slope zero, as in torch; so has Hardmax.
"""

from __future__ import annotations

import math

from crosscheck.gradients.call import Call
from crosscheck.gradients.rules.rule import Cotangents, Gradients, Rule, chained, only, unbroadcast
from crosscheck.gradients.writer import Writer

__all__ = ["RULES"]


def _identity(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    return [only(cotangents)]


def _flat(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """Zero, of the input's shape: the slope of step functions."""
    return [writer.zeros_like(call.inputs[0])]


def _cast(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """The cotangent in the input's type; a second input only gives a type."""
    return [writer.cast(only(cotangents), call.dtype(0)), *[None] * (len(call.inputs) - 1)]


def _sum(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    return _spread(writer, call, only(cotangents))


def _mean(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    return _spread(writer, call, writer.times(only(cotangents), 1 / len(call.inputs)))


def _spread(writer: Writer, call: Call, cotangent: str) -> Gradients:
    return [unbroadcast(writer, call, cotangent, index) if wanted else None for index, wanted in enumerate(call.wanted)]


def _sub(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    cotangent = only(cotangents)
    return [
        unbroadcast(writer, call, cotangent, 0) if call.wanted[0] else None,
        writer.node("Neg", unbroadcast(writer, call, cotangent, 1)) if call.wanted[1] else None,
    ]


def _mul(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    cotangent = only(cotangents)
    return [
        unbroadcast(writer, call, writer.node("Mul", cotangent, other), index) if call.wanted[index] else None
        for index, other in enumerate(reversed(call.inputs))
    ]


def _div(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """d(a / b) = da / b - (a / b) / b * db."""
    quotient = writer.node("Div", only(cotangents), call.inputs[1])
    gradients: Gradients = [None, None]
    if call.wanted[0]:
        gradients[0] = unbroadcast(writer, call, quotient, 0)
    if call.wanted[1]:
        product = writer.node("Mul", quotient, call.outputs[0])
        gradients[1] = writer.node("Neg", unbroadcast(writer, call, product, 1))
    return gradients


def _mod(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """The output is a - n * b, n the quotient rounded to an integer."""
    cotangent, (a, b) = only(cotangents), call.inputs
    gradients: Gradients = [None, None]
    if call.wanted[0]:
        gradients[0] = unbroadcast(writer, call, cotangent, 0)
    if call.wanted[1]:
        times = writer.node("Div", writer.node("Sub", call.outputs[0], a), b)
        gradients[1] = unbroadcast(writer, call, writer.node("Mul", cotangent, times), 1)
    return gradients


def _pow(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """d(x ** e) = e * x ** (e - 1) * dx + x ** e * log(x) * de; 0 for dx where e = 0, and for de where x = 0."""
    cotangent, x = only(cotangents), call.inputs[0]
    gradients: Gradients = [None, None]
    if call.wanted[0]:
        gradients[0] = unbroadcast(writer, call, writer.node("Mul", cotangent, _power_slope(writer, call)), 0)
    if call.wanted[1]:
        positive = writer.node("Where", writer.equal(x, writer.constant(0.0)), writer.constant(1.0), x)
        slope = writer.node("Mul", call.outputs[0], writer.node("Log", positive))
        by_exponent = unbroadcast(writer, call, writer.node("Mul", cotangent, slope), 1)
        same = call.dtype(1) == call.dtype(0)
        gradients[1] = by_exponent if same else writer.cast(by_exponent, call.dtype(1))
    return gradients


def _power_slope(writer: Writer, call: Call) -> str:
    x, exponent = call.inputs
    constant = call.facts.value(exponent)
    if constant is not None and constant.size == 1 and constant.item() == 2:
        return writer.times(x, 2.0)
    if call.dtype(1) != call.dtype(0):
        exponent = writer.cast(exponent, call.dtype(0))
    lowered = exponent
    if constant is None or not constant.all():  # 0 * x ** -1 would not be zero where x is
        lowered = writer.node("Where", writer.equal(exponent, writer.constant(0.0)), writer.constant(1.0), exponent)
    return writer.node("Mul", exponent, writer.node("Pow", x, writer.plus(lowered, -1.0)))


def _extreme(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """Max, Min: arguments equal to the result share the cotangent equally."""
    cotangent = only(cotangents)
    if len(call.inputs) == 1:
        return [cotangent]
    chosen = [writer.cast(writer.equal(name, call.outputs[0]), writer.dtype) for name in call.inputs]
    share = writer.node("Div", cotangent, writer.node("Sum", *chosen))
    return [
        unbroadcast(writer, call, writer.node("Mul", share, part), index) if call.wanted[index] else None
        for index, part in enumerate(chosen)
    ]


def _where(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    cotangent, condition = only(cotangents), call.inputs[0]
    gradients: Gradients = [None, None, None]
    if call.wanted[1]:
        gradients[1] = unbroadcast(writer, call, writer.masked(cotangent, condition), 1)
    if call.wanted[2]:
        rest = writer.node("Where", condition, writer.constant(0.0), cotangent)
        gradients[2] = unbroadcast(writer, call, rest, 2)
    return gradients


def _reciprocal(writer: Writer, call: Call) -> str:
    return writer.node("Neg", writer.square(call.outputs[0]))


def _sqrt(writer: Writer, call: Call) -> str:
    return writer.node("Div", writer.constant(0.5), call.outputs[0])


def _log(writer: Writer, call: Call) -> str:
    return writer.node("Reciprocal", call.inputs[0])


def _abs(writer: Writer, call: Call) -> str:
    return writer.node("Sign", call.inputs[0])


def _exp(writer: Writer, call: Call) -> str:
    return call.outputs[0]


def _erf(writer: Writer, call: Call) -> str:
    """The slope is 2 / sqrt(pi) * exp(-x^2)."""
    bell = writer.node("Exp", writer.node("Neg", writer.square(call.inputs[0])))
    return writer.times(bell, 2 / math.sqrt(math.pi))


def _neg(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    return [writer.node("Neg", only(cotangents))]


RULES: dict[str, Rule] = {
    **dict.fromkeys(("Ceil", "Floor", "Hardmax", "Round", "Sign"), _flat),
    **dict.fromkeys(("Max", "Min"), _extreme),
    **dict.fromkeys(("Cast", "CastLike"), _cast),
    **dict.fromkeys(("Add", "Sum"), _sum),
    "Abs": chained(_abs),
    "Div": _div,
    "Erf": chained(_erf),
    "Exp": chained(_exp),
    "Identity": _identity,
    "Log": chained(_log),
    "Mean": _mean,
    "Mod": _mod,
    "Mul": _mul,
    "Neg": _neg,
    "Pow": _pow,
    "Reciprocal": chained(_reciprocal),
    "Sqrt": chained(_sqrt),
    "Sub": _sub,
    "Where": _where,
}
