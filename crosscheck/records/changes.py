"""What a call changed: moving statistics by a law, tensors, held-out accuracy; and the errors of gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from crosscheck.records.keywords import Class, Keywords, Size, Tensor, says

__all__ = [
    "Average",
    "ClosedForms",
    "Convention",
    "Correction",
    "Curve",
    "Errors",
    "Flip",
    "Later",
    "TensorPair",
    "Update",
    "Variance",
    "When",
]

When = Literal["forward", "backward", "both", "read", "second", "adopted", "none"]
Correction = Literal["biased", "unbiased", "unbiased-epsilon", "keras-2", "keras-2-fused", "keras-2-theano"]
Variance = Literal[Correction, "mixed", "unknown"]
Average = Literal[
    "exponential",
    "cumulative",
    "debiased",
    "first-replaces",
    "debiased-mean",
    "overcorrected",
    "renormalized",
    "renormalized-twice",
    "replaced",
]
Convention = Literal["keep", "take", "other"]


@dataclass(frozen=True)
class Update:
    """The law and the time of a change of moving statistics.

    when: the first step after the change; "second" if only the second call moves them; "adopted" if the user's own
        lines replace the statistics by returned ones.
        `taken_apart` is false if the runtime runs forward and backward in one call, without a snapshot between: then
        `when` is "forward", since a law needs only the forward's numbers, or "both" for two updates.
    count: number of updates; None if no law fits, or several do that say different things. momentum: the fraction kept
        by one, the first layer's where they differ. convention: meaning of the declared momentum. variance: correction
        of the batch's (`crosscheck.oracle.corrections`). residual: the largest misfit of any layer. average: kind of
        average (`crosscheck.oracle.laws.AVERAGES`, "exponential" or "replaced"); None like `count`.
    """

    when: When
    taken_apart: Annotated[bool, says("whether something could be read between forward and backward")]
    count: Size | None
    momentum: Annotated[float | None, says("the part of the old value that one update keeps")]
    variance: Annotated[Variance, says("of the batch; mixed: not the same in every layer")]
    residual: float | None = None
    convention: Convention | None = None
    average: Average | None = None


Probability = Annotated[float, Keywords(minimum=0, maximum=1)]


@dataclass(frozen=True)
class Flip:
    """A held-out image classified correctly before the first call and wrongly after the last.

    index: of the held-out image. image: its values, (channels, height, width) or (height, width). before_probability,
    after_probability: softmax of the class's score, None where it was not recorded.
    """

    index: Size
    before: Class
    after: Class
    image: Tensor
    before_probability: Probability | None = None
    after_probability: Probability | None = None


@dataclass(frozen=True)
class Curve:
    """Held-out accuracy and predicted class of the probe image at steps 0 (before) to 20, and its true class.

    Shorter if a step raised or the process died. `flips` are the first few images whose class flipped.
    """

    accuracy: Annotated[
        tuple[Annotated[float, Keywords(minimum=0, maximum=1)], ...], Keywords(min_items=1, max_items=21)
    ]
    top1: Annotated[tuple[Class, ...], Keywords(min_items=1, max_items=21)]
    label: Class
    flips: tuple[Flip, ...] = ()


@dataclass(frozen=True)
class TensorPair:
    """A small persistent tensor before and after the call under test, flat; `after` is None if no bit changed."""

    before: Tensor
    after: Tensor | None


@dataclass(frozen=True)
class Errors:
    """Errors of a gradient against the closed form of each mode, relative to the largest entry of either."""

    inference: float | None
    training: float | None


@dataclass(frozen=True)
class Later:
    """Errors of gradients computed after the call under test, at the statistics at which they are least."""

    gradient_again: Errors | None
    inference_gradient: Errors | None


@dataclass(frozen=True)
class ClosedForms:
    """The gradient of either mode at the network's own statistics."""

    inference: Tensor
    training: Tensor
