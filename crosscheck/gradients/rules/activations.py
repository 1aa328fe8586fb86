"""Activations, softmax included.

At a kink the slope is that of the flatter side, as in torch: zero for Relu, ThresholdedRelu and HardSigmoid, alpha for
LeakyRelu (from 0 to 1) and PRelu, and accordingly for HardSwish (0 at -3, 1 at 3). The slope of Clip at its bounds is
one, also as in torch.
"""

from __future__ import annotations

import math

from crosscheck.gradients.call import Call
from crosscheck.gradients.rules.rule import Cotangents, Gradients, Rule, chained, only, unbroadcast
from crosscheck.gradients.writer import Writer

__all__ = ["RULES"]

#: Before this opset softmax ran over all axes from `axis` on, and the default of `axis` was 1.
SOFTMAX_OVER_ONE_AXIS = 13
#: The defaults of Selu, float32 numbers of the specification.
SELU_ALPHA, SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875


def _relu(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    return [writer.masked(only(cotangents), _above(writer, call.inputs[0], 0.0))]


def _thresholded_relu(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    return [writer.masked(only(cotangents), _above(writer, call.inputs[0], float(call.get("alpha", 1.0))))]


def _leaky_relu(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    cotangent = only(cotangents)
    below = writer.times(cotangent, float(call.get("alpha", 0.01)))
    return [writer.node("Where", _above(writer, call.inputs[0], 0.0), cotangent, below)]


def _prelu(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    cotangent, (x, slope) = only(cotangents), call.inputs
    above = _above(writer, x, 0.0)
    gradients: Gradients = [None, None]
    if call.wanted[0]:
        gradients[0] = writer.node("Where", above, cotangent, writer.node("Mul", cotangent, slope))
    if call.wanted[1]:
        below = writer.node("Where", above, writer.constant(0.0), writer.node("Mul", cotangent, x))
        gradients[1] = unbroadcast(writer, call, below, 1)
    return gradients


def _clip(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """Slope one between the bounds, inclusive, zero outside. Bounds are attributes until opset 10, then inputs.

    The upper bound is the result of whatever exceeds it, a lower bound included.
    """
    x, cotangent = call.inputs[0], only(cotangents)
    gradients: Gradients = [None] * len(call.inputs)
    bounds = {}
    for index, key in ((1, "min"), (2, "max")):
        if call.has(index):
            bounds[key] = call.inputs[index]
        elif key in call.attributes:
            bounds[key] = writer.constant(float(call.get(key, 0.0)))
    if "max" in bounds:
        raised = writer.node("Max", x, bounds["min"]) if "min" in bounds and any(call.wanted[1:]) else x
        above = writer.node("Greater", raised, bounds["max"])
        if len(call.inputs) > 2 and call.wanted[2]:
            gradients[2] = unbroadcast(writer, call, writer.masked(cotangent, above), 2)
        cotangent = writer.node("Where", above, writer.constant(0.0), cotangent)
    if "min" in bounds:
        below = writer.node("Less", x, bounds["min"])
        if len(call.inputs) > 1 and call.wanted[1]:
            gradients[1] = unbroadcast(writer, call, writer.masked(cotangent, below), 1)
        cotangent = writer.node("Where", below, writer.constant(0.0), cotangent)
    gradients[0] = cotangent
    return gradients


def _sigmoid(writer: Writer, call: Call) -> str:
    """The slope is y * (1 - y)."""
    return _logistic_slope(writer, call.outputs[0])


def _logistic_slope(writer: Writer, y: str) -> str:
    return writer.node("Mul", y, writer.node("Sub", writer.constant(1.0), y))


def _shrink(writer: Writer, call: Call) -> str:
    """The slope is 1 outside of -lambd to lambd, 0 inside."""
    far = _above(writer, writer.node("Abs", call.inputs[0]), float(call.get("lambd", 0.5)))
    return writer.cast(far, writer.dtype)


def _tanh(writer: Writer, call: Call) -> str:
    """The slope is 1 - y^2."""
    return _one_minus_square(writer, call.outputs[0])


def _one_minus_square(writer: Writer, y: str) -> str:
    return writer.node("Sub", writer.constant(1.0), writer.square(y))


def _hard_sigmoid(writer: Writer, call: Call) -> str:
    slope = writer.constant(float(call.get("alpha", 0.2)))
    return writer.masked(slope, _rising(writer, call.outputs[0]))


def _rising(writer: Writer, y: str) -> str:
    """Whether a hard sigmoid is between its bounds."""
    return writer.node("And", _above(writer, y, 0.0), writer.node("Less", y, writer.constant(1.0)))


def _hard_swish(writer: Writer, call: Call) -> str:
    """The slope is h + x / 6 where 0 < h < 1, and h elsewhere, for h = max(0, min(1, x / 6 + 1 / 2))."""
    x = call.inputs[0]
    line = writer.plus(writer.times(x, 1 / 6), 0.5)
    gate = writer.node("Max", writer.constant(0.0), writer.node("Min", writer.constant(1.0), line))
    return writer.node("Add", gate, writer.masked(writer.times(x, 1 / 6), _rising(writer, gate)))


def _elu(writer: Writer, call: Call) -> str:
    """The slope is 1 above zero, y + alpha below."""
    return _bent(writer, call, 1.0, writer.plus(call.outputs[0], float(call.get("alpha", 1.0))))


def _selu(writer: Writer, call: Call) -> str:
    """The slope is gamma above zero, y + alpha * gamma below."""
    alpha, gamma = float(call.get("alpha", SELU_ALPHA)), float(call.get("gamma", SELU_GAMMA))
    return _bent(writer, call, gamma, writer.plus(call.outputs[0], alpha * gamma))


def _celu(writer: Writer, call: Call) -> str:
    """The slope is 1 above zero, exp(x / alpha) below."""
    alpha = float(call.get("alpha", 1.0))
    return _bent(writer, call, 1.0, writer.node("Exp", writer.times(call.inputs[0], 1 / alpha)))


def _bent(writer: Writer, call: Call, above: float, below: str) -> str:
    return writer.node("Where", _above(writer, call.inputs[0], 0.0), writer.constant(above), below)


def _softplus(writer: Writer, call: Call) -> str:
    return writer.node("Sigmoid", call.inputs[0])


def _softsign(writer: Writer, call: Call) -> str:
    """The slope is 1 / (1 + |x|)^2."""
    return writer.node("Reciprocal", writer.square(writer.plus(writer.node("Abs", call.inputs[0]), 1.0)))


def _swish(writer: Writer, call: Call) -> str:
    """The slope is s + alpha * x * s * (1 - s) for s = sigmoid(alpha * x)."""
    steep = writer.times(call.inputs[0], float(call.get("alpha", 1.0)))
    gate = writer.node("Sigmoid", steep)
    return writer.node("Add", gate, writer.node("Mul", steep, _logistic_slope(writer, gate)))


def _mish(writer: Writer, call: Call) -> str:
    """The slope is t + x * (1 - t^2) * sigmoid(x) for t = tanh(softplus(x))."""
    x = call.inputs[0]
    gate = writer.node("Tanh", writer.node("Softplus", x))
    slope = writer.node("Mul", _one_minus_square(writer, gate), writer.node("Sigmoid", x))
    return writer.node("Add", gate, writer.node("Mul", x, slope))


def _gelu(writer: Writer, call: Call) -> str:
    """The slope is P + x * P' for x * P(x), P the normal distribution, or its approximation (1 + tanh(u)) / 2."""
    x = call.inputs[0]
    if call.get("approximate", "none") == "tanh":
        return _gelu_by_tanh(writer, x)
    bell = writer.node("Exp", writer.times(writer.square(x), -0.5))
    density = writer.times(bell, 1 / math.sqrt(2 * math.pi))
    share = writer.times(writer.plus(writer.node("Erf", writer.times(x, math.sqrt(0.5))), 1.0), 0.5)
    return writer.node("Add", share, writer.node("Mul", x, density))


def _gelu_by_tanh(writer: Writer, x: str) -> str:
    """The slope is (1 + t) / 2 + x * (1 - t^2) * u' / 2 for t = tanh(u), u = sqrt(2 / pi) * (x + 0.044715 * x^3)."""
    scale, cubic = math.sqrt(2 / math.pi), 0.044715
    square = writer.square(x)
    u = writer.times(writer.node("Mul", x, writer.plus(writer.times(square, cubic), 1.0)), scale)
    u_slope = writer.times(writer.plus(writer.times(square, 3 * cubic), 1.0), scale)
    gate = writer.node("Tanh", u)
    rest = writer.node("Mul", x, writer.node("Mul", _one_minus_square(writer, gate), u_slope))
    return writer.times(writer.plus(writer.node("Add", gate, rest), 1.0), 0.5)


def _softmax(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """The gradient is y * (dy - sum(dy * y))."""
    cotangent, y = only(cotangents), call.outputs[0]
    total = _total(writer, call, writer.node("Mul", cotangent, y))
    return [writer.node("Mul", y, writer.node("Sub", cotangent, total))]


def _log_softmax(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """The gradient is dy - exp(y) * sum(dy)."""
    cotangent = only(cotangents)
    spread = writer.node("Mul", writer.node("Exp", call.outputs[0]), _total(writer, call, cotangent))
    return [writer.node("Sub", cotangent, spread)]


def _total(writer: Writer, call: Call, x: str) -> str:
    """The sum over the axes of a softmax, kept with size one."""
    rank = call.rank(0)
    if writer.opset >= SOFTMAX_OVER_ONE_AXIS:
        return writer.reduce("ReduceSum", x, [int(call.get("axis", -1)) % rank])
    return writer.reduce("ReduceSum", x, list(range(int(call.get("axis", 1)) % rank, rank)))


def _above(writer: Writer, x: str, bound: float) -> str:
    return writer.node("Greater", x, writer.constant(bound))


RULES: dict[str, Rule] = {
    "Celu": chained(_celu),
    "Clip": _clip,
    "Elu": chained(_elu),
    "Gelu": chained(_gelu),
    "HardSigmoid": chained(_hard_sigmoid),
    "HardSwish": chained(_hard_swish),
    "LeakyRelu": _leaky_relu,
    "LogSoftmax": _log_softmax,
    "Mish": chained(_mish),
    "PRelu": _prelu,
    "Relu": _relu,
    "Selu": chained(_selu),
    "Shrink": chained(_shrink),
    "Sigmoid": chained(_sigmoid),
    "Softmax": _softmax,
    "Softplus": chained(_softplus),
    "Softsign": chained(_softsign),
    "Swish": chained(_swish),
    "Tanh": chained(_tanh),
    "ThresholdedRelu": _thresholded_relu,
}
