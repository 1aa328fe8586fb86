"""Einsum: the gradient by an operand is the Einsum of the cotangent and the other operands."""

from __future__ import annotations

import string

import numpy as np

from crosscheck.gradients.call import Call
from crosscheck.gradients.rules.rule import Cotangents, Gradients, Rule, only
from crosscheck.gradients.writer import Writer

__all__ = ["RULES"]

ELLIPSIS = "..."


def _einsum(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    terms, output = _labels(call)
    return [
        _by_operand(writer, call, only(cotangents), terms, output, index) if call.wanted[index] else None
        for index in range(len(terms))
    ]


def _by_operand(writer: Writer, call: Call, cotangent: str, terms: list[str], output: str, index: int) -> str:
    """Labels of the operand alone, summed over or of size one, are no labels of the product; they are expanded."""
    wanted, shape = terms[index], call.shape(index)
    others = [(term, name) for place, (term, name) in enumerate(zip(terms, call.inputs, strict=True)) if place != index]
    present = set(output).union(*(term for term, _ in others))
    sizes = dict(zip(wanted, shape, strict=True))
    # Operands of size one broadcast along the axes of an ellipsis.
    kept = [
        label
        for label in dict.fromkeys(wanted)
        if label in present and not (sizes[label] == 1 and label in string.ascii_uppercase)
    ]
    equation = ",".join([output, *(term for term, _ in others)]) + "->" + "".join(kept)
    gradient = writer.node("Einsum", cotangent, *(name for _, name in others), equation=equation)
    missing = [place for place, label in enumerate(wanted) if label not in kept or label in wanted[:place]]
    if missing:
        gradient = writer.unsqueeze(gradient, missing)
    for place, label in enumerate(wanted):
        first = wanted.index(label)
        if first < place:  # a diagonal
            size = shape[place]
            if not isinstance(size, int):
                raise call.refusal(f"takes a diagonal of {call.inputs[index]!r} of unknown size; export it with sizes")
            ones = [size if axis in (first, place) else 1 for axis in range(len(wanted))]
            gradient = writer.node("Mul", gradient, writer.constant(np.eye(size, dtype=writer.dtype).reshape(ones)))
    return writer.expand_like(gradient, call.inputs[index]) if missing else gradient


def _labels(call: Call) -> tuple[list[str], str]:
    """Each operand's labels and the output's; the axes of an ellipsis have capital letters, the last ones alike."""
    equation = "".join(str(call.get("equation", "")).split())
    left, arrow, output = equation.partition("->")
    terms = left.split(",")
    if set(left) & set(string.ascii_uppercase):
        raise call.refusal("has capital letters in its equation, for which there is no rule; use small ones")
    hidden = [call.rank(index) - len(term.replace(ELLIPSIS, "")) for index, term in enumerate(terms)]
    most = max([count for count, term in zip(hidden, terms, strict=True) if ELLIPSIS in term], default=0)
    capitals = string.ascii_uppercase[:most]
    full = [term.replace(ELLIPSIS, capitals[most - count :]) for term, count in zip(terms, hidden, strict=True)]
    if arrow:
        return full, output.replace(ELLIPSIS, capitals)
    once = sorted(label for label in set(left) - set(",.") if left.count(label) == 1)
    return full, capitals + "".join(once)


RULES: dict[str, Rule] = {"Einsum": _einsum}
