"""A network as a class of layers, as libraries that took over torch's modules have it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from crosscheck.runtimes.family.graph import Node, indented

__all__ = ["adopted", "folded", "module_class"]

WIDTH = 100


def module_class(
    base: str,
    layers: Sequence[str],
    body: Sequence[str],
    result: str,
    *,
    method: str = "forward",
    arguments: Sequence[str] = (),
    parent: str = "super().__init__()",
) -> str:
    """The class `Net`: its constructor makes the layers, its method computes `result` from `x`.

    layers, body: statements. arguments: of the constructor. parent: the call of the base's constructor ("": none).
    """
    made = [*([parent] if parent else []), *layers] or ["pass"]
    return (
        f"class Net({base}):\n"
        + indented([f"def __init__({', '.join(['self', *arguments])}):"])
        + folded(made, 2)
        + "\n"
        + indented([f"def {method}(self, x):"])
        + folded([*body, f"return {result}"], 2)
        + "\n\n"
    )


def adopted(layers: Sequence[Node]) -> str:
    """Statements that give `net` the layers of the network `first`."""
    return "".join(f"net.{node.id} = first.{node.id}\n" for node in layers)


def folded(statements: Sequence[str], depth: int) -> str:
    """The statements, indented; the arguments of a call that ends a long one stand on lines of their own."""
    room = WIDTH - 4 * depth
    lines = []
    for statement in statements:
        start = statement.find("(") + 1
        if len(statement) <= room or not statement.endswith(")") or not start:
            lines.append(statement)
            continue
        arguments = _arguments(statement[start:-1])
        packed = textwrap.wrap(" ".join(_glued(argument) for argument in arguments), room - 4, break_long_words=False)
        packed = [line.replace(GLUE, " ") for line in packed]
        if len(packed) == 1:
            packed = [packed[0].rstrip(",")]
        lines += [statement[:start], *(f"    {line}" for line in packed), ")"]
    return indented(lines, depth)


#: Stands for a space within an argument, which is not to be broken.
GLUE = "\0"


def _glued(argument: str) -> str:
    return argument.replace(" ", GLUE) + ","


def _arguments(text: str) -> list[str]:
    """The arguments of a call: what stands between commas outside of brackets."""
    found, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth:
            found.append("")
        else:
            found[-1] += letter
    return [argument.strip() for argument in found]
