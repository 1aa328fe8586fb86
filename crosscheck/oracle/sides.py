"""Whether a gradient is the network's with undecided kinks taken the other way.

The gradient depends on the sides of kinks almost linearly: each kink has an effect, its output's cotangent times the
jump of the slope times the gradient of its margin. A gradient's difference from the oracle's is fitted by a combination
of these effects (least squares by conjugate gradients, which need no list of effects: a combination of them is one
backward pass, the products with all of them one forward pass). The fit says which kinks to take the other way; then the
gradient with these sides is computed and compared. So an accepted gradient equals a right one, whatever the fit did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import autograd.numpy as traced_numpy  # type: ignore[import-untyped]
import numpy as np
from autograd import make_vjp
from autograd.extend import defvjp, primitive  # type: ignore[import-untyped]

from crosscheck.networks.graph import Array, Node
from crosscheck.oracle.kinks import Kinks
from crosscheck.oracle.rounding import Question, Rounding, in_type_of_input, on_sides, recorded

__all__ = ["Explained", "explain"]

#: "sides": the gradient is right, with other sides. "no": no sides give it. "unknown": sides may, the fit does not tell.
Explained = Literal["sides", "no", "unknown"]

#: Times that the gradient is computed with other sides, and steps of the fit each time.
ROUNDS, STEPS = 3, 8
#: The fit has converged where a step takes away less than this part of the difference.
PROGRESS = 0.02
#: The step of finite differences, relative to the input's largest entry.
DIFFERENCE = 1e-7
#: A shift of a side, as a part of the jump, from which the kink is taken to be on the other side.
SHIFT = 0.3


@dataclass(frozen=True, eq=False)
class _Linear:
    """The gradient at some sides, and the effects of all kinks there, each for a shift from below its kink to above."""

    gradient: Array
    combined: Callable[[Array], Array]
    products: Callable[[Array], Array]
    norms: Array


def explain(question: Question, rounding: Rounding, gradient: Array, tolerance: float) -> Explained:
    """Whether the gradient is the question's with some undecided kinks on other sides, up to `tolerance` (absolute)."""
    if not rounding.kinks or gradient.shape != question.x.shape or not np.isfinite(gradient).all():
        return "no"
    names = list(rounding.kinks)
    lengths = np.cumsum([len(rounding.kinks[name]) for name in names])[:-1]
    margins = np.concatenate([rounding.margins[name] for name in names])
    own = (np.sign(margins) + 1) / 2  # 1 above a kink, 0 below it, and a half on it
    sides = own
    residual = np.zeros(())
    for _ in range(ROUNDS):
        changed = np.where(sides == own, np.nan, 2 * sides - 1)
        linear = _linear(question, rounding, dict(zip(names, np.split(changed, lengths), strict=True)))
        difference = gradient - linear.gradient
        if np.max(np.abs(difference)) <= tolerance:
            return "sides"
        shifts, residual, converged = _fit(linear, difference, tolerance)
        nearer = np.clip(sides + shifts, 0.0, 1.0)
        wanted = np.where(np.abs(nearer - sides) < SHIFT, sides, np.round(nearer))
        if np.max(np.abs(residual)) > tolerance and converged:
            # What is left has no part in the effects: no sides give it, but for effects of effects.
            small = np.max(np.abs(residual)) <= np.max(np.abs(difference)) * PROGRESS
            if not small or (wanted == sides).all():
                return "no"
        if (wanted == sides).all():
            break
        sides = wanted
    return "unknown" if np.max(np.abs(residual)) <= tolerance or not converged else "no"


def _fit(linear: _Linear, difference: Array, tolerance: float) -> tuple[Array, Array, bool]:
    """Shifts of the sides that explain a difference best, what they leave, and whether more steps would not help."""
    scale = np.where(linear.norms > 0, 1 / np.where(linear.norms > 0, linear.norms, 1.0), 0.0)
    shifts, residual = np.zeros(len(scale)), difference
    slope = scale * linear.products(residual)
    direction, power = slope, slope @ slope
    for _ in range(STEPS):
        if not power:
            return shifts, residual, True
        effect = linear.combined(scale * direction)
        length = power / np.sum(effect**2)
        shifts = shifts + length * scale * direction
        before, residual = residual, residual - length * effect
        if np.max(np.abs(residual)) <= tolerance / 2:
            return shifts, residual, True
        if np.linalg.norm(residual) > (1 - PROGRESS) * np.linalg.norm(before):
            return shifts, residual, True
        slope = scale * linear.products(residual)
        direction, power = slope + (slope @ slope) / power * direction, slope @ slope
    return shifts, residual, False


def _linear(question: Question, rounding: Rounding, sides: Mapping[str, Array]) -> _Linear:
    """The gradient at the sides, and the kinks' effects there."""
    x, weights = question.in_type(np.float64)
    kinks = rounding.kinks
    moved = on_sides(kinks, sides)
    jumps = np.concatenate([item.jump for item in kinks.values()])
    count = len(jumps)

    def together(point: Any) -> Any:
        """The flat output and the margins, for x and for what is added to outputs at kinks, in one vector."""
        margins, start = [], x.size

        def apply(node: Node, operator: Callable[..., Array], inputs: Sequence[Array]) -> Array:
            nonlocal start
            here = kinks.get(node["name"])
            if here is None:
                return in_type_of_input(node, operator, inputs)
            margins.append(_margins(here, inputs))
            start += len(here)
            return _added(moved(node, operator, inputs), point[start - len(here) : start], here.at)

        y = question.values(traced_numpy.reshape(point[: x.size], x.shape), weights, apply)[question.output]
        return traced_numpy.concatenate([traced_numpy.ravel(y), *margins])

    with np.errstate(all="ignore"):
        pull_back, value = make_vjp(together)(np.concatenate([np.ravel(x), np.zeros(count)]))
        outputs = len(value) - count
        asked = pull_back(np.concatenate([np.ravel(np.asarray(question.cotangent, np.float64)), np.zeros(count)]))
    strength = jumps * asked[x.size :]
    here = value[outputs:]
    step = DIFFERENCE * max(float(np.max(np.abs(x), initial=0.0)), 1e-30)

    def combined(shifts: Array) -> Array:
        result: Array = pull_back(np.concatenate([np.zeros(outputs), shifts * strength]))[: x.size]
        return result.reshape(x.shape)

    def changes(direction: Array) -> Array:
        length = step / (float(np.max(np.abs(direction))) or 1.0)
        with np.errstate(all="ignore"):
            _, inputs = recorded(question, x + length * direction, weights)
        return (np.concatenate([kinks[name].margins(inputs[name]) for name in kinks]) - here) / length

    # A random direction shows how large the margins' gradients are, on the average over a node.
    drawn = np.random.default_rng(0).standard_normal(x.shape)
    nodes = np.cumsum([len(item) for item in kinks.values()])[:-1]
    slopes = [np.where(part != 0, np.sqrt(np.mean(part**2)), 0.0) for part in np.split(changes(drawn), nodes)]
    norms = np.abs(strength) * np.concatenate(slopes)
    return _Linear(asked[: x.size].reshape(x.shape), combined, lambda value: strength * changes(value), norms)


def _margins(kinks: Kinks, inputs: Sequence[Any]) -> Any:
    """`Kinks.margins`, differentiable."""
    first = _entries(inputs[0], kinks.of)
    return first - (kinks.level if kinks.against is None else _entries(inputs[kinks.operand], kinks.against))


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
