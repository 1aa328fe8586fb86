"""What was seen of one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crosscheck.cells import Array
from crosscheck.live.model import Batches, LiveModel
from crosscheck.live.snapshot import Snapshot, changed

__all__ = ["Observed", "Prediction"]

#: The arrays of a prediction, by their places in the output.
Prediction = Mapping[str, Array]


@dataclass
class Observed:
    """Snapshots before and after the call; two predictions before it, and one after it.

    x: a copy of the input, made before.
    batches: what batch normalizations saw during the call, as far as the framework shows it.
    problem: what reading or predicting raised afterwards; then what comes later is None.
    """

    model: LiveModel
    x: Any
    before: Snapshot
    first: Prediction
    again: Prediction
    batches: Batches
    after: Snapshot | None = None
    last: Prediction | None = None
    problem: Exception | None = None

    @property
    def unchanged(self) -> bool:
        """Whether everything is the same, bit by bit."""
        if self.after is None or self.last is None or self.before.differences(self.after):
            return False
        return self.first.keys() == self.last.keys() and not any(
            changed(value, self.last[name]) for name, value in self.first.items()
        )
