"""A network as a class of layers, as libraries that took over torch's modules have it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from crosscheck.runtimes.family.graph import concluded
from crosscheck.runtimes.family.layers import class_with_layers

__all__ = ["folded", "module_class"]

WIDTH = 100
#: Stands for a space within an argument, which is not to be broken.
GLUE = "\0"


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
    """The class `Net`: its constructor makes the layers, its method computes the variable `result` from `x`.

    layers, body: statements. arguments: of the constructor. parent: the call of the base's constructor ("": none).
    """
    made = [*([parent] if parent else []), *layers]
    return class_with_layers(
        f"Net({base})",
        folded(made, 2),
        folded(concluded(body, result), 2),
        method=f"{method}(self, x)",
        arguments=", ".join(["self", *arguments]),
    )


def folded(statements: Iterable[str], depth: int) -> list[str]:
    """Lines: the arguments of a call that ends a long statement stand on lines of their own."""
    room = WIDTH - 4 * depth
    lines = []
    for statement in statements:
        start = statement.find("(") + 1
        if len(statement) <= room or not statement.endswith(")") or not start:
            lines.append(statement)
            continue
        arguments = " ".join(argument.replace(" ", GLUE) + "," for argument in _arguments(statement[start:-1]))
        packed = textwrap.wrap(arguments, room - 4, break_long_words=False, break_on_hyphens=False)
        if len(packed) == 1:
            packed = [packed[0].rstrip(",")]
        lines += [statement[:start], *(f"    {line.replace(GLUE, ' ')}" for line in packed), ")"]
    return lines


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
