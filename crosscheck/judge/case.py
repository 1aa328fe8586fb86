"""The observations of one cell, indexed by reading and key, with each value paired with the one before the call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from crosscheck.cells import Array, Asks, Cell, Observation, Scenario, Status
from crosscheck.judge.reference import Truth
from crosscheck.judge.thresholds import CLOSED_FORM, NOISE_FACTOR, ROUNDING
from crosscheck.networks import Network
from crosscheck.probe import recorded
from crosscheck.repeatability import distance, predicting_moves, size, waiting_disagree
from crosscheck.runtimes.mode import Mode

__all__ = ["AGAIN", "CLOSED", "MEASURED", "PRIMARY", "STEPWISE", "Case", "Pair", "tensors"]

Tensors = Mapping[str, Array]

#: Statuses of judged observations; the others are failures to measure.
MEASURED = (Status.OK, Status.CRASHED)
#: The primary reading of each scenario; its status is the cell's.
PRIMARY = {scenario: "alone" if scenario is Scenario.ORDER else "undisturbed" for scenario in Scenario}
#: Scenarios with twenty calls on different inputs.
STEPWISE = (Scenario.TWENTY, Scenario.ASCENT)
#: Scenarios whose first call uses the probe input, with a known closed form.
CLOSED = (Scenario.GRADIENT, Scenario.PREDICT_ONLY, Scenario.ORDER, Scenario.SIBLING)


#: The second of two predictions before the call; its difference from the first is noise, or a leak.
AGAIN = recorded.PREDICTION_BEFORE_AGAIN


@dataclass(frozen=True, eq=False)
class Pair:
    """One value before and after the call, in one observation. `threshold` is absolute."""

    reading: str
    key: str
    before: Array
    after: Array
    threshold: float
    change: float


@dataclass(frozen=True, eq=False)
class Case:
    """One cell and all of its observations.

    inference: observations of the cell of the mode's `inference` mode (same scenario and network), if any: they show
        whether that mode is right when nothing else ran before it.
    """

    cell: Cell
    mode: Mode
    network: Network
    truth: Truth
    observations: Sequence[Observation]
    inference: Sequence[Observation] = field(default=())

    @property
    def primary(self) -> str:
        """The primary reading of the scenario."""
        return PRIMARY[self.cell.scenario]

    @cached_property
    def measured(self) -> tuple[Observation, ...]:
        """The judgeable observations."""
        return tuple(row for row in self.observations if row.status in MEASURED)

    def of(self, reading: str) -> tuple[Observation, ...]:
        """The judgeable observations of a reading."""
        return tuple(row for row in self.measured if row.reading == reading)

    @cached_property
    def nondeterministic(self) -> bool:
        """Whether waiting trials disagree: one trial's answer then does not identify the cause."""
        return waiting_disagree(self.measured)

    @property
    def asks(self) -> Asks:
        """What the mode asks for."""
        return Asks(self.mode.asks)

    @property
    def answer(self) -> str:
        """The key of the answer of the call under test: `gradient/first`, `forward/first`."""
        return f"{'gradient' if self.asks is Asks.GRADIENT else 'forward'}/first"

    @property
    def call(self) -> str:
        """The label of the first step that runs the mode under test."""
        if self.asks is Asks.EXPORT:
            return "export"
        return self.answer.replace("first", "1") if self.cell.scenario in STEPWISE else self.answer

    @property
    def first(self) -> str:
        """The key of the network's first prediction."""
        return recorded.PREDICTION_START if self.cell.scenario in STEPWISE else recorded.PREDICTION_BEFORE

    @cached_property
    def statistics(self) -> frozenset[str]:
        """The names of all moving means and variances."""
        return frozenset(name for norm in self.network.batch_norms for name in (norm.mean, norm.variance))

    @cached_property
    def weights(self) -> Tensors:
        """The network's tensors in the mode: scales are 1, and biases 0, if its layers ignore them."""
        return self._taken(self.network.weights)

    def _taken(self, weights: Tensors) -> Tensors:
        return self.network.taken(weights, self.mode.unit_scale, self.mode.zero_bias)

    @cached_property
    def initial(self) -> Tensors:
        """The network's tensors before the first step: the runtime's if recorded, else the network's."""
        built: Tensors = next((tensors(row, "built") for row in self.of("timed")), {})
        return {name: built.get(name, value) for name, value in self.network.weights.items()}

    @cached_property
    def predictions(self) -> tuple[Pair, ...]:
        """Every prediction after the call paired with the one before it; the threshold covers rounding and noise."""
        return tuple(pair for row in self.measured for pair in self._predictions(row))

    def _predictions(self, row: Observation) -> Iterator[Pair]:
        before = row.arrays.get(self.first)
        if before is None:
            return
        scale = size(before)
        threshold = ROUNDING.value * scale
        again = row.arrays.get(AGAIN)
        if again is not None:
            noise = distance(before, again)
            # Noise is bounded by rounding; a larger difference means that predicting changes predictions.
            if noise <= CLOSED_FORM.value * scale:
                threshold = max(threshold, NOISE_FACTOR * noise)
            else:
                yield Pair(row.reading, AGAIN, before, again, threshold, noise)
        for key in self._later(row):
            yield Pair(row.reading, key, before, row.arrays[key], threshold, distance(before, row.arrays[key]))

    def _later(self, row: Observation) -> list[str]:
        if self.cell.scenario in STEPWISE:
            return [key for key in row.arrays if key.startswith(recorded.PREDICTION) and key != self.first]
        keys = [recorded.PREDICTION_AFTER, recorded.PREDICTION_AFTER_AGAIN]
        # The last prediction belongs to this mode only if no other mode ran before it.
        if row.reading == "immediate" or self.mode.inference in (None, self.mode.name):
            keys.append(recorded.PREDICTION_LAST)
        return [key for key in keys if key in row.arrays]

    @cached_property
    def changes(self) -> tuple[Pair, ...]:
        """Every persistent tensor after the call paired with its earlier value; `change` is zero if equal.

        If predicting also moves tensors, only from readings with snapshots directly before and after the call.
        """
        close = (
            [row for row in self.measured if row.reading in ("timed", "after-same")] if self.predicting_moves else []
        )
        return tuple(
            Pair(row.reading, name, before[name], after[name], 0.0, distance(before[name], after[name]))
            for row in close or self.measured
            for before, after in [self.around(row)]
            for name in sorted(before.keys() & after.keys())
        )

    def around(self, row: Observation) -> tuple[Tensors, Tensors]:
        """The persistent tensors before the call under test and after it.

        Hidden tensors, which the network does not name, need both snapshots in one process: initial values may differ
        between processes.
        """
        if row.reading == "timed":
            # Deferred updates of a lazy runtime appear after the next prediction; exclude the prediction's own changes.
            whens = ("read", "asked") if self.predicting_moves else ("after", "read", "asked")
            return tensors(row, "predicted"), next(filter(None, (tensors(row, when) for when in whens)), {})
        after = tensors(row, "last" if self.cell.scenario in STEPWISE else "after")
        if row.reading == "after-same" or self.cell.scenario is Scenario.EXPORT:
            return tensors(row, "before"), after
        return self.initial, after

    @cached_property
    def predicting_moves(self) -> bool:
        """Whether the documented prediction moves persistent tensors by itself."""
        return any(predicting_moves(row) for row in self.of("timed"))

    def weights_at(self, row: Observation, when: str) -> Tensors | None:
        """The network's weights at a snapshot; None if the statistics are unknown then.

        Unreadable statistics count as the initial ones as long as predictions stay unchanged.
        """
        read = tensors(row, when)
        if not self.statistics <= read.keys():
            if any(pair.change > pair.threshold for pair in self._predictions(row)):
                return None
            read = {}
        return self._taken(
            {
                name: read[name] if name in read and read[name].shape == value.shape else value
                for name, value in self.network.weights.items()
            }
        )


def tensors(row: Observation, when: str, kind: str = "state") -> Tensors:
    """The tensors of one snapshot, by name; empty if it was not taken."""
    prefix = f"{kind}/{when}/"
    return {key.removeprefix(prefix): value for key, value in row.arrays.items() if key.startswith(prefix)}
