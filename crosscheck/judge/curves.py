"""The curve of `twenty` and `ascent`: accuracy on the held-out images and the probe image's class, step by step."""

from __future__ import annotations

import numpy as np

from crosscheck.judge.case import STEPWISE, Case
from crosscheck.judge.evidence import Curve

__all__ = ["curve"]


def curve(case: Case) -> Curve | None:
    """The curve of the first trial; None for other scenarios, or where not even the first step was measured."""
    images, labels = case.network.images, case.network.labels
    row = next(iter(case.of(case.primary)), None)
    if case.cell.scenario not in STEPWISE or row is None or images is None or labels is None:
        return None
    accuracy, top1 = [], []
    for step in range(21):
        classes, prediction = row.arrays.get(f"classes/{step}"), row.arrays.get(f"prediction/{step}")
        if classes is None or prediction is None:
            break
        accuracy.append(float(np.mean(classes == labels)))
        top1.append(int(np.argmax(prediction[0])))
    if not top1:
        return None
    probe = case.network.x[0]
    known = [int(label) for image, label in zip(images, labels, strict=True) if np.array_equal(image, probe)]
    # A probe image that is none of the held-out ones has the class that the oracle gives it.
    label = known[0] if known else int(np.argmax(case.truth.prediction()[0]))
    return Curve(tuple(accuracy), tuple(top1), label)
