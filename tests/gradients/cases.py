"""Models of one operator or a few, as data, for the tests of the rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper

from crosscheck.cells import Array
from tests.gradients.numeric import NEWEST

__all__ = ["POSITIVE", "Case", "Formula", "X", "chain", "floats", "listed", "node", "numbers", "single"]

Build = Callable[[int], tuple[list[onnx.NodeProto], dict[str, Array]]]
Formula = Callable[[Any], Any]


@dataclass(frozen=True)
class Case:
    """A model with one operator or a few.

    build: from the opset to nodes from x to y and constants. formula: the same for autograd; None without such a
    function or gradient. first, last: the opsets that have it. sized: whether its batch axis must be a number.
    double: whether it casts to float64.
    """

    name: str
    build: Build
    formula: Formula | None
    x: Array
    first: int = 9
    last: int = NEWEST
    sized: bool = False
    double: bool = False


def numbers(*shape: int) -> Array:
    """Distinct numbers from -3 to 3, at least 0.01 from every integer and half-integer."""
    count = int(np.prod(shape))
    values = np.linspace(-2.95, 2.95, count) + 0.013
    near = np.abs(values * 2 - np.round(values * 2)) < 0.02
    return np.random.default_rng(0).permutation(values + 0.03 * near).reshape(shape)


def node(op: str, *inputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs, ["y"], **attributes)


def single(
    op: str,
    formula: Formula | None,
    constants: Mapping[str, Any] | None = None,
    inputs: Sequence[str] | None = None,
    x: Array | None = None,
    label: str = "",
    first: int = 9,
    last: int = NEWEST,
    sized: bool = False,
    **attributes: Any,
) -> Case:
    """One node with the same syntax in all its opsets; by default its inputs are x and the constants."""
    stored = {name: np.asarray(value) for name, value in (constants or {}).items()}
    taken = ["x", *stored] if inputs is None else inputs
    told = ",".join(f"{key}={value}" for key, value in attributes.items())
    name = "-".join(filter(None, (op, label, told)))
    return Case(
        name,
        lambda opset: ([node(op, *taken, **attributes)], stored),
        formula,
        numbers(2, 3, 4) if x is None else x,
        first,
        last,
        sized,
    )


def listed(
    op: str,
    formula: Formula | None,
    since: int,
    lists: Mapping[str, Sequence[int]],
    x: Array | None = None,
    label: str = "",
    first: int = 9,
    last: int = NEWEST,
    sized: bool = False,
    **attributes: Any,
) -> Case:
    """One node with lists of integers as attributes, or as inputs from opset `since` on."""

    def build(opset: int) -> tuple[list[onnx.NodeProto], dict[str, Array]]:
        if opset < since:
            return [node(op, "x", **{key: list(value) for key, value in lists.items()}, **attributes)], {}
        return [node(op, "x", *lists, **attributes)], {key: np.array(value, np.int64) for key, value in lists.items()}

    told = ",".join(f"{key}={value}" for key, value in (*lists.items(), *attributes.items()))
    name = "-".join(filter(None, (op, label, told)))
    return Case(name, build, formula, numbers(2, 3, 4) if x is None else x, first, last, sized)


def chain(name: str, nodes: Sequence[onnx.NodeProto], formula: Formula | None, **rest: Any) -> Case:
    constants = {key: np.asarray(value) for key, value in rest.pop("constants", {}).items()}
    return Case(name, lambda opset: (list(nodes), constants), formula, rest.pop("x", numbers(2, 3, 4)), **rest)


X = numbers(2, 3, 4)
POSITIVE = X + 3.5
FLOATS = np.random.default_rng(1).uniform(0.5, 2.0, 64)


def floats(*shape: int) -> Array:
    return FLOATS[: int(np.prod(shape))].reshape(shape)
