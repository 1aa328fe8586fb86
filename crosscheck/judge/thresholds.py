"""Every threshold of the judge, with its reason. All numbers that decide findings are here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crosscheck.oracle.laws import TOLERANCE
from crosscheck.repeatability import RELATIVE

__all__ = [
    "AGREEMENT",
    "CLOSED_FORM",
    "DECIDABLE",
    "EXACT",
    "LAW",
    "NEVER",
    "NOISE_FACTOR",
    "REPEATABLE",
    "REWRITTEN",
    "ROUNDING",
    "ROUNDINGS",
    "SCALE_FLOOR",
    "Threshold",
    "closed_form",
]


@dataclass(frozen=True)
class Threshold:
    """A threshold and its reason."""

    value: float
    why: str


#: Relative to the largest entry of the earlier prediction.
ROUNDING = Threshold(
    32 * float(np.finfo(np.float32).eps),
    "same input, same process: 32 float32 roundings (4e-6 of the largest entry) allow for kernels that sum in another "
    "order; or four times the difference of two predictions with no call in between, if larger; or 1e-4 if all moving "
    "statistics were read and none moved",
)

#: Factor on the largest difference of two predictions between which nothing was asked. Two random predictions differ by
#: up to twice what the few observed ones typically do.
NOISE_FACTOR = 4.0

#: Relative to the largest entry of the closed form.
CLOSED_FORM = Threshold(
    1e-4,
    "float32 evaluations of the shipped networks differ from the float64 oracle by at most 5e-7 of the largest entry; "
    "another epsilon changes a batch normalization by 5e-4, the other mode a gradient by 0.5 or more",
)

#: Factor on the rounding that the oracle's own code has in float32 for a network and an input
#: (`crosscheck.oracle.rounding`). Runtimes sum in other orders, fold batch normalizations into convolutions, and take
#: faster convolutions: they are up to three times as far from float64 as that on the networks measured.
ROUNDINGS = 8.0

#: Relative to the scale of the closed form: where float32 may be farther from it than this, an answer decides nothing.
DECIDABLE = Threshold(
    0.05,
    "with such rounding float32 has hardly two right digits, and a match proves nothing; all gradients that are zero "
    "but for rounding are of this kind, as rounding is then as large as they are",
)


def closed_form(rounding: float, scale: float) -> Threshold:
    """The threshold of a closed form of this scale, for which float32 has this rounding; both are absolute."""
    if not scale or ROUNDINGS * rounding / scale <= CLOSED_FORM.value:
        return CLOSED_FORM
    relative = rounding / scale
    return Threshold(
        ROUNDINGS * relative,
        f"at this input the network's own rounding is {relative:.2g} of the largest entry, as its evaluation in a "
        f"runtime's float type shows; {ROUNDINGS:.0f} times that is allowed, as runtimes sum in other orders",
    )


#: Minimum scale of a closed form, as a fraction of the other mode's; a form near zero is no scale.
#: The training-mode gradient of a one-row batch is exactly zero, made of terms that are 1/sqrt(epsilon) = 32 times as
#: large as the inference-mode gradient and cancel to 2e-6 in float32; a tenth of the other gradient keeps
#: that well below CLOSED_FORM, and still leaves the two gradients an error of 10 apart.
SCALE_FLOOR = 0.1

#: Relative to the largest entry of the two arrays.
REPEATABLE = Threshold(
    RELATIVE,
    "one program on one machine repeats itself up to rounding; trials with larger differences are repeated",
)

#: The value of REPEATABLE, for readings with and without waiting.
AGREEMENT = Threshold(
    REPEATABLE.value,
    "both readings execute the same operations in the same order; waiting must not change more than rounding does",
)

LAW = Threshold(
    TOLERANCE,
    "relative to the size of the averaged values: above the rounding of float32 sums, below the smallest difference "
    "between update laws",
)

#: Why a moving statistic may change by its rounding, which `repeatability.beyond_rounding` computes for each entry.
REWRITTEN = (
    "relative to each entry: a statistic that is computed anew from itself, such as 0.9 m + 0.1 m, ends within four "
    "roundings of where it was; the smallest update seen is 1,000 times as large. Absolute near zero: four times the "
    "smallest normal number (float32: 5e-38), below which processors may take numbers for zero"
)

EXACT = Threshold(0.0, "an unwritten tensor keeps its bits (NaN counts as equal to NaN)")

NEVER = Threshold(0.0, "it must never happen")
