"""Averages over real entries, for runtimes whose average pools count the padding."""

from __future__ import annotations

from collections.abc import Callable

from crosscheck.runtimes.family.graph import Node

__all__ = ["average"]


def average(node: Node, x: str, pool: Callable[[str], str], ones: str) -> str:
    """AveragePool by a `pool` that counts the padding; where ONNX does not count it, by the share of real entries.

    pool: the expression of the pool for a variable or an expression. ones: an expression with `{}` for the input: ones
    of its shape.
    """
    if node.attributes["count_include_pad"] or not node.padded:
        return pool(x)
    return f"{pool(x)} / {pool(ones.format(x))}"
