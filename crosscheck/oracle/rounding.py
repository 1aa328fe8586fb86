"""What float32 can do for a network at an input: the rounding of its answers, and the kinks that rounding crosses.

The oracle's own code evaluates the network in float32, once as it is and once with inputs and weights off by a unit in
the last place, and compares with float64. The gradient takes float64's side of every kink that is within rounding: a
crossed kink is no rounding of the gradient, and is looked for by itself (`crosscheck.oracle.sides`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from autograd import make_vjp  # type: ignore[import-untyped]
from autograd.tracer import getval  # type: ignore[import-untyped]

from crosscheck.cells import Array
from crosscheck.networks.graph import Graph, Node
from crosscheck.oracle.evaluation import values
from crosscheck.oracle.kinks import KINKS, Kinks
from crosscheck.oracle.operators import by_batch

__all__ = [
    "KINK_FACTOR",
    "Question",
    "Rounding",
    "apart",
    "in_type_of_input",
    "measure",
    "nearby",
    "on_sides",
    "recorded",
]

#: Factor on the largest rounding of a node's inputs, within which a kink is undecided: runtimes sum in other orders.
KINK_FACTOR = 4.0


@dataclass(frozen=True, eq=False)
class Question:
    """A network at an input in one mode, whose gradient is asked for a cotangent.

    batch_norm: the operator of batch normalizations in training mode.
    """

    graph: Graph
    weights: Mapping[str, Array]
    x: Array
    cotangent: Array
    training: bool
    batch_norm: Callable[..., Array] = by_batch

    def values(self, x: Any, weights: Mapping[str, Array], apply: Callable[..., Array]) -> dict[str, Array]:
        """Every tensor for x, in its type."""
        return values(self.graph, weights, x, self.training, self.batch_norm, apply)[0]

    def in_type(self, kind: type[np.floating[Any]]) -> tuple[Array, dict[str, Array]]:
        """x and the weights in a float type."""
        return np.asarray(self.x, kind), {name: np.asarray(value, kind) for name, value in self.weights.items()}

    @property
    def output(self) -> str:
        """The name of the output."""
        return self.graph["outputs"][0]["name"]


@dataclass(frozen=True, eq=False)
class Rounding:
    """Roundings of float32, absolute, the largest of any entry.

    kinks: by node name, those within `KINK_FACTOR` roundings of their inputs. margins: their float64 margins.
    """

    prediction: float
    gradient: float
    kinks: Mapping[str, Kinks] = field(default_factory=dict)
    margins: Mapping[str, Array] = field(default_factory=dict)


def measure(question: Question, prediction: Array, gradient: Array) -> Rounding:
    """Measure the rounding of both answers to a question, whose float64 answers are known."""
    with np.errstate(all="ignore"):
        _, inputs = recorded(question, *question.in_type(np.float64))
        narrow = question.in_type(np.float32)
        evaluated = [narrow, nearby(*narrow)]
        widths, farthest = dict.fromkeys(inputs, 0.0), 0.0
        for x, weights in evaluated:
            rounded_prediction, rounded = recorded(question, x, weights)
            farthest = max(farthest, apart(rounded_prediction, prediction))
            for name, tensors in rounded.items():
                widths[name] = max(widths[name], *map(apart, tensors, inputs[name]))
        nodes = {node["name"]: node for node in question.graph["nodes"]}
        kinks, margins = {}, {}
        for name, tensors in inputs.items():
            width = KINK_FACTOR * widths[name]
            near = KINKS[nodes[name]["op"]](nodes[name]["attributes"], tensors, width if np.isfinite(width) else 0.0)
            if len(near):
                kinks[name], margins[name] = near, near.margins(tensors)
        inputs.clear()
        sides = on_sides(kinks, {name: np.sign(margin) for name, margin in margins.items()})
        x, weights = evaluated[-1]
        pull_back, y = make_vjp(lambda traced: question.values(traced, weights, sides)[question.output])(x)
        rounded_gradient = pull_back(np.asarray(question.cotangent, y.dtype))
    return Rounding(farthest, apart(rounded_gradient, gradient), kinks, margins)


def on_sides(kinks: Mapping[str, Kinks], sides: Mapping[str, Array]) -> Callable[..., Array]:
    """Moves inputs of the listed nodes to the wanted sides of their kinks, by as little as that takes.

    sides: by node name, 1 above, -1 below, 0 on the kink; NaN leaves an input where it is.
    """

    def apply(node: Node, operator: Callable[..., Array], inputs: Sequence[Array]) -> Array:
        here = kinks.get(node["name"])
        if here is not None:
            inputs = [inputs[0] + _nudge(here, [getval(inputs[0])], sides[node["name"]]), *inputs[1:]]
        return in_type_of_input(node, operator, inputs)

    return apply


def _nudge(kinks: Kinks, inputs: Sequence[Array], sides: Array) -> Array:
    """What to add to the input. In a pair of entries the second is moved: the first may be in others."""
    margins = kinks.margins(inputs)
    (x,), entries = inputs, kinks.of if kinks.against is None else kinks.against
    nudge = np.zeros(x.size, x.dtype)
    moved = np.flatnonzero(~np.isnan(sides) & (np.sign(margins) != sides))
    scale = np.abs(np.ravel(x)[entries[moved]]) + np.abs(np.ravel(x)[kinks.of[moved]])
    step = np.maximum(np.abs(margins[moved]), 2 * np.finfo(x.dtype).eps * scale + np.finfo(x.dtype).tiny)
    change = sides[moved] * step - margins[moved]
    nudge[entries[moved]] = change if kinks.against is None else -change
    return nudge.reshape(x.shape)


def in_type_of_input(node: Node, operator: Callable[..., Array], inputs: Sequence[Array]) -> Array:
    """The operator's output, in the type of its first input: some helpers of operators are in float64."""
    y = operator(node["attributes"], *inputs)
    kind = getval(inputs[0]).dtype
    return y if getval(y).dtype == kind or getval(y).dtype.kind != "f" else y.astype(kind)


def recorded(question: Question, x: Array, weights: Mapping[str, Array]) -> tuple[Array, dict[str, list[Array]]]:
    """The prediction, and the inputs of every node that can have kinks."""
    inputs: dict[str, list[Array]] = {}

    def apply(node: Node, operator: Callable[..., Array], given: Sequence[Array]) -> Array:
        if node["op"] in KINKS:
            inputs[node["name"]] = list(given)
        return in_type_of_input(node, operator, given)

    return question.values(x, weights, apply)[question.output], inputs


def nearby(x: Array, weights: Mapping[str, Array]) -> tuple[Array, dict[str, Array]]:
    """x and weights, each entry off by a unit in the last place, up, down or not at all, at random."""
    random = np.random.default_rng(0)
    least = np.float32(np.finfo(np.float32).eps)

    def off(value: Array) -> Array:
        signs = random.integers(-1, 2, value.shape, np.int8).astype(np.float32)
        return np.asarray(value * (1 + least * signs))

    return off(x), {name: off(value) for name, value in weights.items()}


def apart(one: Array, other: Array) -> float:
    """The largest difference; infinite for what is finite in one of them alone."""
    alike = (one == other) | (np.isnan(one) & np.isnan(other))
    apart = np.where(alike, 0.0, np.abs(np.asarray(one, np.float64) - other))
    return float(np.max(np.where(np.isnan(apart), np.inf, apart), initial=0.0))
