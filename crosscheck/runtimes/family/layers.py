"""The text that tells what every node of a network puts out, written from the same expressions as its `forward`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crosscheck.runtimes.family.graph import Node

__all__ = ["shown"]


def shown(graph: Sequence[Node], entry: str, expression: Callable[[Node, list[str]], str]) -> list[str]:
    """Lines that set `layers`, tensor of the graph -> its value; `expression` as for `graph.statements`.

    entry: the name of the graph's input, which is the variable `x`.
    """

    def variable(name: str) -> str:
        return "x" if name == entry else f'layers["{name}"]'

    return [
        "layers = {}",
        *(f"{variable(node.output)} = {expression(node, [variable(name) for name in node.inputs])}" for node in graph),
    ]
