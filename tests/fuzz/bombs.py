"""Models in which a few numbers make large constants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from tests.fuzz.models import model

__all__ = ["bombs"]

#: Constants that a few numbers make large: nodes from constants to `large`.
BOMBS: dict[str, tuple[Sequence[onnx.NodeProto], Mapping[str, Any]]] = {
    "constant-of-shape": ([helper.make_node("ConstantOfShape", ["s"], ["large"])], {"s": np.array([2**20, 2**20])}),
    "constant-of-shape-wrapping": (
        [helper.make_node("ConstantOfShape", ["s"], ["large"])],
        {"s": np.array([2**32, 2**32])},
    ),
    "constant-of-shape-2^26": ([helper.make_node("ConstantOfShape", ["s"], ["large"])], {"s": np.array([2**26])}),
    "range": (
        [helper.make_node("Range", ["a", "b", "c"], ["large"])],
        {"a": np.float32(0), "b": np.float32(1e18), "c": np.float32(1)},
    ),
    "expand": (
        [helper.make_node("Expand", ["a", "s"], ["large"])],
        {"a": np.ones(1, np.float32), "s": np.array([2**40])},
    ),
    "tile": (
        [helper.make_node("Tile", ["a", "s"], ["large"])],
        {"a": np.ones(4, np.float32), "s": np.array([2**40])},
    ),
    "pad": (
        [helper.make_node("Pad", ["a", "s"], ["large"])],
        {"a": np.ones(4, np.float32), "s": np.array([2**40, 2**40])},
    ),
    "resize": (
        [helper.make_node("Resize", ["a", "", "s"], ["large"])],
        {"a": np.ones((1, 1, 4), np.float32), "s": np.array([1, 1, 1e12], np.float32)},
    ),
    "one-hot": (
        [helper.make_node("OneHot", ["i", "d", "v"], ["large"])],
        {"i": np.array([1]), "d": np.array(2**40), "v": np.array([0, 1], np.float32)},
    ),
    "outer-product": (
        [helper.make_node("MatMul", ["a", "b"], ["large"])],
        {"a": np.ones((2**17, 1), np.float32), "b": np.ones((1, 2**17), np.float32)},
    ),
    "doubling": (
        [
            *(helper.make_node("Concat", [f"d{i}", f"d{i}"], [f"d{i + 1}"], axis=0) for i in range(60)),
            helper.make_node("Identity", ["d60"], ["large"]),
        ],
        {"d0": np.ones(4, np.float32)},
    ),
    "pool-of-a-large-border": (
        [
            helper.make_node(
                "MaxPool",
                ["a"],
                ["large"],
                kernel_shape=[2**20 + 1, 2**20 + 1],
                pads=[2**19] * 4,
            )
        ],
        {"a": np.ones((1, 1, 2, 2), np.float32)},
    ),
    "eye": ([helper.make_node("EyeLike", ["a"], ["large"])], {"a": np.ones((1, 2**15), np.float32)}),
    "window": ([helper.make_node("HannWindow", ["s"], ["large"])], {"s": np.array(2**40)}),
    "shape-of-large": (
        [
            helper.make_node("Expand", ["a", "s"], ["l"]),
            helper.make_node("NonZero", ["l"], ["large"]),
        ],
        {"a": np.ones(1, np.float32), "s": np.array([2**13, 2**13])},
    ),
    "unknown-size": (
        [
            helper.make_node("NonZero", ["a"], ["n"]),
            helper.make_node("ReduceSum", ["n"], ["k"], keepdims=1),
            helper.make_node("Reshape", ["k", "one"], ["k1"]),
            helper.make_node("Mul", ["k1", "factor"], ["k2"]),
            helper.make_node("ConstantOfShape", ["k2"], ["large"]),
        ],
        {"a": np.ones(9, np.float32), "one": np.array([1]), "factor": np.array([2**30])},
    ),
    "bernoulli": (
        [helper.make_node("RandomNormal", [], ["large"], shape=[2**20, 2**20])],
        {},
    ),
    "string": (
        [helper.make_node("StringConcat", ["t", "t"], ["t2"]), helper.make_node("Shape", ["t2"], ["s"]),
         helper.make_node("ConstantOfShape", ["s"], ["large"])],
        {"t": np.array(["a", "b"], object)},
    ),
}  # fmt: skip


def bombs(
    opsets: Sequence[int] = (15, 18), ends: Sequence[str] = ("large", "top")
) -> Iterator[tuple[str, onnx.ModelProto]]:
    """Each added to the input, as it is (`large`) or as its largest number (`top`)."""
    top = [
        helper.make_node("ReduceMax", ["large"], ["largest"], keepdims=0, name="top"),
        helper.make_node("Cast", ["largest"], ["top"], to=1),
    ]
    for name, (nodes, constants) in BOMBS.items():
        for opset in opsets:
            for end in ends:
                further = top if end == "top" else []
                made = model([*nodes, *further, helper.make_node("Add", ["x", end], ["y"])], constants, opset)
                yield f"{name}-{opset}-{end}", made
