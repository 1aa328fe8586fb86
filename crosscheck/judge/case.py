"""The observations of one cell, indexed by reading and key, with each value paired with the one before the call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from crosscheck.cells import MEASURED, Array, Asks, Cell, Observation, Scenario
from crosscheck.judge.compare import relative_error, scale_of
from crosscheck.judge.form_errors import FormErrors
from crosscheck.judge.reference import Truth
from crosscheck.judge.thresholds import CLOSED_FORM, EXACT, NOISE_FACTOR, ROUNDING, Threshold, closed_form
from crosscheck.networks import Network
from crosscheck.probe import recorded
from crosscheck.repeatability import beyond_rounding, distance, moved, predicting_moves, size, waiting_disagree
from crosscheck.runtimes.mode import Mode
from crosscheck.scenarios.facts import UNASKED, UNEXPLAINED

__all__ = ["AGAIN", "PRIMARY", "STEPWISE", "Case", "Pair", "largest", "tensors"]

Tensors = Mapping[str, Array]
#: A trial, and its persistent tensors before and after a call.
Around = tuple[Observation, Tensors, Tensors]

#: The primary reading of each scenario; its status is the cell's.
PRIMARY = {scenario: "alone" if scenario is Scenario.ORDER else "undisturbed" for scenario in Scenario}
#: Scenarios with twenty calls on different inputs.
STEPWISE = (Scenario.TWENTY, Scenario.ASCENT)


#: The second of two predictions before the call; its difference from the first is noise, or a leak.
AGAIN = (recorded.PREDICTION_BEFORE_AGAIN, recorded.PREDICTION_START_AGAIN)
#: Two predictions between which nothing was asked.
REPEATED = (
    (recorded.PREDICTION_BEFORE, recorded.PREDICTION_BEFORE_AGAIN),
    (recorded.PREDICTION_START, recorded.PREDICTION_START_AGAIN),
    (recorded.PREDICTION + recorded.SIBLING_BEFORE, recorded.PREDICTION_BEFORE),
)
#: Scenarios whose readings take every persistent tensor after the call.
OBSERVED = (Scenario.GRADIENT, Scenario.PREDICT_ONLY, Scenario.TWENTY, Scenario.SIBLING)


@dataclass(frozen=True, eq=False)
class Pair:
    """One value before and after the call, in one observation. `threshold` is absolute."""

    reading: str
    key: str
    before: Array
    after: Array
    threshold: float
    change: float

    @property
    def moved(self) -> bool:
        """Whether the change is more than rounding."""
        return self.change > self.threshold


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
    def by_its_batches(self) -> bool:
        """Whether statistics move by the batches of the calls under test alone, so that an update law explains it."""
        return self.cell.scenario not in (*STEPWISE, Scenario.EXPORT, Scenario.INTERLEAVED)

    @property
    def has_form(self) -> bool:
        """Whether there is a closed form of what the mode answers."""
        return self.mode.answered.applies(self.network.operators)

    @property
    def answer(self) -> str:
        """The key of the answer of the call under test: `gradient/first`, `forward/first`."""
        return f"{'gradient' if self.asks is Asks.GRADIENT else 'forward'}/first"

    @cached_property
    def answers(self) -> list[tuple[Observation, Array, FormErrors]]:
        """The answers of the call under test without earlier calls, or predictions, that could affect them.

        None of a mode whose answers have no closed form.
        """
        if self.asks is Asks.EXPORT or self.predicting_changes or not self.has_form:
            return []
        errors: dict[tuple[tuple[int, ...], bytes], FormErrors] = {}  # most trials have the same answer
        answers = []
        for row in self.measured:
            value = row.arrays.get(self.call)
            if value is not None and row.reading not in ("after-other", "after-same"):
                same = value.shape, value.tobytes()
                if same not in errors:
                    errors[same] = FormErrors(self.asked, value, self.asks)
                answers.append((row, value, errors[same]))
        return answers

    @property
    def call(self) -> str:
        """The label of the first step that runs the mode under test."""
        if self.asks is Asks.EXPORT:
            return "export"
        return self.answer.replace("first", "1") if self.cell.scenario in STEPWISE else self.answer

    @property
    def asked(self) -> Truth:
        """The reference of the call under test, whose input or network are others in `twenty` and `ascent`."""
        return self.truth.asked_in(self.cell.scenario)

    @property
    def first(self) -> str:
        """The key of the network's first prediction."""
        return recorded.PREDICTION_START if self.cell.scenario in STEPWISE else recorded.PREDICTION_BEFORE

    @cached_property
    def statistics(self) -> frozenset[str]:
        """The names of all moving means and variances."""
        return frozenset(name for norm in self.network.batch_norms for name in (norm.mean, norm.variance))

    @property
    def weights(self) -> Tensors:
        """The network's tensors in the mode: scales are 1, and biases 0, if its layers ignore them."""
        return self.truth.network.weights

    def _taken(self, weights: Tensors) -> Tensors:
        return self.network.taken(weights, self.mode.unit_scale, self.mode.zero_bias)

    @cached_property
    def users_own(self) -> bool:
        """Whether statistics changed that are the user's own: arrays that were fed, or replaced by returned ones."""
        return (self.mode.fed or self.mode.adopts) and any(
            pair.moved for pair in self.all_changes if pair.key in self.statistics
        )

    @cached_property
    def initial(self) -> Tensors:
        """The network's tensors before the call: the runtime's as built if recorded, else the network's.

        Parameters are those after the predictions before the call, where a trial of these alone has read them.
        """
        built: Tensors = next((tensors(row, recorded.BUILT) for row in self.of("timed")), {})
        predicted: Tensors = next((tensors(row, recorded.PREDICTED) for row in self.of(UNASKED)), {})
        built = {**built, **{name: value for name, value in predicted.items() if name not in self.statistics}}
        return {name: built.get(name, value) for name, value in self.network.weights.items()}

    @cached_property
    def predictions(self) -> tuple[Pair, ...]:
        """Every prediction after the call paired with the one before it; the threshold covers rounding and noise."""
        return tuple(pair for row in self.measured for pair in self._predictions(row))

    @property
    def without_call(self) -> Observation | None:
        """Of a toolkit, what its user does without the calls under test; None where it was not measured."""
        return next(iter(self.of(UNEXPLAINED)), None)

    @property
    def earlier(self) -> str:
        """What later predictions are compared with, in words."""
        return f"{recorded.PREDICTION_LAST} of the training without the calls" if self._interleaved else self.first

    @property
    def _interleaved(self) -> bool:
        return self.cell.scenario is Scenario.INTERLEAVED

    def _predictions(self, row: Observation) -> Iterator[Pair]:
        if self._interleaved:
            end = self.without_call
            before = None if end is None or row is end else end.arrays.get(recorded.PREDICTION_LAST)
        else:
            before = row.arrays.get(self.first)
        if before is None:
            return
        threshold = self.rounding * size(before)
        for key in [key for key in AGAIN if key in row.arrays] + self.later(row):
            yield Pair(row.reading, key, before, row.arrays[key], threshold, distance(before, row.arrays[key]))

    @cached_property
    def rounding(self) -> float:
        """The largest change of a prediction that is rounding, relative to the prediction's largest entry.

        At least `ROUNDING`, and `NOISE_FACTOR` times the difference of two predictions of this cell between which
        nothing was asked. Where the runtime shows all moving statistics and none moved, everything below `CLOSED_FORM`.
        """
        still = self.cell.scenario in OBSERVED and not any(pair.moved for pair in self.all_changes)
        shown = {pair.key for pair in self.all_changes}
        if still and self.statistics <= shown:
            return CLOSED_FORM.value
        return min(CLOSED_FORM.value, max(ROUNDING.value, NOISE_FACTOR * self.noise))

    @cached_property
    def noise(self) -> float:
        """The largest difference of two predictions between which nothing was asked, relative to their largest entry.

        In one process, or the first ones of two. Differences above `CLOSED_FORM` are not rounding, and not counted.
        """
        firsts = [row.arrays[self.first] for row in self.measured if self.first in row.arrays]
        pairs = [(firsts[0], other) for other in firsts[1:]]
        for row in self.measured:
            for one, other in REPEATED:
                if one in row.arrays and other in row.arrays:
                    pairs.append((row.arrays[one], row.arrays[other]))
        apart = [distance(one, other) / size(one) for one, other in pairs if size(one)]
        return max((value for value in apart if value <= CLOSED_FORM.value), default=0.0)

    @cached_property
    def prediction_threshold(self) -> Threshold:
        """The threshold of the network's prediction against the closed form."""
        expected, training = (self.truth.prediction(training) for training in (False, True))
        return closed_form(self.truth.rounding(Asks.PREDICTION, False), scale_of(expected, training))

    def exceeded(self, error: float) -> Threshold | None:
        """The threshold of the network's prediction, if an error is above it; None if the error may be rounding.

        How much the network rounds is computed only for an error above `CLOSED_FORM`.
        """
        if error <= CLOSED_FORM.value:
            return None
        threshold = self.prediction_threshold
        return threshold if error > threshold.value else None

    @property
    def law_tolerance(self) -> float:
        """The largest misfit of an update law, in any layer."""
        return max(self.truth.law_tolerance(norm) for norm in self.network.batch_norms)

    def later(self, row: Observation) -> list[str]:
        """The keys of the predictions after the call, in their order."""
        if self.cell.scenario in STEPWISE:
            earlier = (self.first, recorded.PREDICTION_START_AGAIN)
            return [key for key in row.arrays if key.startswith(recorded.PREDICTION) and key not in earlier]
        if self._interleaved:
            return [key for key in (recorded.PREDICTION_LAST,) if key in row.arrays]
        keys = [recorded.PREDICTION_AFTER, recorded.PREDICTION_AFTER_AGAIN, recorded.PREDICTION_AFTER_SECOND]
        # The last prediction belongs to this mode only if no other mode ran before it.
        if row.reading == "immediate" or self.mode.inference in (None, self.mode.name):
            keys.append(recorded.PREDICTION_LAST)
        return [key for key in keys if key in row.arrays]

    @cached_property
    def changes(self) -> tuple[Pair, ...]:
        """Every persistent tensor after the call paired with its earlier value; `change` is zero if equal.

        Moving statistics have a threshold of a few roundings (`repeatability.REWRITE`), other tensors none.
        If predicting also moves tensors, only from the reading with snapshots directly before and after the call.
        """
        rows = self.of("timed") if self.predicting_moves else self.measured
        return tuple(pair for row in rows for pair in self._pairs(row, *self.around(row)))

    @cached_property
    def second_changes(self) -> tuple[Pair, ...]:
        """The same for the second call: every persistent tensor after it paired with its value after the first."""
        return tuple(pair for around in self._second_calls() for pair in self._pairs(*around))

    @cached_property
    def predicting_writes(self) -> tuple[Pair, ...]:
        """Every parameter after the first documented prediction paired with its value before it."""
        return tuple(
            pair
            for row in self.of("timed")
            for pair in self._pairs(row, tensors(row, recorded.BUILT), tensors(row, recorded.PREDICTED))
            if pair.key in self.network.weights and pair.key not in self.statistics
        )

    @property
    def calls(self) -> Iterator[Around]:
        """The persistent tensors around the first call in every trial, then around the second."""
        yield from ((row, *self.around(row)) for row in self.measured)
        yield from self._second_calls()

    def _second_calls(self) -> Iterator[Around]:
        for row in self.measured:
            if row.reading == "timed":
                yield row, tensors(row, recorded.AFTER), tensors(row, recorded.SECOND)
            elif not self.predicting_moves:
                yield row, tensors(row, recorded.AFTER), tensors(row, recorded.AFTER_SECOND)

    @cached_property
    def all_changes(self) -> tuple[Pair, ...]:
        """The changes by the first call and by the second."""
        return (*self.changes, *self.second_changes)

    def _pairs(self, row: Observation, before: Tensors, after: Tensors) -> Iterator[Pair]:
        for name in sorted(before.keys() & after.keys()):
            old, new = before[name], after[name]
            change, threshold = (
                beyond_rounding(old, new) if name in self.statistics else (distance(old, new), EXACT.value)
            )
            yield Pair(row.reading, name, old, new, threshold, change)

    def around(self, row: Observation) -> tuple[Tensors, Tensors]:
        """The persistent tensors before the call under test and after it.

        Hidden tensors, which the network does not name, need both snapshots in one process: initial values may differ
        between processes.
        """
        if row.reading == "timed":
            # Deferred updates of a lazy runtime appear after the next prediction; exclude the prediction's own changes.
            # A trial that broke in that prediction has none of them.
            after = {} if self.predicting_moves else tensors(row, "after")
            return tensors(row, "predicted"), after or tensors(row, "read")
        if self._interleaved:
            end = self.without_call
            return ({}, {}) if end is None else (tensors(end, recorded.LAST), tensors(row, recorded.LAST))
        after = tensors(row, "last" if self.cell.scenario in STEPWISE else "after")
        if row.reading == "after-same" or self.cell.scenario is Scenario.EXPORT:
            return tensors(row, "before"), after
        return self.initial, after

    @cached_property
    def predicting_moves(self) -> bool:
        """Whether the documented prediction moves persistent tensors by itself."""
        return any(predicting_moves(row) for row in self.of("timed"))

    @cached_property
    def predicting_changes(self) -> bool:
        """Whether predicting alone changes the next prediction: what the call then starts from is unknown."""
        return any(pair.moved for pair in self.predictions if pair.key in AGAIN)

    def weights_at(self, row: Observation, when: str) -> Tensors | None:
        """The network's weights at a snapshot; None if the statistics are unknown then.

        Unreadable statistics count as the initial ones as long as predictions stay unchanged. Statistics are not the
        ones in use, but stale, if the prediction of that moment is not the network's at them.
        """
        moment = id(row), when
        if moment not in self._weights_at:
            self._weights_at[moment] = self._find_weights(row, when)
        return self._weights_at[moment]

    @cached_property
    def _weights_at(self) -> dict[tuple[int, str], Tensors | None]:
        return {}

    def _find_weights(self, row: Observation, when: str) -> Tensors | None:
        read = tensors(row, when)
        if not self.statistics <= read.keys():
            if any(pair.moved for pair in self._predictions(row)):
                return None
            read = {}
        elif not self._consistent(row, when, read):
            return None
        return self._taken(
            {
                name: read[name] if name in read and read[name].shape == value.shape else value
                for name, value in self.network.weights.items()
            }
        )

    def _consistent(self, row: Observation, when: str, read: Tensors) -> bool:
        """Whether a moment's prediction is the network's at the statistics that were read then, if either changed."""
        before, now = row.arrays.get(self.first), row.arrays.get(recorded.PREDICTION + when)
        if before is None or now is None:
            return True
        still = not any(moved(self.initial[name], read[name]) for name in self.statistics)
        if still and distance(before, now) <= self.rounding * size(before):
            return True
        known = {name: value for name, value in read.items() if name in self.network.weights}
        if any(known[name].shape != self.network.weights[name].shape for name in known):
            return True
        expected = self.truth.prediction(False, self._taken({**self.weights, **known}))
        return self.exceeded(relative_error(now, expected)) is None


def largest(pairs: Iterable[Pair]) -> list[Pair]:
    """Of the pairs that moved, the largest change of each key."""
    worst: dict[str, Pair] = {}
    for pair in pairs:
        if pair.moved and (pair.key not in worst or pair.change > worst[pair.key].change):
            worst[pair.key] = pair
    return list(worst.values())


def tensors(row: Observation, when: str, kind: str = "state") -> Tensors:
    """The tensors of one snapshot, by name; empty if it was not taken."""
    return row.snapshots.get(f"{kind}/{when}", {})
