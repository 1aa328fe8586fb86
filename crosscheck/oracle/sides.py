"""Whether a gradient is the network's with undecided kinks taken the other way.

The gradient depends on the sides of kinks almost linearly: each kink has an effect, its output's cotangent times the
jump of the slope times the gradient of its margin. A gradient's difference from the oracle's is fitted by a combination
of these effects (least squares by conjugate gradients, which need no list of effects: a combination of them is one
backward pass, the products with all of them one forward pass). The fit says which kinks to take the other way; then the
gradient with these sides is computed and compared. So an accepted gradient equals a right one, whatever the fit did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import autograd.numpy as traced_numpy  # type: ignore[import-untyped]
import numpy as np
from autograd import make_vjp
from autograd.extend import defvjp, primitive  # type: ignore[import-untyped]

from crosscheck.cells import Array
from crosscheck.networks.graph import Node
from crosscheck.oracle.kinks import Kinks
from crosscheck.oracle.rounding import Question, Rounding, in_type_of_input, on_sides, recorded

__all__ = ["Explained", "Sides"]

#: "sides": the gradient is right, with other sides. "no": no sides give it. "unknown": some may, the fit does not tell.
Explained = Literal["sides", "no", "unknown"]

#: Times that the gradient is computed with other sides, and the most steps of a fit.
ROUNDS, STEPS = 4, 12
#: A fit is good enough to choose sides where it leaves this part of the difference.
ENOUGH = 0.05
#: A fit has converged where the effects together have this part in the square of what it leaves: measured on a deep
#: residual network, 0.3 and more while sides are still to be found, and below 0.01 where another epsilon is left.
CONVERGED = 0.01
#: The fit of a gradient that no sides give leaves more than this part of the difference.
UNEXPLAINED = 0.3
#: The step of finite differences, relative to the input's largest entry: far less than the margins of most kinks, which
#: are roundings of float32.
DIFFERENCE = 1e-10
#: Random directions that show how large the effects are.
DIRECTIONS = 4
#: A shift of a side, as a part of the jump, from which the kink is taken to be on the other side.
SHIFT = 0.3


@dataclass(frozen=True, eq=False)
class _Effects:
    """The gradient at some sides, and the effects of all kinks there, each for a shift from below its kink to above."""

    gradient: Array
    combined: Callable[[Array], Array]
    products: Callable[[Array], Array]
    strength: Array


class Sides:
    """The undecided kinks of a question."""

    def __init__(self, question: Question, rounding: Rounding) -> None:
        self.question, self.kinks = question, rounding.kinks
        self.x, self.weights = question.in_type(np.float64)
        self._ends = np.cumsum([0, *map(len, self.kinks.values())])
        self.margins = np.concatenate([np.zeros(0), *(rounding.margins[name] for name in self.kinks)])

    def explain(self, gradient: Array, tolerance: float) -> Explained:
        """Whether the gradient is the question's with some undecided kinks on other sides, up to `tolerance`."""
        if not self.kinks or gradient.shape != self.x.shape or not np.isfinite(gradient).all():
            return "no"
        own = (np.sign(self.margins) + 1) / 2  # 1 above a kink, 0 below it, and a half on it
        sides = own
        for _ in range(ROUNDS):
            effects = self._effects(np.where(sides == own, np.nan, 2 * sides - 1))
            difference = gradient - effects.gradient
            if np.max(np.abs(difference)) <= tolerance:
                return "sides"
            shifts, left, converged = self._fit(effects, difference, tolerance)
            explained = np.max(np.abs(left)) <= tolerance
            if converged and not explained and np.linalg.norm(left) > UNEXPLAINED * np.linalg.norm(difference):
                return "no"
            nearer = np.clip(sides + shifts, 0.0, 1.0)
            wanted = np.where(np.abs(nearer - sides) < SHIFT, sides, np.round(nearer))
            if (wanted == sides).all():
                # A slope that is beyond both sides' is neither's, where the fit has one solution.
                beyond = np.linalg.norm(effects.combined(sides + shifts - nearer))
                single = 2 * np.count_nonzero(self._squares) <= self.x.size
                return "no" if single and beyond > UNEXPLAINED * np.linalg.norm(difference) else "unknown"
            sides = wanted
        return "unknown"

    def _fit(self, effects: _Effects, difference: Array, tolerance: float) -> tuple[Array, Array, bool]:
        """Shifts of the sides that explain a difference, what they leave of it, and whether more steps are no use."""
        norms = np.abs(effects.strength) * np.sqrt(self._squares)
        scale = np.where(norms > 0, 1 / np.where(norms > 0, norms, 1.0), 0.0)
        shifts, left = np.zeros(len(scale)), difference
        slope = scale * effects.products(left)
        direction, power = slope, slope @ slope
        for _ in range(STEPS):
            if power <= CONVERGED * np.sum(left**2):
                return shifts, left, True
            effect = effects.combined(scale * direction)
            length = power / np.sum(effect**2)
            shifts, left = shifts + length * scale * direction, left - length * effect
            if np.max(np.abs(left)) <= tolerance / 2 or np.linalg.norm(left) <= ENOUGH * np.linalg.norm(difference):
                return shifts, left, False
            slope = scale * effects.products(left)
            direction, power = slope + (slope @ slope) / power * direction, slope @ slope
        return shifts, left, False

    def _effects(self, sides: Array) -> _Effects:
        """The gradient with the sides, and the kinks' effects there."""
        question, x, count = self.question, self.x, len(sides)
        moved = on_sides(self.kinks, {name: sides[part] for name, part in self._parts})
        parts = dict(self._parts)

        def together(point: Any) -> Any:
            """The flat output and the margins, for x and for what is added to outputs at kinks, in one vector."""
            margins = {}

            def apply(node: Node, operator: Callable[..., Array], inputs: Sequence[Array]) -> Array:
                here = self.kinks.get(node["name"])
                if here is None:
                    return in_type_of_input(node, operator, inputs)
                margins[node["name"]] = _margins(here, inputs)
                added: Array = _added(moved(node, operator, inputs), point[x.size :][parts[node["name"]]], here.at)
                return added

            y = question.values(traced_numpy.reshape(point[: x.size], x.shape), self.weights, apply)[question.output]
            return traced_numpy.concatenate([traced_numpy.ravel(y), *(margins[name] for name in self.kinks)])

        with np.errstate(all="ignore"):
            pull_back, value = make_vjp(together)(np.concatenate([np.ravel(x), np.zeros(count)]))
            cotangent = np.ravel(np.asarray(question.cotangent, np.float64))
            asked = pull_back(np.concatenate([cotangent, np.zeros(count)]))
        strength = np.concatenate([item.jump for item in self.kinks.values()]) * asked[x.size :]

        def combined(shifts: Array) -> Array:
            back: Array = pull_back(np.concatenate([np.zeros(len(value) - count), shifts * strength]))[: x.size]
            return back.reshape(x.shape)

        gradient = asked[: x.size].reshape(x.shape)
        return _Effects(gradient, combined, lambda direction: strength * self._slopes(direction), strength)

    @property
    def _parts(self) -> list[tuple[str, slice]]:
        return [(name, slice(*self._ends[place : place + 2])) for place, name in enumerate(self.kinks)]

    def _slopes(self, direction: Array) -> Array:
        """The change of every margin along a direction of x."""
        step = DIFFERENCE * float(np.max(np.abs(self.x))) / (float(np.max(np.abs(direction))) or 1.0)
        with np.errstate(all="ignore"):
            _, inputs = recorded(self.question, self.x + step * direction, self.weights)
        margins = [kinks.margins(inputs[name]) for name, kinks in self.kinks.items()]
        return np.asarray((np.concatenate(margins) - self.margins) / step)

    @cached_property
    def _squares(self) -> Array:
        """About the squares of the margins' gradients; zero where the input has no effect.

        By random directions, few of them, so that a node's average counts as one more.
        """
        random = np.random.default_rng(0)
        slopes = [self._slopes(np.asarray(random.standard_normal(self.x.shape))) for _ in range(DIRECTIONS)]
        squares: Array = np.mean(np.square(slopes), axis=0)
        for _, part in self._parts:
            alive = squares[part] > 0
            average = np.mean(squares[part], where=alive) if alive.any() else 0.0
            squares[part] = np.where(alive, (DIRECTIONS * squares[part] + average) / (DIRECTIONS + 1), 0.0)
        return squares


def _margins(kinks: Kinks, inputs: Sequence[Any]) -> Any:
    """`Kinks.margins`, differentiable."""
    first = _entries(inputs[0], kinks.of)
    return first - (kinks.level if kinks.against is None else _entries(inputs[0], kinks.against))


@primitive  # type: ignore[untyped-decorator]
def _entries(x: Array, places: Array) -> Array:
    return np.ravel(x)[places]


@primitive  # type: ignore[untyped-decorator]
def _added(x: Array, numbers: Array, places: Array) -> Array:
    y = np.array(x)
    np.add.at(y.reshape(-1), places, numbers)
    return y


def _spread(cotangent: Array, x: Array, places: Array) -> Array:
    y = np.zeros(x.size)
    np.add.at(y, places, cotangent)
    return y.reshape(x.shape)


defvjp(_entries, lambda answer, x, places: lambda cotangent: _spread(cotangent, x, places), argnums=(0,))
defvjp(
    _added,
    lambda answer, x, numbers, places: lambda cotangent: cotangent,
    lambda answer, x, numbers, places: lambda cotangent: np.ravel(cotangent)[places],
    argnums=(0, 1),
)
