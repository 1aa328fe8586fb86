"""Attributions that are formulas of a network, in float64 by the oracle's own code.

Integrated gradients: Sundararajan, Taly and Yan 2017, arXiv:1703.01365, eq. 3, from a baseline of zeros, by the
toolkit's own rule of quadrature. SmoothGrad: Smilkov et al. 2017, arXiv:1706.03825, with the noise that numpy's global
generator draws after `np.random.seed(0)`. Grad-CAM: Selvaraju et al. 2016, arXiv:1610.02391, eq. 1 and 2, at the last
convolution. Guided backpropagation: Springenberg et al. 2014, arXiv:1412.6806, section 3.4. Deconvolution: Zeiler and
Fergus 2013, arXiv:1311.2901. Completeness: the entries of a row add up to the difference of the class's score at the
input and at the baseline, as integrated gradients and DeepLIFT (Shrikumar et al. 2017, arXiv:1704.02685) have it.

A formula is evaluated in the network's inference mode or in its training mode; in the latter, rows that a toolkit asks
about together share their batch statistics: all points of integrated gradients do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import autograd.numpy as traced_numpy  # type: ignore[import-untyped]
import numpy as np
from autograd import make_vjp
from autograd.extend import defvjp, primitive  # type: ignore[import-untyped]

from crosscheck.cells import Array
from crosscheck.networks.graph import Node
from crosscheck.oracle.rounding import Question, apart, in_type_of_input, nearby
from crosscheck.runtimes.answer import COMPLETENESS, Answer

__all__ = ["attribution", "compared", "rounding"]

Apply = Callable[[Node, Callable[..., Array], Sequence[Array]], Array]

#: The noise's standard deviation as a part of the spread of the input, by the rule of SmoothGrad: those of the
#: libraries saliency and tf-keras-vis.
SPREADS = {"row-by-row": 0.15, "all-rows": 0.2}


def attribution(question: Question, answer: Answer) -> Array:
    """The answer to a question whose cotangent is one-hot, float64; the shape is the toolkit's."""
    with np.errstate(all="ignore"):
        return _Asked(question, answer, *question.in_type(np.float64)).answer()


def rounding(question: Question, answer: Answer, exact: Array) -> float:
    """The largest difference of two evaluations in float32, one of them at inputs and weights a unit off; absolute.

    Kinks that float32 crosses are part of it.
    """
    narrow = question.in_type(np.float32)
    with np.errstate(all="ignore"):
        return max(apart(_Asked(question, answer, *given).answer(), exact) for given in (narrow, nearby(*narrow)))


def compared(answer: Answer, value: Array) -> Array:
    """What of a toolkit's answer is compared: of a complete attribution, the sums of its rows."""
    if answer.method != COMPLETENESS:
        return value
    sums: Array = np.asarray(value, np.float64).reshape(len(value), -1).sum(axis=1)
    return sums


@dataclass(frozen=True, eq=False)
class _Asked:
    """An attribution of x, all in the float type of x and the weights."""

    question: Question
    asked: Answer
    x: Array
    weights: Mapping[str, Array]

    def answer(self) -> Array:
        x = self.x[:1] if "of-first-row" in self.asked.asked else self.x
        value = self._value(x, self._classes(x))
        for word in self.asked.then:
            value = _resized(value, x.shape[2:]) if word == "resized" else THEN[word](value)
        return value

    def _value(self, x: Array, classes: Array) -> Array:
        match self.asked.method:
            case "input-x-gradient":
                return x * self._gradient(x, classes)
            case "guided-backprop":
                return self._gradient(x, classes, _rectified_by(_guided))
            case "deconvolution":
                return self._gradient(x, classes, _rectified_by(_deconvolved))
            case "integrated-gradients":
                return x * self._integrated(x, classes)
            case "smooth-grad":
                return self._smoothed(x, classes)
            case "grad-cam":
                return self._class_activation(x, classes)
            case method if method == COMPLETENESS:
                return self._difference(x, classes)
        return self._gradient(x, classes)

    def _classes(self, x: Array) -> Array:
        """The classes that are asked about, (rows, classes): ones, or their scores, elsewhere zeros."""
        chosen = self._chosen(x)
        return chosen * self._scores(x) if "from-score" in self.asked.asked else chosen

    def _chosen(self, x: Array) -> Array:
        given = np.asarray(self.question.cotangent, x.dtype)[: len(x)]
        if "of-first-class" in self.asked.asked:
            return np.broadcast_to(given[:1], given.shape)
        if "of-top-class" in self.asked.asked:
            chosen = self._scores(x).argmax(axis=1)
            return np.asarray(np.eye(given.shape[1], dtype=x.dtype)[chosen])
        return given

    def _scores(self, x: Array) -> Array:
        return self.question.values(x, self.weights, in_type_of_input)[self.question.output]

    def _gradient(self, x: Array, classes: Array, apply: Apply = in_type_of_input) -> Array:
        output = self.question.output
        pull_back, _ = make_vjp(lambda traced: self.question.values(traced, self.weights, apply)[output])(x)
        result: Array = pull_back(classes)
        return result

    def _integrated(self, x: Array, classes: Array) -> Array:
        """The mean gradient on the way from zeros to x."""
        places, shares = _quadrature(self.asked.rule, self.asked.points)
        points = [np.asarray(place * x, x.dtype) for place in places]
        if self.question.training:
            together = self._gradient(np.concatenate(points), np.concatenate([classes] * len(points)))
            gradients = np.split(together, len(points))
        else:
            gradients = [self._gradient(point, classes) for point in points]
        total = np.zeros_like(x)
        for share, part in zip(shares, gradients, strict=True):
            total += np.asarray(share * part, x.dtype)
        return total

    def _smoothed(self, x: Array, classes: Array) -> Array:
        """The mean over noisy copies of the gradients' squares (row by row), or of their sizes (all rows)."""
        random, count = np.random.RandomState(0), self.asked.points
        inner = tuple(range(1, x.ndim))
        spread = SPREADS[self.asked.rule] * (x.max(axis=inner, keepdims=True) - x.min(axis=inner, keepdims=True))
        if self.asked.rule == "row-by-row":
            noise = np.stack(
                [[random.normal(0, width.item(), x[0].shape) for _ in range(count)] for width in spread], 1
            )
        else:
            noise = random.normal(0.0, np.broadcast_to(spread, (count, *spread.shape)), (count, *x.shape))
        gradients = [self._gradient(np.asarray(x + part, x.dtype), classes) for part in noise]
        each = np.square if self.asked.rule == "row-by-row" else np.abs
        return np.asarray(np.mean([each(gradient) for gradient in gradients], axis=0), x.dtype)

    def _class_activation(self, x: Array, classes: Array) -> Array:
        """The channels of the last convolution, each by its mean gradient, added up: (rows, 1, *spatial)."""
        layer = [node["name"] for node in self.question.graph["nodes"] if node["op"] == "Conv"][-1]
        shown: list[Array] = []

        def seen(node: Node, operator: Callable[..., Array], inputs: Sequence[Array]) -> Array:
            value = in_type_of_input(node, operator, inputs)
            if node["name"] == layer:
                shown.append(value)
            return value

        self.question.values(x, self.weights, seen)

        def shifted(shift: Any) -> Array:
            def apply(node: Node, operator: Callable[..., Array], inputs: Sequence[Array]) -> Array:
                value = in_type_of_input(node, operator, inputs)
                return value + shift if node["name"] == layer else value

            return self.question.values(x, self.weights, apply)[self.question.output]

        pull_back, _ = make_vjp(shifted)(np.zeros_like(shown[0]))
        gradient: Array = pull_back(classes)
        share = gradient.mean(axis=tuple(range(2, gradient.ndim)), keepdims=True)
        result: Array = (share * shown[0]).sum(axis=1, keepdims=True)
        return result

    def _difference(self, x: Array, classes: Array) -> Array:
        """The score of each row's class, less that of the baseline: zeros in the same batch, or the rows' mean."""
        if "against-mean" in self.asked.asked:
            above = self._scores(x)
            below = above.mean(axis=0)
        else:
            above, below = np.split(self._scores(np.concatenate([x, np.zeros_like(x)])), 2)
        return np.asarray(((above - below) * classes).sum(axis=1))


def _quadrature(rule: str, points: int) -> tuple[Array, Array]:
    """Places in [0, 1] and their shares."""
    if rule == "gauss-legendre":
        places, shares = np.polynomial.legendre.leggauss(points)
        return (1 + places) / 2, shares / 2
    shares = np.ones(points)
    if rule == "trapezoid":
        shares[[0, -1]] = 0.5
    return np.linspace(0, 1, points), shares / shares.sum()


def _rectified_by(rectify: Callable[[Array], Array]) -> Apply:
    """The operators, with another slope of Relu."""

    def apply(node: Node, operator: Callable[..., Array], inputs: Sequence[Array]) -> Array:
        return rectify(inputs[0]) if node["op"] == "Relu" else in_type_of_input(node, operator, inputs)

    return apply


_guided = primitive(lambda x: np.maximum(x, 0))
defvjp(_guided, lambda _, x: lambda cotangent: traced_numpy.maximum(cotangent, 0) * (x > 0))
_deconvolved = primitive(lambda x: np.maximum(x, 0))
defvjp(_deconvolved, lambda _, x: lambda cotangent: traced_numpy.maximum(cotangent, 0))


def _scaled(value: Array) -> Array:
    """Each row from 0 to 1; zeros where all its entries are equal."""
    inner = tuple(range(1, value.ndim))
    least = value.min(axis=inner, keepdims=True)
    width = value.max(axis=inner, keepdims=True) - least
    return np.asarray((value - least) / np.where(width == 0, 1, width))


def _reversed(value: Array) -> Array:
    """From 1 to 0; a row whose entries are all equal stays as it is, as MONAI has it."""
    inner = tuple(range(1, value.ndim))
    flat = value.max(axis=inner, keepdims=True) == value.min(axis=inner, keepdims=True)
    return np.where(flat, value, 1 - value)


def _resized(value: Array, sizes: Sequence[int]) -> Array:
    """Linear between the centres of pixels, the border's value beyond them: (rows, channels, *sizes)."""
    for axis, size in enumerate(sizes, 2):
        had = value.shape[axis]
        centre = np.clip((np.arange(size) + 0.5) * had / size - 0.5, 0, had - 1)
        low = np.minimum(centre.astype(int), max(had - 2, 0))
        share = (centre - low).astype(value.dtype).reshape([-1 if at == axis else 1 for at in range(value.ndim)])
        below, above = value.take(low, axis), value.take(np.minimum(low + 1, had - 1), axis)
        value = below + (above - below) * share
    return value


def _of_pictures(then: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """What leaves rows of numbers as they are."""
    return lambda value: then(value) if value.ndim > 2 else value


#: What is done with a result (rows, channels, *spatial), by the word of `crosscheck.runtimes.answer.THEN`.
THEN: Mapping[str, Callable[[Array], Array]] = {
    "absolute": np.abs,
    "relu": lambda value: np.maximum(value, 0),
    "scaled": _scaled,
    "reversed": _reversed,
    "max-channel": lambda value: value.max(axis=1, keepdims=True),
    "max-last": lambda value: value.max(axis=-1, keepdims=True),
    "no-channel": lambda value: value[:, 0],
    "no-last": lambda value: value[..., 0],
    "no-row": lambda value: value[0],
    "picture-sum-channel": _of_pictures(lambda value: value.sum(axis=1, keepdims=True)),
    "picture-max-last": _of_pictures(lambda value: value.max(axis=-1, keepdims=True)),
    "picture-mean-last": _of_pictures(lambda value: value.mean(axis=-1, keepdims=True)),
}
