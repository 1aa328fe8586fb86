"""Operators that onnx's reference evaluator (1.23) gets wrong, as its specification has them."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx.reference.op_run import OpRun
from onnx.reference.ops import op_loop, op_tile

from crosscheck.cells import Array

__all__ = ["MENDED"]

#: The most rounds of a loop, some seconds of an empty one.
MOST_ROUNDS = 100_000


class GlobalMaxPool(OpRun):
    """onnx's takes the maximum over two axes, whatever the rank."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


class Erf(OpRun):
    """onnx's rounds to float32, too coarse for differences of predictions."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (np.asarray(np.vectorize(math.erf, otypes=[np.float64])(x), x.dtype),)


class GatherElements(OpRun):
    """onnx's takes neither an axis below zero nor more than 32 elements to choose from."""

    op_domain = ""

    def _run(self, data: Array, indices: Array, axis: int | None = None) -> tuple[Array]:
        along = (axis or 0) % data.ndim
        part = [slice(None) if place == along else slice(size) for place, size in enumerate(indices.shape)]
        return (np.take_along_axis(data[tuple(part)], indices.astype(np.int64), along),)


class Loop(op_loop.Loop):
    """onnx's takes an absent condition for false, and joins what the rounds put out along an axis that it has.

    Raises RuntimeError for more rounds than `MOST_ROUNDS`, those of loops within it included.
    """

    rounds = 0
    depth = 0

    def __init__(self, node: onnx.NodeProto, run_params: dict[str, Any]) -> None:
        super().__init__(node, run_params)  # type: ignore[no-untyped-call]
        run_body: Callable[..., list[Any]] = self.__dict__["_run_body"]  # made by the base, from the attribute `body`
        self._last: list[Any] = []

        def noted(*arguments: Any, **keywords: Any) -> list[Any]:
            Loop.rounds += 1
            if Loop.rounds > MOST_ROUNDS:
                raise RuntimeError(f"a loop runs more than {MOST_ROUNDS} rounds")
            self._last = run_body(*arguments, **keywords)
            return self._last

        self.__dict__["_run_body"] = noted

    def _run(self, *arguments: Any, **keywords: Any) -> tuple[Any, ...]:
        count, condition, *state = arguments
        condition = np.array(True) if condition is None else condition
        Loop.rounds, Loop.depth = Loop.rounds if Loop.depth else 0, Loop.depth + 1
        try:
            outputs = super()._run(count, condition, *state, **keywords)  # type: ignore[no-untyped-call]
        finally:
            Loop.depth -= 1
        pairs = zip(outputs[self.N :], self._last[1 + self.N :], strict=False)  # absent outputs are filled up
        joined = [np.asarray(value).reshape(-1, *np.shape(one)) for value, one in pairs]
        return (*outputs[: self.N], *joined)


class Tile(op_tile.Tile):
    """NumPy ends the process where the number of entries overflows.

    Raises ValueError for more entries than an array can have.
    """

    def _run(self, x: Array, repeats: Array) -> tuple[Array]:
        if x.itemsize * math.prod([*map(int, x.shape), *map(int, repeats)]) > sys.maxsize:
            raise ValueError(f"Tile repeats a tensor {' x '.join(map(str, repeats))} times")
        tiled: tuple[Array] = super()._run(x, repeats)  # type: ignore[no-untyped-call]
        return tiled


#: To be given to `onnx.reference.ReferenceEvaluator` as `new_ops`.
MENDED: list[type[OpRun]] = [Erf, GatherElements, GlobalMaxPool, Loop, Tile]
