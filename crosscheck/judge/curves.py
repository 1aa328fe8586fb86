"""The curve of `twenty` and `ascent`: accuracy on the held-out images and the probe image's class, step by step."""

from __future__ import annotations

import itertools
import math

import numpy as np

from crosscheck.cells import Array
from crosscheck.judge.case import Case
from crosscheck.probe import recorded
from crosscheck.records import Curve, Flip

__all__ = ["curve"]

#: Maximum flipped images in a line of cells.jsonl.
SHOWN = 6


def curve(case: Case) -> Curve | None:
    """The curve of the first trial; None for other scenarios or without a measured step."""
    images, labels, row = case.network.images, case.network.labels, case.of(case.primary)[0]
    top1: list[int] = []
    probes: list[Array] = []
    for step in itertools.count():
        classes, prediction = (
            row.arrays.get(recorded.CLASSES + str(step)),
            row.arrays.get(recorded.PREDICTION + str(step)),
        )
        if classes is None or prediction is None:
            break
        top1.append(int(np.argmax(prediction[0])))
        probes.append(classes)
    if not top1 or images is None or labels is None:
        return None
    probe = case.network.x[0]
    matching_labels = [int(label) for image, label in zip(images, labels, strict=True) if np.array_equal(image, probe)]
    # The oracle classifies a probe image outside the held-out ones.
    label = matching_labels[0] if matching_labels else int(np.argmax(case.truth.prediction()[0]))
    accuracy = tuple(float(np.mean(classes == labels)) for classes in probes)
    confidences = [row.arrays.get(recorded.CONFIDENCE + str(step)) for step in (0, len(top1) - 1)]
    return Curve(accuracy, tuple(top1), label, _flips(images, labels, probes[0], probes[-1], *confidences))


def _flips(
    images: Array, labels: Array, before: Array, after: Array, sure: Array | None, sure_after: Array | None
) -> tuple[Flip, ...]:
    """The first few images whose class became wrong, at most one per class; `sure`: the probability of each class."""
    flipped = np.flatnonzero((before == labels) & (after != labels))
    _, firsts = np.unique(labels[flipped], return_index=True)
    return tuple(
        Flip(
            index=int(at),
            before=int(before[at]),
            after=int(after[at]),
            image=images[at].tolist(),
            before_probability=_probability(sure, at),
            after_probability=_probability(sure_after, at),
        )
        for at in sorted(flipped[firsts])[:SHOWN]
    )


def _probability(probabilities: Array | None, at: int) -> float | None:
    """One of them; None where none, or a number that is none, was recorded."""
    value = math.nan if probabilities is None else float(probabilities[at])
    return value if 0 <= value <= 1 else None
