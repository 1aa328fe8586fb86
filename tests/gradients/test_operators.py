"""Every rule except the layers', against finite differences and autograd, in every opset that changes its operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import autograd.numpy as anp  # type: ignore[import-untyped]
import numpy as np
import onnx
import pytest
from autograd import make_vjp
from onnx import helper

from crosscheck.cells import Array
from crosscheck.errors import NetworkError
from crosscheck.gradients import differentiate
from crosscheck.gradients.rules import INDIFFERENT, RULES
from tests.gradients.cases import POSITIVE, Case, Formula, X, chain, floats, listed, node, numbers, single
from tests.gradients.further import FURTHER
from tests.gradients.numeric import NEWEST, finite_differences, gradient_of, model_of, predict

Reduction = Callable[[Any, Any, bool], Any]

#: Opsets that change the syntax of an operator tested here.
OPSETS = (9, 10, 11, 13, 18, NEWEST)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + anp.exp(-x))


def softplus(x: Any) -> Any:
    return anp.log(1 + anp.exp(x))


def log_sum_exp(x: Any, axes: Any, keepdims: bool = True) -> Any:
    return anp.log(anp.sum(anp.exp(x), axis=axes, keepdims=keepdims))


def gelu_by_tanh(x: Any) -> Any:
    return 0.5 * x * (1 + anp.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


ACTIVATIONS = [
    single("Relu", lambda x: anp.maximum(x, 0)),
    single("LeakyRelu", lambda x: anp.where(x > 0, x, 0.01 * x)),
    single("LeakyRelu", lambda x: anp.where(x > 0, x, 0.25 * x), alpha=0.25),
    single("PRelu", lambda x: anp.where(x > 0, x, floats(3, 1) * x), {"s": floats(3, 1)}),
    single("PRelu", lambda x: anp.where(X > 0, X, x * X), {"a": X}, ["a", "x"], floats(3, 1), "slope", sized=True),
    single("Clip", lambda x: anp.clip(x, -1.0, 0.75), min=-1.0, max=0.75, last=10),
    single("Clip", lambda x: anp.maximum(x, -1.0), min=-1.0, last=10),
    single("Clip", lambda x: x, last=10),
    single("Clip", lambda x: anp.clip(x, -1.0, 0.75), {"low": np.array(-1.0), "high": np.array(0.75)}, first=11),
    single("Clip", lambda x: anp.minimum(x, 0.75), {"high": np.array(0.75)}, ["x", "", "high"], label="max", first=11),
    single("Clip", lambda x: x, label="unbounded", first=11),
    chain(
        "Clip-computed",
        [
            helper.make_node("ReduceMean", ["x"], ["low"], keepdims=0),
            helper.make_node("Slice", ["x", "zero", "one", "one"], ["s"]),
            helper.make_node("ReduceMax", ["s"], ["high"], keepdims=0),
            node("Clip", "x", "low", "high"),
        ],
        lambda x: anp.minimum(anp.maximum(x, anp.mean(x)), anp.max(x[:, :1])),
        constants={"zero": np.array([0]), "one": np.array([1])},
        first=11,
        last=17,
    ),
    single("ThresholdedRelu", lambda x: anp.where(x > 1, x, 0), first=10),
    single("ThresholdedRelu", lambda x: anp.where(x > 0.25, x, 0), first=10, alpha=0.25),
    single("Sigmoid", sigmoid),
    single("HardSigmoid", lambda x: anp.clip(np.float32(0.2) * x + 0.5, 0, 1)),
    single("HardSigmoid", lambda x: anp.clip(0.75 * x + 0.25, 0, 1), alpha=0.75, beta=0.25),
    single("HardSwish", lambda x: x * anp.clip(x / 6 + 0.5, 0, 1), x=1.5 * X, first=14),
    single("Tanh", anp.tanh),
    single("Elu", lambda x: anp.where(x > 0, x, anp.exp(x) - 1)),
    single("Elu", lambda x: anp.where(x > 0, x, 0.5 * (anp.exp(x) - 1)), alpha=0.5),
    single("Selu", lambda x: 1.0507009873554805 * anp.where(x > 0, x, 1.6732632423543772 * (anp.exp(x) - 1))),
    single("Selu", lambda x: 2.0 * anp.where(x > 0, x, 0.5 * (anp.exp(x) - 1)), alpha=0.5, gamma=2.0),
    single("Celu", lambda x: anp.where(x > 0, x, 0.5 * (anp.exp(x / 0.5) - 1)), alpha=0.5, first=28),
    single("Gelu", None, first=20),
    single("Gelu", gelu_by_tanh, first=20, approximate="tanh"),
    single("Softplus", softplus),
    single("Softsign", lambda x: x / (1 + anp.abs(x))),
    single("Swish", lambda x: x * sigmoid(0.5 * x), alpha=0.5, first=24),
    single("Mish", lambda x: x * anp.tanh(softplus(x)), first=18),
    # Until opset 12 softmax ran over all axes from `axis` on, and the default of `axis` was 1.
    single("Softmax", lambda x: anp.exp(x - log_sum_exp(x, (1, 2))), label="flattened", last=12),
    single("Softmax", lambda x: anp.exp(x - log_sum_exp(x, (0, 1, 2))), label="flattened", last=12, axis=0),
    single("Softmax", lambda x: anp.exp(x - log_sum_exp(x, 2)), axis=2),
    single("Softmax", lambda x: anp.exp(x - log_sum_exp(x, -1)), first=13),
    single("Softmax", lambda x: anp.exp(x - log_sum_exp(x, 1)), first=13, axis=1),
    single("LogSoftmax", lambda x: x - log_sum_exp(x, (1, 2)), label="flattened", last=12),
    single("LogSoftmax", lambda x: x - log_sum_exp(x, 2), axis=2),
    single("LogSoftmax", lambda x: x - log_sum_exp(x, -1), first=13),
    single("LogSoftmax", lambda x: x - log_sum_exp(x, -2), first=13, axis=-2),
]

LEFT = ["c", "x"]
ELEMENTWISE = [
    single("Identity", lambda x: x),
    single("Add", lambda x: x + floats(4), {"c": floats(4)}),
    single("Add", lambda x: 2 * x, inputs=["x", "x"], label="itself"),
    single("Add", lambda x: X + x, {"c": X}, x=floats(3, 1), label="broadcast", sized=True),
    single("Sub", lambda x: x - floats(3, 1), {"c": floats(3, 1)}),
    single("Sub", lambda x: X - x, {"c": X}, LEFT, floats(4), "broadcast", sized=True),
    single("Mul", lambda x: x * floats(3, 1), {"c": floats(3, 1)}),
    single("Mul", lambda x: x * x, inputs=["x", "x"], label="itself"),
    single("Mul", lambda x: X * x, {"c": X}, LEFT, floats(1, 3, 1), "broadcast", sized=True),
    single("Div", lambda x: x / floats(3, 1), {"c": floats(3, 1)}),
    single("Div", lambda x: X / x, {"c": X}, LEFT, floats(4), "broadcast", sized=True),
    single("Pow", lambda x: x**2, {"c": np.array(2.0)}, label="square"),
    single("Pow", lambda x: x**3, {"c": np.array([3.0])}, label="cube"),
    single("Pow", lambda x: x**-1.5, {"c": np.array(-1.5)}, x=POSITIVE, label="root"),
    single("Pow", lambda x: x ** floats(4), {"c": floats(4)}, x=POSITIVE, label="each"),
    single("Pow", lambda x: x ** np.arange(4.0), {"c": np.arange(4.0)}, label="with-zero"),
    single("Pow", lambda x: x**3, {"c": np.array(3)}, label="integer", first=12),
    single("Pow", lambda x: POSITIVE**x, {"c": POSITIVE}, LEFT, floats(4), "exponent", sized=True),
    single("Pow", lambda x: x**x, inputs=["x", "x"], x=POSITIVE, label="itself"),
    single("Mod", lambda x: anp.mod(anp.abs(x), 1) * anp.sign(x), {"c": np.array(1.0)}, first=10, fmod=1),
    single("Mod", None, {"c": X}, LEFT, floats(4), "divisor", first=10, sized=True, fmod=1),
    single("Sqrt", anp.sqrt, x=POSITIVE),
    single("Exp", anp.exp),
    single("Log", anp.log, x=POSITIVE),
    single("Neg", lambda x: -x),
    single("Abs", anp.abs),
    single("Reciprocal", lambda x: 1 / x),
    single("Erf", None),
    single("Sin", anp.sin),
    single("Cos", anp.cos),
    single("Sign", lambda x: anp.sign(x) + 0 * x),
    single("Floor", lambda x: anp.floor(x) + 0 * x),
    single("Ceil", lambda x: anp.ceil(x) + 0 * x),
    single("Round", lambda x: anp.rint(x) + 0 * x, first=11),
    single("Sum", lambda x: x + floats(4) + x, {"c": floats(4)}, ["x", "c", "x"]),
    single("Sum", lambda x: x, label="alone"),
    single("Mean", lambda x: (x + floats(3, 1)) / 2, {"c": floats(3, 1)}),
    single("Mean", lambda x: (X + x + X) / 3, {"c": X}, ["c", "x", "c"], floats(4), "broadcast", sized=True),
    single("Max", lambda x: anp.maximum(anp.maximum(x, floats(4)), 0), {"c": floats(4), "z": np.array(0.0)}),
    single("Max", lambda x: anp.maximum(X, x), {"c": X}, LEFT, floats(3, 1), "broadcast", sized=True),
    single("Max", lambda x: x, label="alone"),
    single("Min", lambda x: anp.minimum(x, floats(3, 1)), {"c": floats(3, 1)}),
    single(
        "Where",
        lambda x: anp.where(X[0] > 0, x, 2.0),
        {"b": X[0] > 0, "c": np.array(2.0)},
        ["b", "x", "c"],
    ),
    single(
        "Where",
        lambda x: anp.where(X > 0, X, x * np.ones(X.shape)),
        {"b": X > 0, "c": X},
        ["b", "c", "x"],
        floats(3, 1),
        "broadcast",
        sized=True,
    ),
    chain(
        "Where-of-two",
        [
            helper.make_node("Greater", ["x", "c"], ["b"]),
            helper.make_node("Not", ["b"], ["n"]),
            helper.make_node("Exp", ["x"], ["e"]),
            node("Where", "n", "e", "x"),
        ],
        lambda x: anp.where(x > 0.5, x, anp.exp(x)),
        constants={"c": np.array(0.5)},
    ),
    chain(
        "integers-in-between",
        [
            helper.make_node("Cast", ["x"], ["i"], to=onnx.TensorProto.INT64),
            helper.make_node("Cast", ["i"], ["d"], to=onnx.TensorProto.DOUBLE),
            node("Mul", "d", "x"),
        ],
        lambda x: np.trunc(X) * x,
        double=True,
    ),
]


def gemm(wanted: str, trans_a: bool, trans_b: bool) -> Case:
    """0.5 * A' B' + 2 * C, of which x is one."""
    parts = {
        "a": numbers(4, 3) if trans_a else numbers(3, 4),
        "b": numbers(5, 4) if trans_b else numbers(4, 5),
        "c": floats(1, 5),
    }
    x = parts.pop(wanted)

    def formula(x: Any) -> Any:
        every = {**parts, wanted: x}
        a = every["a"].T if trans_a else every["a"]
        b = every["b"].T if trans_b else every["b"]
        return 0.5 * anp.dot(a, b) + 2 * every["c"]

    inputs = ["x" if name == wanted else name for name in "abc"]
    attributes: dict[str, Any] = {"alpha": 0.5, "beta": 2.0, "transA": int(trans_a), "transB": int(trans_b)}
    return single("Gemm", formula, parts, inputs, x, wanted, sized=True, **attributes)


def matmul(left: Sequence[int], right: Sequence[int], wanted: str) -> Case:
    a, b = numbers(*left), floats(*right)
    name = f"{tuple(left)}-by-{tuple(right)}-{wanted}"
    if wanted == "left":
        return single("MatMul", lambda x: anp.matmul(x, b), {"b": b}, ["x", "b"], a, name, sized=True)
    return single("MatMul", lambda x: anp.matmul(a, x), {"a": a}, ["a", "x"], b, name, sized=True)


MATRICES = [
    *(gemm(wanted, a, b) for wanted in "abc" for a in (False, True) for b in (False, True)),
    single("Gemm", lambda x: anp.dot(x, floats(4, 2)), {"b": floats(4, 2)}, x=numbers(3, 4), label="bare", first=11),
    single(
        "Gemm",
        lambda x: anp.dot(x, floats(4, 2)) + 1,
        {"b": floats(4, 2), "c": np.array(1.0)},
        x=numbers(3, 4),
        label="batch",
    ),
    *(
        matmul(left, right, wanted)
        for left, right in (
            ((3, 4), (4, 5)),
            ((4,), (4,)),
            ((4,), (4, 5)),
            ((3, 4), (4,)),
            ((4,), (2, 4, 3)),
            ((2, 3, 4), (4,)),
            ((2, 3, 4), (4, 2)),
            ((3, 4), (2, 4, 2)),
            ((2, 1, 3, 4), (3, 4, 2)),
        )
        for wanted in ("left", "right")
    ),
]


def reduction(op: str, formula: Reduction, x: Array = X) -> list[Case]:
    """Over one axis, two without keepdims, all, and none."""
    since = 13 if op == "ReduceSum" else 18

    def over(axes: tuple[int, ...] | None, keepdims: bool) -> Formula:
        return lambda x: formula(x, axes, keepdims)

    return [
        listed(op, over((1,), True), since, {"axes": [1]}, x),
        listed(op, over((0, 2), False), since, {"axes": [0, 2]}, x, keepdims=0),
        listed(op, over((1, 2), False), since, {"axes": [-1, -2]}, x, first=11, keepdims=0),
        single(op, over(None, True), x=x, label="all"),
        single(op, over(None, False), x=x, label="all", keepdims=0),
        single(op, over((), True), x=x, label="none", first=since, noop_with_empty_axes=1),
    ]


ZEROS = X * (np.arange(24).reshape(X.shape) % 5 != 0)
REDUCTIONS = [
    *reduction("ReduceSum", lambda x, axes, keepdims: anp.sum(x, axis=axes, keepdims=keepdims)),
    *reduction("ReduceMean", lambda x, axes, keepdims: anp.mean(x, axis=axes, keepdims=keepdims)),
    *reduction("ReduceMax", lambda x, axes, keepdims: anp.max(x, axis=axes, keepdims=keepdims)),
    *reduction("ReduceMin", lambda x, axes, keepdims: anp.min(x, axis=axes, keepdims=keepdims)),
    *reduction("ReduceProd", lambda x, axes, keepdims: anp.prod(x, axis=axes, keepdims=keepdims)),
    *reduction("ReduceL1", lambda x, axes, keepdims: anp.sum(anp.abs(x), axis=axes, keepdims=keepdims)),
    *reduction("ReduceL2", lambda x, axes, keepdims: anp.sqrt(anp.sum(x**2, axis=axes, keepdims=keepdims))),
    *reduction("ReduceLogSum", lambda x, axes, keepdims: anp.log(anp.sum(x, axis=axes, keepdims=keepdims)), POSITIVE),
    *reduction("ReduceLogSumExp", log_sum_exp),
    *reduction("ReduceSumSquare", lambda x, axes, keepdims: anp.sum(x**2, axis=axes, keepdims=keepdims)),
    single("ReduceProd", None, x=ZEROS[:1], label="zeros"),
    listed("ReduceProd", None, 18, {"axes": [1]}, ZEROS, label="some-zeros"),
    single("CumSum", lambda x: anp.cumsum(x, axis=1), {"axis": np.array(1)}, first=11),
    single("CumSum", None, {"axis": np.array(-1)}, first=11, exclusive=1, reverse=1),
]


def reshaped(shape: Sequence[int]) -> Formula:
    return lambda x: anp.reshape(x, shape)


SHAPES = [
    *(
        single("Flatten", reshaped(shape), axis=axis)
        for axis, shape in ((0, (1, 24)), (1, (2, 12)), (2, (6, 4)), (3, (24, 1)))
    ),
    single("Flatten", lambda x: anp.reshape(x, (2, 12)), label="default"),
    single("Reshape", lambda x: anp.reshape(x, (2, 2, 6)), {"shape": np.array([0, 2, -1])}),
    single("Reshape", lambda x: anp.reshape(x, (6, 4)), {"shape": np.array([-1, 4])}, label="rows"),
    single("Transpose", lambda x: anp.transpose(x)),
    single("Transpose", lambda x: anp.transpose(x, (1, 2, 0)), perm=[1, 2, 0]),
    listed("Squeeze", lambda x: anp.reshape(x, (2, 3)), 13, {"axes": [1, 3]}, numbers(2, 1, 3, 1)),
    listed("Squeeze", lambda x: anp.reshape(x, (2, 3)), 13, {"axes": [-1]}, numbers(2, 3, 1), first=11),
    single("Squeeze", lambda x: anp.reshape(x, (2, 3)), x=numbers(2, 1, 3), label="all", sized=True),
    listed("Unsqueeze", lambda x: anp.reshape(x, (1, 2, 3, 1, 4)), 13, {"axes": [0, 3]}),
    listed("Unsqueeze", lambda x: anp.reshape(x, (2, 3, 4, 1)), 13, {"axes": [-1]}, first=11),
    single("Expand", lambda x: x * np.ones((5, 2, 3, 4)), {"shape": np.array([5, 1, 3, 4])}, x=numbers(2, 1, 4)),
    single("Expand", lambda x: x, {"shape": np.array([1])}, label="same"),
    single("Tile", lambda x: anp.tile(x, (2, 1, 3)), {"repeats": np.array([2, 1, 3])}),
    single(
        "Concat",
        lambda x: anp.concatenate([x, X, x], axis=1),
        {"c": X},
        ["x", "c", "x"],
        axis=1,
    ),
    single("Concat", lambda x: anp.concatenate([X, x], axis=-1), {"c": X}, LEFT, label="last", first=11, axis=-1),
    chain(
        "Concat-of-rows",
        [helper.make_node("Exp", ["x"], ["e"]), node("Concat", "x", "e", "c", axis=0)],
        lambda x: anp.concatenate([x, anp.exp(x), X], axis=0),
        constants={"c": X},
        first=10,
    ),
    *(
        Case(f"Split-{label}", build, formula, numbers(2, 6), first)
        for label, build, formula, first in (
            (
                "attribute-or-input",
                lambda opset: (
                    [
                        helper.make_node("Split", ["x"], ["a", "b"], axis=1, split=[2, 4])
                        if opset < 13
                        else helper.make_node("Split", ["x", "s"], ["a", "b"], axis=1),
                        helper.make_node("ReduceMax", ["b"], ["m"]),
                        node("Mul", "a", "m"),
                    ],
                    {} if opset < 13 else {"s": np.array([2, 4])},
                ),
                lambda x: x[:, :2] * anp.max(x[:, 2:]),
                9,
            ),
            (
                "equal",
                lambda opset: (
                    [
                        helper.make_node("Split", ["x"], ["a", "b", "c"], axis=-1)
                        if opset < 18
                        else helper.make_node("Split", ["x"], ["a", "b", "c"], axis=-1, num_outputs=3),
                        node("Mul", "a", "c"),
                    ],
                    {},
                ),
                lambda x: x[:, :2] * x[:, 4:],
                11,
            ),
            (
                "uneven",
                lambda opset: (
                    [
                        helper.make_node("Split", ["x"], ["a", "b", "c", "d"], axis=1, num_outputs=4),
                        node("Sum", "a", "c"),
                    ],
                    {},
                ),
                lambda x: x[:, :2] + x[:, 4:],
                18,
            ),
        )
    ),
    chain(
        "shape-arithmetic",
        [
            helper.make_node("Shape", ["x"], ["s"]),
            helper.make_node("Gather", ["s", "zero"], ["rows"], axis=0),
            helper.make_node("Reshape", ["rows", "one"], ["r"]),
            helper.make_node("Cast", ["r"], ["f"], to=onnx.TensorProto.DOUBLE),
            helper.make_node("Concat", ["r", "rest"], ["to"], axis=0),
            helper.make_node("Div", ["x", "f"], ["d"]),
            helper.make_node("Reshape", ["d", "to"], ["h"]),
            node("Mul", "h", "h"),
        ],
        lambda x: (anp.reshape(x, (2, 6, 2)) / 2) ** 2,
        constants={"zero": np.array(0), "one": np.array([1]), "rest": np.array([6, 2])},
        double=True,
    ),
]


def cut(formula: Formula, starts: Any, ends: Any, axes: Any = None, steps: Any = None, **rest: Any) -> Case:
    """A Slice, in opset 9 only without steps."""
    lists = {"starts": starts, "ends": ends, "axes": axes, "steps": steps}
    return listed("Slice", formula, 10, {key: value for key, value in lists.items() if value is not None}, **rest)


def border(mode: str, formula: Formula | None, pads: Sequence[int], **rest: Any) -> Case:
    return listed("Pad", formula, 11, {"pads": pads}, mode=mode, **rest)


SELECTIONS = [
    cut(lambda x: x[:, 1:3], [1], [3], [1]),
    cut(lambda x: x[:1, 1:, :-1], [0, 1, 0], [1, 2**31 - 1, -1], sized=True),
    cut(lambda x: x[:, -2:, 1:3], [-2, 1], [9, 3], [-2, 2], first=10),
    cut(lambda x: x[:, :, 1:4:2], [1], [4], [2], [2], first=10),
    cut(lambda x: x[:, ::-1], [-1], [-(2**31)], [1], [-1], first=10),
    cut(lambda x: x[:, 2:0:-1, ::3], [2, 0], [0, 9], [1, 2], [-1, 3], first=10),
    cut(lambda x: x[:, 2:2], [2], [2], [1]),
    cut(lambda x: x[1:, 1:], [1, 1], [9, 9], [0, 1], [1, 1], label="rows", first=11),
    chain(
        "Slice-computed",
        [
            helper.make_node("Shape", ["x"], ["s"]),
            helper.make_node("Slice", ["s", "one", "two"], ["end"]),
            helper.make_node("Sub", ["end", "one"], ["to"]),
            node("Slice", "x", "zero", "to", "two", "one"),
        ],
        lambda x: x[:, :, :2],
        constants={"zero": np.array([0]), "one": np.array([1]), "two": np.array([2])},
        first=11,
    ),
    single("Gather", lambda x: x[:, 1], {"i": np.array(1)}, axis=1, label="one"),
    single("Gather", lambda x: x[:, [2, 0]], {"i": np.array([2, 0])}, axis=1, label="some"),
    single("Gather", lambda x: x[:, [2, 0, 2, 2]], {"i": np.array([2, 0, 2, 2])}, axis=1, label="repeated"),
    single("Gather", lambda x: x[..., [[3, 0], [3, 2]]], {"i": np.array([[3, 0], [3, 2]])}, axis=2, label="table"),
    single("Gather", lambda x: x[:, [[-1], [0]]], {"i": np.array([[-1], [0]])}, axis=-2, label="end", first=11),
    single("Gather", lambda x: x[[1, 0, 1]], {"i": np.array([1, 0, 1])}, label="rows", sized=True),
    single("Gather", lambda x: x[[1, 0, 1]], {"i": np.array([1, 0, 1])}, label="computed", first=16),
    single(
        "GatherElements",
        lambda x: x[np.arange(2)[:, None, None], [[[2, 0, 2, 2]]], np.arange(4)],
        {"i": np.array([[[2, 0, 2, 2]]] * 2)},
        first=16,
        axis=1,
    ),
    border("constant", lambda x: anp.pad(x, ((0, 0), (1, 2), (0, 1)), "constant"), [0, 1, 0, 0, 2, 1]),
    border("constant", lambda x: anp.pad(x[:, 1:, :-2], ((0, 0), (0, 2), (1, 0)), "constant"), [0, -1, 1, 0, 2, -2]),
    border("reflect", lambda x: x[:, [1, 0, 1, 2, 1, 0]][..., [2, 1, 0, 1, 2, 3]], [0, 1, 2, 0, 2, 0]),
    border("edge", lambda x: x[:, [0, 0, 1, 2, 2, 2]], [0, 1, 0, 0, 2, 0]),
    border("wrap", lambda x: x[..., [3, 0, 1, 2, 3, 0, 1]], [0, 0, 1, 0, 0, 2], first=19),
    single(
        "Pad",
        lambda x: anp.pad(x, ((0, 0), (0, 0), (1, 2)), "constant", constant_values=7.0),
        {"pads": np.array([1, 2]), "value": np.array(7.0), "axes": np.array([-1])},
        label="axes",
        first=18,
    ),
]

CASES = [*ACTIVATIONS, *ELEMENTWISE, *MATRICES, *REDUCTIONS, *SHAPES, *SELECTIONS, *FURTHER]


def model_at(case: Case, opset: int, shape: Sequence[Any] | None = None, dtype: Any = np.float64) -> onnx.ModelProto:
    nodes, constants = case.build(opset)
    return model_of(nodes, constants, case.x.shape if shape is None else shape, opset, dtype)


def cotangent_of(y: Array) -> Array:
    return np.asarray(np.random.default_rng(2).standard_normal(y.shape))


def test_case_names_are_unique() -> None:
    names = [case.name for case in CASES if case.first == 9]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize(
    ("case", "opset"),
    [
        pytest.param(case, opset, id=f"{case.name}-{opset}")
        for case in CASES
        for opset in sorted({case.first, *OPSETS})
        if case.first <= opset <= case.last
    ],
)
def test_gradients_match_finite_differences_and_autograd(case: Case, opset: int) -> None:
    model = model_at(case, opset)
    y = predict(model, case.x)
    cotangent = cotangent_of(y)
    predicted, gradient = gradient_of(model, case.x, cotangent)
    assert np.array_equal(y, predicted)
    np.testing.assert_allclose(finite_differences(model, case.x, cotangent), gradient, rtol=1e-5, atol=1e-7)
    if case.formula is not None:
        pull_back, truth = make_vjp(case.formula)(case.x)
        np.testing.assert_allclose(truth, y, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(pull_back(cotangent), gradient, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES if not case.sized])
@pytest.mark.parametrize("opset", [9, NEWEST])
def test_the_batch_axis_may_be_dynamic(case: Case, opset: int) -> None:
    opset = max(case.first, min(case.last, opset))
    fixed = model_at(case, opset)
    cotangent = cotangent_of(predict(fixed, case.x))
    _, gradient = gradient_of(fixed, case.x, cotangent)
    for name in ("N", None):
        model = model_at(case, opset, [name, *case.x.shape[1:]])
        assert np.array_equal(gradient, gradient_of(model, case.x, cotangent)[1])


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES if not case.double])
def test_float32_networks_have_float32_gradients(case: Case) -> None:
    opset = min(case.last, NEWEST)
    x = case.x.astype(np.float32)
    double, single = (model_at(case, opset, dtype=dtype) for dtype in (np.float64, np.float32))
    cotangent = cotangent_of(predict(double, case.x)).astype(np.float32)
    _, truth = gradient_of(double, x.astype(np.float64), cotangent.astype(np.float64))
    _, gradient = gradient_of(single, x, cotangent)
    assert gradient.dtype == np.float32
    np.testing.assert_allclose(truth, gradient, rtol=1e-3, atol=1e-4)


# Kinks, ties and steps


@pytest.mark.parametrize(
    ("op", "slopes", "attributes"),
    [
        ("Relu", {0.0: 0.0}, {}),
        ("LeakyRelu", {0.0: 0.25}, {"alpha": 0.25}),
        ("ThresholdedRelu", {1.0: 0.0}, {}),
        ("HardSigmoid", {-2.0: 0.0, 2.0: 0.0}, {"alpha": 0.25}),
        ("HardSwish", {-3.0: 0.0, 3.0: 1.0}, {}),
        ("Abs", {0.0: 0.0}, {}),
        ("Sign", {0.0: 0.0}, {}),
        ("Floor", {1.0: 0.0}, {}),
        ("Ceil", {1.0: 0.0}, {}),
        ("Round", {0.5: 0.0}, {}),
        ("Elu", {0.0: 0.5}, {"alpha": 0.5}),
        ("ReduceL1", {0.0: 0.0}, {}),
        ("ReduceL2", {0.0: 0.0}, {}),
    ],
)
def test_slopes_at_kinks(op: str, slopes: dict[float, float], attributes: dict[str, Any]) -> None:
    model = model_of([helper.make_node(op, ["x"], ["y"], **attributes)], {}, [1], 18)
    for place, slope in slopes.items():
        y, gradient = gradient_of(model, np.array([place]), np.ones(1))
        assert [slope] == gradient.tolist(), y


@pytest.mark.parametrize("opset", [9, 11])
def test_clip_has_slope_one_at_its_bounds_and_zero_outside(opset: int) -> None:
    bounds = {"min": -1.0, "max": 2.0}
    if opset == 9:
        model = model_of([node("Clip", "x", **bounds)], {}, [5], opset)
    else:
        stored = {key: np.array(value) for key, value in bounds.items()}
        model = model_of([node("Clip", "x", *bounds)], stored, [5], opset)
    _, gradient = gradient_of(model, np.array([-1.5, -1.0, 0.0, 2.0, 2.5]), np.ones(5))
    assert [0, 1, 1, 1, 0] == gradient.tolist()


@pytest.mark.parametrize("op", ["Max", "Min"])
def test_equal_arguments_of_max_and_min_share_the_gradient(op: str) -> None:
    constants = {"c": np.array([2.0, 2.0, 2.0]), "d": np.array([2.0, 2.0, 2.0])}
    model = model_of([node(op, "x", "c", "d")], constants, [3], 9)
    _, gradient = gradient_of(model, np.array([1.0, 2.0, 3.0]), 3 * np.ones(3))
    assert ([0, 1, 3] if op == "Max" else [3, 1, 0]) == gradient.tolist()


@pytest.mark.parametrize("op", ["ReduceMax", "ReduceMin"])
def test_equal_extreme_elements_share_the_gradient(op: str) -> None:
    model = model_of([node(op, "x", axes=[1])], {}, [2, 3], 9)
    _, gradient = gradient_of(model, np.array([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]), np.array([[3.0], [6.0]]))
    assert [[1, 1, 1], [2, 2, 2]] == gradient.tolist()


def test_powers_of_zero_have_finite_gradients() -> None:
    base = model_of([node("Pow", "x", "e")], {"e": np.array([0.0, 1.0, 2.0])}, [3], 13)
    assert [0, 1, 0] == gradient_of(base, np.zeros(3), np.ones(3))[1].tolist()
    exponent = model_of([node("Pow", "b", "x")], {"b": np.zeros(1)}, [1], 13)
    assert [0] == gradient_of(exponent, np.ones(1), np.ones(1))[1].tolist()


#: Operators without a gradient: their inputs, and attributes.
WITHOUT_GRADIENT: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    **dict.fromkeys(("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"), (("x", "c"), {})),
    **dict.fromkeys(("And", "Or", "Xor"), (("b", "t"), {})),
    **dict.fromkeys(("ArgMax", "ArgMin", "EyeLike", "IsInf", "IsNaN", "NonZero", "Shape", "Size"), (("x",), {})),
    "Not": (("b",), {}),
    "Constant": ((), {"value_floats": [2.0, 3.0]}),
    "ConstantOfShape": (("n",), {}),
}


@pytest.mark.parametrize("op", WITHOUT_GRADIENT)
def test_what_has_no_gradient_counts_as_a_constant(op: str) -> None:
    """y = x * (1 + the sum of what the operator puts out)."""
    inputs, attributes = WITHOUT_GRADIENT[op]
    nodes = [
        helper.make_node("IsNaN", ["x"], ["b"]),
        helper.make_node(op, inputs, ["o"], **attributes),
        helper.make_node("Cast", ["o"], ["d"], to=onnx.TensorProto.DOUBLE),
        helper.make_node("ReduceSum", ["d"], ["s"], keepdims=0),
        helper.make_node("Add", ["s", "one"], ["f"]),
        node("Mul", "x", "f"),
    ]
    x = numbers(3, 4)
    constants = {"c": x[::-1].copy(), "t": np.array(True), "n": np.array([2], np.int64), "one": np.array(1.0)}
    y, gradient = gradient_of(model_of(nodes, constants, [3, 4], 18), x, np.ones_like(x))
    np.testing.assert_allclose(y / x, gradient)


# Types, sizes, refusals


@pytest.mark.parametrize("opset", [9, 15, NEWEST])
def test_parts_of_a_network_may_have_another_float_type(opset: int) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["s"], to=onnx.TensorProto.FLOAT),
        helper.make_node("LeakyRelu", ["s"], ["r"], alpha=0.5),
        helper.make_node("Sqrt", ["p"], ["q"]),
        helper.make_node("Elu", ["r"], ["e"]),
        helper.make_node("Mul", ["e", "q"], ["m"]),
        helper.make_node("Cast", ["m"], ["d"], to=onnx.TensorProto.DOUBLE),
        node("Mul", "d", "x"),
    ]
    model = model_of(nodes, {"p": np.array(4, np.float32)}, [4], opset)
    x = np.array([-2.0, -0.5, 0.25, 3.0])

    def formula(x: Any) -> Any:
        leaky = anp.where(x > 0, x, 0.5 * x)
        return 2 * anp.where(leaky > 0, leaky, anp.exp(leaky) - 1) * x

    _, gradient = gradient_of(model, x, np.arange(1.0, 5.0))
    assert gradient.dtype == np.float64
    np.testing.assert_allclose(make_vjp(formula)(x)[0](np.arange(1.0, 5.0)), gradient, rtol=1e-6)


def test_cast_like_is_a_cast() -> None:
    nodes = [helper.make_node("CastLike", ["x", "like"], ["s"]), node("CastLike", "s", "x")]
    model = model_of(nodes, {"like": np.zeros(1, np.float32)}, [3], 15)
    assert [1, 2, 3] == gradient_of(model, np.ones(3), np.array([1.0, 2.0, 3.0]))[1].tolist()


def test_branches_of_unknown_sizes_are_added() -> None:
    """Both are the input, reshaped to computed shapes."""
    nodes = [
        helper.make_node("Reshape", ["x", "flat"], ["a"]),
        helper.make_node("Reshape", ["h", "flat"], ["b"]),
        node("Add", "a", "b"),
    ]
    model = model_of([helper.make_node("Relu", ["x"], ["h"]), *nodes], {"flat": np.array([-1, 2])}, ["N", "M"], 13)
    x = np.array([[1.0, -2.0, 3.0, 4.0]])
    cotangent = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert [[2, 2, 6, 8]] == gradient_of(model, x, cotangent)[1].tolist()


def test_input_and_output_batch_axes_may_have_different_names() -> None:
    """Exporters name the batch axes of inputs and outputs differently."""
    nodes = [helper.make_node("Exp", ["x"], ["h"]), node("Add", "h", "x")]
    model = model_of(nodes, {}, ["batch", 2], 13)
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "rows"
    x = np.zeros((3, 2))
    assert (2 * np.ones((3, 2))).tolist() == gradient_of(model, x, np.ones((3, 2)))[1].tolist()


def test_every_node_that_blocks_is_named_with_the_remedy() -> None:
    nodes = [
        helper.make_node("Det", ["x"], ["a"], name="volume"),
        helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
        helper.make_node("Det", ["x"], ["b"]),
        helper.make_node("Tile", ["a", "n"], ["c"], name="copies"),
        helper.make_node("Add", ["c", "b"], ["d"]),
        node("Add", "d", "m"),
    ]
    model = model_of(nodes, {}, [2, 2], 13)
    model.graph.input.append(helper.make_tensor_value_info("n", onnx.TensorProto.INT64, [0]))
    with pytest.raises(NetworkError) as told:
        differentiate(model, source="mine.onnx")
    assert str(told.value) == (
        "mine.onnx: 2 reasons block the gradient: nodes 'volume', 2 (Det) have no rule for the gradient; rewrite the "
        "model without it, or choose other ends with --wrt and --output | node 'copies' (Tile) takes its repeats from "
        "'n', which is computed; make it a constant."
    )


@pytest.mark.parametrize(
    ("nodes", "constants", "opset", "remedy"),
    [
        ([node("Slice", "x", starts=[0], ends=[1], axes=[0])], {}, 9, "fixed"),
        ([node("Pad", "x", pads=[1, 0, 0, 0], mode="edge")], {}, 9, "fixed"),
        ([node("Concat", "x", "x", axis=0)], {}, 9, "newer opset"),
        ([node("Gather", "x", "i")], {"i": np.array([0])}, 13, "opset 16"),
        (
            [
                helper.make_node("Shape", ["x"], ["s"]),
                helper.make_node("Slice", ["s", "zero", "one"], ["axes"]),
                node("ReduceSum", "x", "axes"),
            ],
            {"zero": np.array([0]), "one": np.array([1])},
            13,
            "make it a constant",
        ),
    ],
    ids=["Slice", "Pad", "Concat", "Gather", "ReduceSum"],
)
def test_rule_limitations_are_refused_with_a_remedy(
    nodes: list[onnx.NodeProto], constants: dict[str, Array], opset: int, remedy: str
) -> None:
    model = model_of(nodes, constants, ["N", 2], opset)
    with pytest.raises(NetworkError, match=remedy) as told:
        differentiate(model, source="mine.onnx")
    assert str(told.value).startswith("mine.onnx: node ")


def test_an_output_that_does_not_depend_on_the_input_is_refused() -> None:
    model = model_of([helper.make_node("Shape", ["x"], ["s"]), node("Cast", "s", to=11)], {}, [2, 2], 13)
    with pytest.raises(NetworkError, match="does not depend"):
        differentiate(model)


def test_every_rule_has_a_case() -> None:
    """Layers have theirs in test_layers, quantization in test_quantization."""
    covered = {item.op_type for case in CASES for item in case.build(min(case.last, NEWEST))[0]} | {"CastLike"}
    layers = {
        "DequantizeLinear",
        "QuantizeLinear",
        "AveragePool",
        "BatchNormalization",
        "Conv",
        "ConvTranspose",
        "Dropout",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "InstanceNormalization",
        "LRN",
        "LayerNormalization",
        "MaxPool",
        "Resize",
        "Upsample",
    }
    assert set() == set(RULES) - covered - layers
    assert set() == set(RULES) & set(INDIFFERENT)


@pytest.mark.parametrize("axis", [0, 1])
def test_one_size_after_picked_rows_may_be_open(axis: int) -> None:
    """Indices of two axes; with another open size, the axes cannot be joined."""
    places = np.array([[0, 1], [1, 1]])
    picks = node("Gather", "x", "i", axis=axis)
    sizes: list[int | str] = [2, 3, "M"] if axis else [2, "M", 3]
    x = np.random.default_rng(0).standard_normal((2, 3, 3))
    cotangent = np.random.default_rng(1).standard_normal((*x.shape[:axis], 2, 2, *x.shape[axis + 1 :]))
    whole = gradient_of(model_of([picks], {"i": places}, x.shape, 16), x, cotangent)[1]
    np.testing.assert_array_equal(whole, gradient_of(model_of([picks], {"i": places}, sizes, 16), x, cotangent)[1])
    opened = model_of([node("Gather", "x", "i", axis=0)], {"i": places}, [2, "M", "N"], 16)
    with pytest.raises(NetworkError, match="has several unknown sizes after axis 0; export it with fixed ones"):
        differentiate(opened)


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("names", [["M"], ["K", "M"]])
def test_sums_over_axes_that_only_the_runtime_knows_to_be_repeated(size: int, names: list[str]) -> None:
    """A row, or rows, of one or three numbers, beside (2, 2, 3)."""
    model = model_of([node("Mul", "w", "x")], {"w": floats(2, 2, 3)}, names, 13)
    x, cotangent = floats(*[2] * (len(names) - 1), size), np.random.default_rng(1).standard_normal((2, 2, 3))
    pull_back, _ = make_vjp(lambda row: floats(2, 2, 3) * row)(x)
    np.testing.assert_allclose(pull_back(cotangent), gradient_of(model, x, cotangent)[1])
