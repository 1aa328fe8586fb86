"""The curve of `twenty` and `ascent`: accuracy on the held-out images and the probe image's class, step by step."""

from __future__ import annotations

import numpy as np

from crosscheck.cells import Array
from crosscheck.judge.case import STEPWISE, Case
from crosscheck.judge.evidence import Curve, Flip
from crosscheck.probe import recorded

__all__ = ["curve"]

#: Flipped images that a line of cells.jsonl holds.
SHOWN = 6


def curve(case: Case) -> Curve | None:
    """The curve of the first trial; None for other scenarios, or where not even the first step was measured."""
    images, labels = case.network.images, case.network.labels
    row = next(iter(case.of(case.primary)), None)
    if case.cell.scenario not in STEPWISE or row is None or images is None or labels is None:
        return None
    accuracy, top1 = [], []
    seen: list[Array] = []
    for step in range(21):
        classes, prediction = (
            row.arrays.get(recorded.CLASSES + str(step)),
            row.arrays.get(recorded.PREDICTION + str(step)),
        )
        if classes is None or prediction is None:
            break
        accuracy.append(float(np.mean(classes == labels)))
        top1.append(int(np.argmax(prediction[0])))
        seen.append(classes)
    if not top1:
        return None
    probe = case.network.x[0]
    known = [int(label) for image, label in zip(images, labels, strict=True) if np.array_equal(image, probe)]
    # A probe image that is none of the held-out ones has the class that the oracle gives it.
    label = known[0] if known else int(np.argmax(case.truth.prediction()[0]))
    return Curve(tuple(accuracy), tuple(top1), label, _flips(images, labels, seen[0], seen[-1]))


def _flips(images: Array, labels: Array, before: Array, after: Array) -> tuple[Flip, ...]:
    """The first image of each class that was right and no longer is, the first few of them."""
    flipped = np.flatnonzero((before == labels) & (after != labels))
    _, firsts = np.unique(labels[flipped], return_index=True)
    return tuple(
        Flip(int(at), int(before[at]), int(after[at]), images[at].tolist()) for at in sorted(flipped[firsts])[:SHOWN]
    )
