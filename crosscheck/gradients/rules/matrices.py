"""Matrix products."""

from __future__ import annotations

from typing import Any

from crosscheck.gradients.call import Call
from crosscheck.gradients.rules.rule import Cotangents, Gradients, Rule, only, summed, unbroadcast
from crosscheck.gradients.writer import Writer

__all__ = ["RULES"]

#: Since this opset Gemm's third input is optional.
GEMM_WITHOUT_ADDEND = 11


def _gemm(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """For Y = alpha * A' B' + beta * C, ' a transposition or none: dA' = alpha * dY B'^T, dB' = alpha * A'^T dY."""
    cotangent, (a, b) = only(cotangents), call.inputs[:2]
    first, second = bool(call.get("transA", 0)), bool(call.get("transB", 0))
    alpha, beta = float(call.get("alpha", 1.0)), float(call.get("beta", 1.0))
    gradients: Gradients = [None] * len(call.inputs)
    if call.wanted[0]:
        gradients[0] = (
            _product(writer, b, cotangent, alpha, transA=second, transB=True)
            if first
            else _product(writer, cotangent, b, alpha, transA=False, transB=not second)
        )
    if call.wanted[1]:
        gradients[1] = (
            _product(writer, cotangent, a, alpha, transA=True, transB=first)
            if second
            else _product(writer, a, cotangent, alpha, transA=not first, transB=False)
        )
    if len(call.inputs) > 2 and call.wanted[2]:
        added = unbroadcast(writer, call, cotangent, 2)
        gradients[2] = added if beta == 1 else writer.node("Mul", added, writer.constant(beta))
    return gradients


def _product(writer: Writer, a: str, b: str, alpha: float, **transposed: bool) -> str:
    """The product alpha * A' B'."""
    attributes: dict[str, Any] = {name: 1 for name, here in transposed.items() if here}
    if alpha != 1:
        attributes["alpha"] = alpha
    addend = [] if writer.opset >= GEMM_WITHOUT_ADDEND else [writer.constant([0.0])]
    return writer.node("Gemm", a, b, *addend, **attributes)


def _matmul(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """For Y = A B: dA = dY B^T, dB = A^T dY, summed over the batch axes along which a factor was broadcast.

    A vector is a row on the left and a column on the right; the product drops that axis.
    """
    cotangent, (a, b) = only(cotangents), call.inputs
    row, column = call.rank(0) == 1, call.rank(1) == 1
    batch = max(call.rank(0), call.rank(1), 2) - 2
    if row:
        a = writer.unsqueeze(a, [0])
    if column:
        b = writer.unsqueeze(b, [1])
    if row or column:
        cotangent = writer.unsqueeze(cotangent, [batch + axis for axis, here in enumerate((row, column)) if here])
    gradients: Gradients = [None, None]
    if call.wanted[0]:
        product = writer.node("MatMul", cotangent, _transposed(writer, b, max(call.rank(1), 2)))
        product = _without_batch(writer, call, product, 0)
        gradients[0] = writer.squeeze(product, [0]) if row else product
    if call.wanted[1]:
        product = writer.node("MatMul", _transposed(writer, a, max(call.rank(0), 2)), cotangent)
        product = _without_batch(writer, call, product, 1)
        gradients[1] = writer.squeeze(product, [1]) if column else product
    return gradients


def _transposed(writer: Writer, x: str, rank: int) -> str:
    """The last two of `rank` axes exchanged."""
    return writer.node("Transpose", x, perm=[*range(rank - 2), rank - 1, rank - 2])


def _without_batch(writer: Writer, call: Call, product: str, index: int) -> str:
    """Sum over the axes before the last two along which the i-th factor was broadcast."""
    output = call.facts.shape(call.outputs[0])
    assert output is not None  # inferred from the inputs' ranks
    matrix_axes = sum(call.rank(factor) > 1 for factor in range(2))
    return summed(writer, call, product, output[: len(output) - matrix_axes], index, call.shape(index)[:-2])


RULES: dict[str, Rule] = {"Gemm": _gemm, "MatMul": _matmul}
