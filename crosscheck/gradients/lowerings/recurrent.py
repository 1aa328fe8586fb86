"""RNN, GRU and LSTM, unrolled over a fixed number of steps.

Shapes: X (steps, batch, inputs), W (directions, gates * hidden, inputs), R (directions, gates * hidden, hidden),
B (directions, 2 * gates * hidden), states (directions, batch, hidden), Y (steps, directions, batch, hidden); with
layout = 1, batch comes first in X, states and Y.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from crosscheck.gradients.call import Call
from crosscheck.gradients.lowerings.lowering import Lowering
from crosscheck.gradients.writer import Writer

__all__ = ["LOWERINGS"]

#: Gates of each operator, and activations of each direction by default.
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
ACTIVATIONS = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}
#: Activations without parameters.
PLAIN = ("Relu", "Sigmoid", "Softplus", "Softsign", "Tanh")

#: The most steps; each is some twenty nodes, and their gradients.
MOST_STEPS = 4096

X, W, R, B, LENGTHS, INITIAL_H, INITIAL_C, PEEPHOLES = range(8)
Activation = Callable[[str], str]


@dataclass(frozen=True)
class _Direction:
    """One direction of a node: the names of its parameters, without the axis of directions.

    w, r: (inputs, gates * hidden), (hidden, gates * hidden). b: (2 * gates * hidden,), or None. h, c: (batch, hidden).
    p: the LSTM's three peepholes, (hidden,) each, or none.
    """

    w: str
    r: str
    b: tuple[str, str] | None
    h: str
    c: str
    p: tuple[str, ...]
    activations: tuple[Activation, ...]


def _unrolled(writer: Writer, call: Call) -> list[str | None]:
    """The outputs Y, Y_h and, of an LSTM, Y_c."""
    op, hidden = call.node.op_type, call.sizes(R)[2]
    if call.has(LENGTHS):
        _check_lengths(call)
    x = call.inputs[X]
    if int(call.get("layout", 0)):
        x = writer.node("Transpose", x, perm=[1, 0, 2])
    steps = call.shape(X)[1 if call.get("layout", 0) else 0]
    if not isinstance(steps, int):
        raise call.refusal("runs an unknown number of steps; fix it with --shape, or export it so")
    if steps > MOST_STEPS:
        raise call.refusal(f"runs {steps} steps, and up to {MOST_STEPS} are unrolled; make its sequences shorter")
    kind = str(call.get("direction", "forward"))
    backward = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[kind]
    step = {"RNN": _rnn, "GRU": _gru, "LSTM": _lstm}[op]
    ys, hs, cs = [], [], []
    for number, reverse in enumerate(backward):
        direction = _direction(writer, call, number, x, hidden)
        products = writer.node("MatMul", x, direction.w)  # (steps, batch, gates * hidden)
        if direction.b is not None:
            products = writer.node("Add", products, direction.b[0])
        h, c, states = direction.h, direction.c, []
        for place in reversed(range(steps)) if reverse else range(steps):
            product = writer.squeeze(writer.slice(products, [place], [place + 1], [0]), [0])
            h, c = step(writer, call, direction, product, h, c, hidden)
            states.append(h)
        ordered = states[::-1] if reverse else states
        ys.append(writer.node("Concat", *(writer.unsqueeze(state, [0, 1]) for state in ordered), axis=0))
        hs.append(writer.unsqueeze(h, [0]))
        cs.append(writer.unsqueeze(c, [0]))
    outputs: list[str | None] = [writer.node("Concat", *ys, axis=1)]
    outputs += [writer.node("Concat", *values, axis=0) for values in ((hs, cs) if op == "LSTM" else (hs,))]
    if int(call.get("layout", 0)):
        orders = ([2, 0, 1, 3], [1, 0, 2], [1, 0, 2])
        outputs = [
            writer.node("Transpose", name or "", perm=order) for name, order in zip(outputs, orders, strict=False)
        ]
    return outputs[: len(call.outputs)]


def _check_lengths(call: Call) -> None:
    """Raise NetworkError unless every sequence has all steps."""
    lengths = call.constant(LENGTHS, "its sequence lengths")
    if not np.all(lengths == call.shape(X)[1 if call.get("layout", 0) else 0]):
        raise call.refusal("has sequences of several lengths, for which there is no rule; give them one length")


def _direction(writer: Writer, call: Call, number: int, x: str, hidden: int) -> _Direction:
    gates = GATES[call.node.op_type]

    def part(index: int) -> str:
        return writer.squeeze(writer.slice(call.inputs[index], [number], [number + 1], [0]), [0])

    def state(index: int) -> str:
        if call.has(index):
            axis = 1 if call.get("layout", 0) else 0
            return writer.squeeze(writer.slice(call.inputs[index], [number], [number + 1], [axis]), [axis])
        first = writer.squeeze(writer.slice(x, [0, 0], [1, 1], [0, 2]), [0])  # (batch, 1)
        zeros = writer.zeros_like(first)
        return writer.node("Add", zeros, writer.constant(np.zeros((1, hidden), writer.dtype)))

    def cut(vector: str, start: int, count: int) -> str:
        return writer.slice(vector, [start * hidden], [(start + count) * hidden], [0])

    b = None
    if call.has(B):
        both = part(B)
        b = (cut(both, 0, gates), cut(both, gates, gates))
    p: tuple[str, ...] = ()
    if call.node.op_type == "LSTM" and call.has(PEEPHOLES):
        vector = part(PEEPHOLES)
        p = (cut(vector, 0, 1), cut(vector, 1, 1), cut(vector, 2, 1))
    h = state(INITIAL_H)
    c = state(INITIAL_C) if call.node.op_type == "LSTM" else h
    w, r = (writer.node("Transpose", part(index), perm=[1, 0]) for index in (W, R))
    return _Direction(w, r, b, h, c, p, _activations(writer, call, number))


def _activations(writer: Writer, call: Call, number: int) -> tuple[Activation, ...]:
    """The activations of one direction."""
    default = ACTIVATIONS[call.node.op_type]
    named = [name.decode() if isinstance(name, bytes) else str(name) for name in call.get("activations", [])]
    chosen = named[number * len(default) :][: len(default)] or list(default)
    clip = float(call.get("clip", 0.0))

    def activation(name: str) -> Activation:
        operator = next((known for known in PLAIN if known.lower() == name.lower()), None)
        if operator is None:
            raise call.refusal(f"has the activation {name}, for which there is no rule; use one of {', '.join(PLAIN)}")

        def apply(x: str) -> str:
            if clip:
                x = writer.node("Max", writer.node("Min", x, writer.constant(clip)), writer.constant(-clip))
            return writer.node(operator, x)

        return apply

    return tuple(map(activation, chosen))


def _gates(writer: Writer, x: str, hidden: int, count: int) -> list[str]:
    """(batch, gates * hidden) as one (batch, hidden) for each gate."""
    return [writer.slice(x, [gate * hidden], [(gate + 1) * hidden], [1]) for gate in range(count)]


def _recurrent(writer: Writer, part: _Direction, h: str) -> str:
    """h R^T + Rb."""
    product = writer.node("MatMul", h, part.r)
    return product if part.b is None else writer.node("Add", product, part.b[1])


def _rnn(writer: Writer, call: Call, part: _Direction, x: str, h: str, c: str, hidden: int) -> tuple[str, str]:
    h = part.activations[0](writer.node("Add", x, _recurrent(writer, part, h)))
    return h, h


def _gru(writer: Writer, call: Call, part: _Direction, x: str, h: str, c: str, hidden: int) -> tuple[str, str]:
    """Gates z, r, h: H = (1 - z) * g(..) + z * H."""
    f, g = part.activations
    xz, xr, xh = _gates(writer, x, hidden, 3)
    hz, hr, hh = _gates(writer, _recurrent(writer, part, h), hidden, 3)
    z, r = f(writer.node("Add", xz, hz)), f(writer.node("Add", xr, hr))
    if call.get("linear_before_reset", 0):
        inner = writer.node("Mul", r, hh)
    else:
        inner = writer.node("MatMul", writer.node("Mul", r, h), _gates(writer, part.r, hidden, 3)[2])
        if part.b is not None:
            inner = writer.node("Add", inner, writer.slice(part.b[1], [2 * hidden], [3 * hidden], [0]))
    new = g(writer.node("Add", xh, inner))
    kept = writer.node("Mul", z, writer.node("Sub", h, new))
    h = writer.node("Add", new, kept)
    return h, h


def _lstm(writer: Writer, call: Call, part: _Direction, x: str, h: str, c: str, hidden: int) -> tuple[str, str]:
    """Gates i, o, f, c; peepholes of i, o, f."""
    f, g, last = part.activations
    gi, go, gf, gc = _gates(writer, writer.node("Add", x, _recurrent(writer, part, h)), hidden, 4)
    if part.p:
        gi = writer.node("Add", gi, writer.node("Mul", part.p[0], c))
        gf = writer.node("Add", gf, writer.node("Mul", part.p[2], c))
    i = f(gi)
    forget = writer.node("Sub", writer.constant(1.0), i) if call.get("input_forget", 0) else f(gf)
    c = writer.node("Add", writer.node("Mul", forget, c), writer.node("Mul", i, g(gc)))
    if part.p:
        go = writer.node("Add", go, writer.node("Mul", part.p[1], c))
    return writer.node("Mul", f(go), last(c)), c


LOWERINGS: dict[str, Lowering] = dict.fromkeys(GATES, _unrolled)
