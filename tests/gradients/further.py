"""Cases of operators that scatter, pick or quantize, of Einsum, and of trigonometry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import autograd.numpy as anp  # type: ignore[import-untyped]
import numpy as np
from onnx import helper

from crosscheck.cells import Array
from tests.gradients.cases import Case, X, chain, floats, node, numbers, single

__all__ = ["FURTHER"]

INSIDE = X / 3.5

TRIGONOMETRY = [
    single("Tan", anp.tan, x=INSIDE),
    single("Sinh", anp.sinh),
    single("Cosh", anp.cosh),
    single("Asin", anp.arcsin, x=INSIDE),
    single("Acos", anp.arccos, x=INSIDE),
    single("Atan", anp.arctan),
    single("Asinh", anp.arcsinh),
    single("Acosh", anp.arccosh, x=X + 5),
    single("Atanh", anp.arctanh, x=INSIDE),
    single("Shrink", lambda x: anp.where(anp.abs(x) > 1, x - 0.25 * anp.sign(x), 0), lambd=1.0, bias=0.25),
    single("Hardmax", None),
]

PLACES = np.array([[[2, 0, 1, 2]], [[1, 1, 0, 2]]])
POINTS = np.array([[0, 2], [1, 0], [1, -1]])
ROWS = floats(3, 4)


def written(added: bool = False, swapped: bool = False) -> Callable[[Any], Any]:
    """PLACES along axis 1 replaced by, or added to."""
    one_hot = np.zeros((2, 3, 4))
    np.put_along_axis(one_hot, PLACES, 1.0, axis=1)
    if swapped:
        return lambda x: X * (1 - one_hot) + x * one_hot
    return lambda x: x * (1 if added else 1 - one_hot) + floats(2, 1, 4) * one_hot


def written_rows(added: bool = False, swapped: bool = False) -> Callable[[Any], Any]:
    chosen = np.zeros((3, 2, 3, 1))
    for row, (first, second) in enumerate(POINTS):
        chosen[row, first, second] = 1
    mask = chosen.sum(axis=0)
    if swapped:
        return lambda x: X * (1 - mask) + anp.sum(chosen * anp.reshape(x, (3, 1, 1, 4)), axis=0)
    return lambda x: x * (1 if added else 1 - mask) + (chosen * ROWS.reshape(3, 1, 1, 4)).sum(axis=0)


UPDATES = {"i": PLACES, "u": floats(2, 1, 4)}
SCATTERS = [
    single("Scatter", written(), UPDATES, last=10, sized=True, axis=1),
    single("ScatterElements", written(), UPDATES, first=11, sized=True, axis=1),
    single("ScatterElements", written(True), UPDATES, first=16, sized=True, axis=1, reduction="add"),
    single(
        "ScatterElements",
        written(swapped=True),
        {"c": X, "i": PLACES},
        ["c", "i", "x"],
        floats(2, 1, 4),
        "updates",
        first=11,
        sized=True,
        axis=1,
    ),
    single("ScatterND", written_rows(), {"i": POINTS, "u": ROWS}, first=11, sized=True),
    single("ScatterND", written_rows(True), {"i": POINTS, "u": ROWS}, first=16, sized=True, reduction="add"),
    single(
        "ScatterND", written_rows(swapped=True), {"c": X, "i": POINTS}, ["c", "i", "x"], ROWS, "updates", 11, sized=True
    ),
]

WITH_AGAIN = np.array([[0, 2], [1, 0], [0, 2]])
PICKS = [
    single("GatherND", lambda x: x[WITH_AGAIN[:, 0], WITH_AGAIN[:, 1]], {"i": WITH_AGAIN}, first=16, sized=True),
    single(
        "GatherND",
        lambda x: anp.stack([x[0, [0, 2]], x[1, [1, 1]]]),
        {"i": np.array([[[0], [2]], [[1], [1]]])},
        first=16,
        sized=True,
        batch_dims=1,
    ),
    single("Compress", lambda x: x[:, [0, 2]], {"c": np.array([True, False, True])}, first=11, axis=1),
    single("Compress", lambda x: anp.reshape(x, -1)[[1, 4]], {"c": np.arange(6) % 3 == 1}, first=11, label="flat"),
    single(
        "ReverseSequence",
        lambda x: anp.stack([x[0][[1, 0, 2]], x[1][[2, 1, 0]]]),
        {"n": np.array([2, 3])},
        first=10,
        sized=True,
        batch_axis=0,
        time_axis=1,
    ),
    single("Trilu", lambda x: x * np.triu(np.ones((3, 4)), 1), {"k": np.array(1)}, first=14),
    single("Trilu", lambda x: x * np.tril(np.ones((3, 4))), first=14, upper=0),
    chain(
        "TopK",
        [helper.make_node("TopK", ["x", "k"], ["y", "i"], axis=1)],
        lambda x: anp.stack([x[b, np.argsort(-X[b], axis=0)[:2], np.arange(4)] for b in range(2)]),
        constants={"k": np.array([2])},
        first=11,
    ),
    chain(
        "TopK-smallest",
        [
            helper.make_node("TopK", ["x", "k"], ["v", "i"], largest=0),
            helper.make_node("Cast", ["i"], ["f"], to=11),
            node("Mul", "v", "f"),
        ],
        None,
        constants={"k": np.array([2])},
        first=11,
        double=True,
    ),
    chain(
        "TopK-10",
        [helper.make_node("TopK", ["x", "k"], ["y", "i"])],
        None,
        constants={"k": np.array([2])},
        first=10,
        last=10,
    ),
    single("Unique", lambda x: anp.sort(anp.reshape(x, -1)), first=16),
    single("Unique", None, first=16, sized=True, axis=1),
    single(
        "OneHot",
        lambda x: x[0] + (x[1] - x[0]) * np.eye(3)[[2, 0]],
        {"i": np.array([2, 0]), "d": np.array(3)},
        ["i", "d", "x"],
        floats(2),
        sized=True,
    ),
    single("DepthToSpace", None, x=numbers(2, 8, 2, 3), blocksize=2),
    single("DepthToSpace", None, x=numbers(2, 8, 2, 3), first=11, blocksize=2, mode="CRD"),
    single("SpaceToDepth", None, x=numbers(2, 2, 4, 6), blocksize=2),
    single(
        "Col2Im",
        None,
        {"s": np.array([5, 4]), "b": np.array([2, 3])},
        x=numbers(2, 12, 9),
        first=18,
        pads=[0, 1, 1, 0],
        strides=[2, 1],
        dilations=[1, 1],
    ),
    single(
        "Col2Im",
        None,
        {"s": np.array([5, 5]), "b": np.array([2, 2])},
        x=numbers(2, 4, 12),
        first=18,
        label="dilated",
        dilations=[1, 2],
    ),
    single(
        "Range",
        lambda x: x + 0.5 * np.arange(4),
        {"l": np.array(5.0), "d": np.array(0.5)},
        x=np.array(3.1),
        first=11,
        sized=True,
    ),
    single(
        "MaxUnpool",
        None,
        {"i": np.array([[[[0, 3], [9, 14]]]])},
        x=numbers(1, 1, 2, 2),
        first=11,
        sized=True,
        kernel_shape=[2, 2],
        strides=[2, 2],
    ),
    single(
        "Range",
        lambda x: 1 + x * np.arange(4),
        {"s": np.array(1.0), "l": np.array(2.0)},
        ["s", "l", "x"],
        np.array(0.3),
        "step",
        first=11,
        sized=True,
    ),
]


def einsum(equation: str, *shapes: Sequence[int], wanted: int = 0, formula: str = "") -> Case:
    """formula: the equation for autograd, where it is another."""
    operands: list[Array] = [np.asarray(numbers(*shape)) + 0.1 * index for index, shape in enumerate(shapes)]
    names = ["x" if index == wanted else f"c{index}" for index in range(len(shapes))]
    constants = {name: value for name, value in zip(names, operands, strict=True) if name != "x"}

    def compute(x: Any) -> Any:
        every = [x if index == wanted else value for index, value in enumerate(operands)]
        return anp.einsum(formula or equation, *every)

    # autograd has no diagonals
    known = (
        None
        if any(len(set(term)) < len(term.replace("...", "")) for term in equation.split("->")[0].split(","))
        else compute
    )
    label = f"{equation.replace(' ', '')},{wanted}"
    return single("Einsum", known, constants, names, operands[wanted], label, first=12, sized=True, equation=equation)


EINSUMS = [
    einsum("ij,jk->ik", (2, 3), (3, 4)),
    einsum("ij, jk -> ik", (2, 3), (3, 4), wanted=1),
    einsum("bij,bjk->bik", (2, 3, 4), (2, 4, 2), wanted=1),
    einsum("ij,jk", (2, 3), (3, 4)),
    einsum("ijk->ki", (2, 3, 4)),
    einsum("ij->", (2, 3)),
    einsum("i,j->ij", (2,), (3,), wanted=1),
    einsum("bhqd,bhkd->bhqk", (1, 2, 3, 2), (1, 2, 4, 2)),
    einsum("ii->i", (3, 3)),
    einsum("bii,bj->bj", (2, 3, 3), (2, 4)),
    einsum("ij,jk,kl->il", (2, 3), (3, 2), (2, 4), wanted=1),
    einsum("...ij,...jk->...ik", (2, 3, 4), (2, 4, 2), wanted=1),
    einsum("...ij,jk->...ik", (2, 3, 4), (4, 2), wanted=1),
    einsum("...i,...i->...", (2, 3), (1, 3), wanted=1),
]

FURTHER = [*TRIGONOMETRY, *SCATTERS, *PICKS, *EINSUMS]
