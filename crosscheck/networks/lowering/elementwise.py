"""Rules of operators that work entry by entry, and of normalizations that are made of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from crosscheck.cells import Array
from crosscheck.networks.lowering.step import Step

__all__ = ["RULES", "broadcast_constant"]

#: Bounds of a Clip without them: the largest numbers of float32, as in ONNX.
LOWEST, HIGHEST = (float(limit) for limit in (np.finfo(np.float32).min, np.finfo(np.float32).max))

#: Selu's defaults in ONNX.
ALPHA, GAMMA = 1.67326319217681884765625, 1.05070102214813232421875


def _same(step: Step) -> None:
    step.end(step.proto.op_type, [step.data()])


def _with_attributes(**defaults: float) -> Callable[[Step], None]:
    """An operator with float attributes, which are float32 in a file, defaults included."""

    def rule(step: Step) -> None:
        attributes = {name: float(np.float32(step.attributes.get(name, usual))) for name, usual in defaults.items()}
        step.end(step.proto.op_type, [step.data()], attributes)

    return rule


def _binary(step: Step) -> None:
    """Two computed tensors, of which one may have axes of size 1; or one, and a constant that broadcasts to it."""
    op = step.proto.op_type
    constants = [step.is_constant(index) for index in range(2)]
    if not any(constants):
        _check_broadcast(step)
        step.end(op, [step.data(0), step.data(1)])
        return
    place = constants.index(True)
    data = step.data(1 - place)
    constant = step.parameter(place, broadcast_constant(step, place), shared=False)
    if place == 1 or op in ("Add", "Mul"):
        step.end(op, [data, constant])
    elif op == "Sub":
        negative = step.add("Mul", [data, step.number(-1.0, len(step.shape(1)))])
        step.end("Add", [negative, constant])
    else:
        raise step.refusal("divides a constant; only computed tensors are divided")


def _check_broadcast(step: Step) -> None:
    left, right = step.shape(0), step.shape(1)
    if len(left) != len(right) or any(
        1 not in (one, other) and one != other for one, other in zip(left, right, strict=True)
    ):
        raise step.refusal(f"takes tensors of shapes {left} and {right}, which do not broadcast axis by axis")


def broadcast_constant(step: Step, place: int) -> Array:
    """The constant with as many axes as the computed tensor, whose shape the result keeps."""
    value, data = step.constant(place), step.shape(1 - place)
    if value.ndim > len(data):
        raise step.refusal(f"takes a constant of shape {value.shape}, which enlarges {data}")
    whole = value.reshape((1,) * (len(data) - value.ndim) + value.shape)
    if (whole == whole[:1]).all():  # repeated for every row of the batch
        whole = whole[:1]
    if whole.shape[0] != 1 or any(size not in (1, axis) for size, axis in zip(whole.shape[1:], data[1:], strict=True)):
        raise step.refusal(f"takes a constant of shape {value.shape}, which enlarges {data} or depends on the row")
    return whole


def _scaled(step: Step, factor: float) -> None:
    step.end("Mul", [step.data(), step.number(factor, len(step.shape()))])


def _power(step: Step) -> None:
    exponent = step.constant(1) if step.is_constant(1) else np.zeros(2)
    if exponent.size != 1 or exponent.item() not in (0.5, 1.0, 2.0):
        raise step.refusal("has an exponent other than 0.5, 1 and 2")
    if exponent.item() == 1:
        step.same()
    elif exponent.item() == 2:
        step.end("Mul", [step.data(), step.data()])
    else:
        step.end("Sqrt", [step.data()])


def _clip(step: Step) -> None:
    bounds = {}
    for index, (name, usual) in enumerate({"min": LOWEST, "max": HIGHEST}.items(), 1):
        given = step.constant(index).item() if step.has(index) else step.attributes.get(name, usual)
        bounds[name] = min(max(float(np.float32(given)), LOWEST), HIGHEST)
    if bounds == {"min": LOWEST, "max": HIGHEST}:
        step.same()
    elif bounds == {"min": 0.0, "max": HIGHEST}:
        step.end("Relu", [step.data()])
    else:
        step.end("Clip", [step.data()], bounds)


def _hard_swish(step: Step) -> None:
    """x * max(0, min(1, x / 6 + 0.5))."""
    gate = step.add("HardSigmoid", [step.data()], {"alpha": float(np.float32(1 / 6)), "beta": 0.5})
    step.end("Mul", [step.data(), gate])


def _mish(step: Step) -> None:
    """x * tanh(softplus(x))."""
    gate = step.add("Tanh", [step.add("Softplus", [step.data()])])
    step.end("Mul", [step.data(), gate])


def _gelu(step: Step) -> None:
    """x * (erf(x / sqrt(2)) + 1) / 2."""
    if step.attributes.get("approximate", b"none") != b"none":
        raise step.refusal("is approximated by tanh; only the exact form is supported")
    rank = len(step.shape())
    scaled = step.add("Mul", [step.data(), step.number(math.sqrt(0.5), rank)])
    raised = step.add("Add", [step.add("Erf", [scaled]), step.number(1.0, rank)])
    half = step.add("Mul", [step.data(), step.number(0.5, rank)])
    step.end("Mul", [half, raised])


def _prelu(step: Step) -> None:
    """max(x, 0) + slope * (x - max(x, 0))."""
    slope = step.parameter(1, broadcast_constant(step, 1), shared=False)
    above = step.add("Relu", [step.data()])
    below = step.add("Sub", [step.data(), above])
    step.end("Add", [above, step.add("Mul", [below, slope])])


def _instance_norm(step: Step) -> None:
    rank = len(step.shape())
    shape = (1, -1, *[1] * (rank - 2))
    affine = [step.parameter(index, step.constant(index).reshape(shape), shared=False) for index in (1, 2)]
    _normalized(step, list(range(2, rank)), affine)


def _local_response_norm(step: Step) -> None:
    attributes = {
        name: float(np.float32(step.attributes.get(name, usual)))
        for name, usual in {"alpha": 1e-4, "beta": 0.75, "bias": 1.0}.items()
    }
    size = step.attributes["size"]
    if size % 2 == 0:
        raise step.refusal("has an even size; only odd ones are supported")
    step.end("LRN", [step.data()], {**attributes, "size": size})


def _selu(step: Step) -> None:
    """gamma * elu(x)."""
    alpha, gamma = (
        float(np.float32(step.attributes.get(name, usual))) for name, usual in (("alpha", ALPHA), ("gamma", GAMMA))
    )
    inner = step.add("Elu", [step.data()], {"alpha": alpha})
    step.end("Mul", [inner, step.number(gamma, len(step.shape()))])


def _layer_norm(step: Step) -> None:
    if any(step.proto.output[1:]):
        raise step.refusal("has more than one output; only the first is supported")
    rank = len(step.shape())
    (first,) = step.axes([step.attributes.get("axis", -1)])
    affine = [
        step.parameter(index, _broadcast_to(step, index, rank), shared=False) for index in (1, 2) if step.has(index)
    ]
    _normalized(step, list(range(first, rank)), affine)


def _broadcast_to(step: Step, index: int, rank: int) -> Array:
    value = step.constant(index)
    return value.reshape((1,) * (rank - value.ndim) + value.shape)


def _normalized(step: Step, axes: list[int], affine: list[str]) -> None:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, over `axes`."""
    epsilon = step.number(float(np.float32(step.attributes.get("epsilon", 1e-5))), len(step.shape()))
    centred = step.add("Sub", [step.data(), step.add("ReduceMean", [step.data()], {"axes": axes})])
    variance = step.add("ReduceMean", [step.add("Mul", [centred, centred])], {"axes": axes})
    spread = step.add("Sqrt", [step.add("Add", [variance, epsilon])])
    if not affine:
        step.end("Div", [centred, spread])
        return
    last = step.add("Div", [centred, spread])
    if len(affine) == 1:
        step.end("Mul", [last, affine[0]])
        return
    step.end("Add", [step.add("Mul", [last, affine[0]]), affine[1]])


#: Operator -> its rule; may raise NetworkError.
RULES: Mapping[str, Callable[[Step], Any]] = {
    **dict.fromkeys(("Add", "Div", "Mul", "Sub"), _binary),
    **dict.fromkeys(("Erf", "Relu", "Sigmoid", "Softplus", "Sqrt", "Tanh"), _same),
    "Clip": _clip,
    "Elu": _with_attributes(alpha=1.0),
    "Gelu": _gelu,
    "HardSigmoid": _with_attributes(alpha=0.2, beta=0.5),
    "HardSwish": _hard_swish,
    "InstanceNormalization": _instance_norm,
    "LRN": _local_response_norm,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": _with_attributes(alpha=0.01),
    "Mish": _mish,
    "Neg": lambda step: _scaled(step, -1.0),
    "PRelu": _prelu,
    "Pow": _power,
    "Selu": _selu,
}
