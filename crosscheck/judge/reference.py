"""Reference answers for one network, float64, computed on first use: closed forms and batch statistics."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from functools import cached_property, partial

import numpy as np

from crosscheck import oracle
from crosscheck.cells import Array, Asks, Scenario
from crosscheck.judge.thresholds import ROUNDINGS
from crosscheck.networks import BatchNorm, Network, readout
from crosscheck.networks.prepare import noise
from crosscheck.oracle import Law, Statistics, attributions
from crosscheck.oracle.evaluation import BatchStatistics, values
from crosscheck.oracle.laws import TOLERANCE
from crosscheck.oracle.operators import by_batch, renormalize
from crosscheck.oracle.renormalized import RENORM_MOMENTUM, renormalized
from crosscheck.oracle.rounding import Question, Rounding, in_type_of_input, measure
from crosscheck.oracle.sides import Explained, Sides
from crosscheck.repeatability import beyond_rounding, distance, size
from crosscheck.runtimes.answer import LOSS, Answer
from crosscheck.runtimes.mode import Mode

__all__ = ["Truth", "UpdateEffect"]

#: sum(output * cotangent).
PLAIN = Answer("")


@dataclasses.dataclass(frozen=True)
class UpdateEffect:
    """The moving statistics that an update changes, and the change of the prediction, relative to its largest entry."""

    statistics: frozenset[str]
    prediction: float


class Truth:
    """Reference predictions, gradients and batch statistics of a network, for its probe input and cotangent."""

    def __init__(
        self,
        network: Network,
        batch_prediction: bool = False,
        renormalizes: bool = False,
        answered: Answer = PLAIN,
    ) -> None:
        self.network = network
        self._batch_prediction, self._renormalizes, self._answered = batch_prediction, renormalizes, answered
        self._answers: dict[tuple[Asks, bool, bytes], Array] = {}
        self._layers: dict[bool, Mapping[str, Array]] = {}
        self._laws: dict[tuple[str, int | None, float, bytes], tuple[Law, ...]] = {}
        self._roundings: dict[tuple[bool, bytes], Rounding] = {}
        self._sides: dict[tuple[bool, bytes], Sides] = {}
        self._explained: dict[tuple[bool, bytes, bytes, float], Explained] = {}
        self._in_modes: dict[tuple[bool | str, ...], Truth] = {}
        self._asked_in: dict[Scenario, Truth] = {}

    @classmethod
    def of(cls, network: Network) -> Truth:
        """The reference of `network`, computed lazily."""
        return cls(network)

    def in_mode(self, mode: Mode) -> Truth:
        """The reference of the network whose layers are told what the mode tells them, and of what the mode answers.

        `self` where both are the usual.
        """
        told = mode.unit_scale, mode.zero_bias, mode.batch_prediction, mode.renormalized, mode.answers
        if not any(told):
            return self
        if told not in self._in_modes:
            taken = self.network.taken(self.network.weights, mode.unit_scale, mode.zero_bias)
            cotangent = self.network.cotangent_of(mode.answers)
            network = dataclasses.replace(self.network, weights=taken, cotangent=cotangent)
            self._in_modes[told] = Truth(network, mode.batch_prediction, mode.renormalized, mode.answered)
        return self._in_modes[told]

    def asked_in(self, scenario: Scenario) -> Truth:
        """The reference of a scenario's first call: of `twenty`, with its noise on the input; of `ascent`, read out."""
        if scenario not in (Scenario.TWENTY, Scenario.ASCENT):
            return self
        if scenario not in self._asked_in:
            network = self.network
            if scenario is Scenario.TWENTY:
                network = dataclasses.replace(network, x=noise(network)[0])
            elif network.target is not None:
                network = readout(network, network.target)
            self._asked_in[scenario] = Truth(network, self._batch_prediction, self._renormalizes, self._answered)
        return self._asked_in[scenario]

    def prediction(self, training: bool = False, weights: Mapping[str, Array] | None = None) -> Array:
        """The output for the probe input, float64 (rows, ...); by default at the network's own weights."""
        return self.answer(Asks.PREDICTION, training, weights)

    def gradient(self, training: bool = False, weights: Mapping[str, Array] | None = None) -> Array:
        """The input gradient, d sum(output * cotangent) / d x, float64, shaped like x; at `weights` if not None.

        Of a mode that answers "loss", d sum of the rows' cross-entropy / d x, whose classes are in the cotangent; of
        one that answers an attribution, that.
        """
        return self.answer(Asks.GRADIENT, training, weights)

    @cached_property
    def renormalization_averages(self) -> Mapping[str, Array] | None:
        """The weights, in place of the statistics what corrects the second batch; None if nothing is renormalized.

        For layers that correct by averages of their own, as TensorFlow's do, and not by the moving statistics.
        """
        if not self._renormalizes:
            return None
        averages = dict(self.network.weights)
        for norm in self.network.batch_norms:
            batch = self.inference_batch_statistics[norm.node]
            before = Statistics(averages[norm.mean], averages[norm.variance])
            after = renormalized(before, batch.mean, batch.variance, RENORM_MOMENTUM, norm.epsilon)
            averages[norm.mean], averages[norm.variance] = after.mean, after.variance
        return averages

    @cached_property
    def renormalized_gradient(self) -> Array:
        """The input gradient in training mode with batch renormalization."""
        return self._renormalized(None)

    def _renormalized(self, weights: Mapping[str, Array] | None) -> Array:
        network = self.network
        at = network.weights if weights is None else weights
        return oracle.renormalized_gradient(network.graph, at, network.x, self._cotangent(True, weights))

    def _cotangent(self, training: bool, weights: Mapping[str, Array] | None) -> Array:
        """What the output is multiplied with before the sum is differentiated, float64 (rows, ...).

        Of the cross-entropy of logits, its derivative: softmax of the output minus the one-hot class.
        """
        if self._answered.method != LOSS:
            return self.network.cotangent
        output = self.answer(Asks.PREDICTION, training, weights)
        shares = np.exp(output - output.max(axis=1, keepdims=True))
        result: Array = shares / shares.sum(axis=1, keepdims=True) - self.network.cotangent
        return result

    def answer(self, asks: Asks, training: bool, weights: Mapping[str, Array] | None = None) -> Array:
        """The closed form of a mode's answer. Non-finite weights give a non-finite answer.

        Corrected by the moving statistics, a renormalized batch gives the prediction of inference mode.
        """
        at = self.network.weights if weights is None else weights
        by_batch = self._by_batch(asks, training)
        key = (asks, training, self._key(weights, by_batch))
        if key not in self._answers:
            graph, x = self.network.graph, self.network.x
            with np.errstate(all="ignore"):
                if asks is Asks.PREDICTION:
                    value = oracle.predict(graph, at, x, by_batch)
                elif self._answered.formula:
                    value = attributions.attribution(self._question(training, weights), self._answered)
                else:
                    value = self._gradient(training, weights)
            self._answers[key] = value
        return self._answers[key]

    def _gradient(self, training: bool, weights: Mapping[str, Array] | None) -> Array:
        if training and self._renormalizes:
            return self._renormalized(weights)
        network = self.network
        at = network.weights if weights is None else weights
        return oracle.gradient(network.graph, at, network.x, self._cotangent(training, weights), training)

    def compared(self, value: Array) -> Array:
        """What of a runtime's answer stands against the closed form."""
        return attributions.compared(self._answered, value)

    def rounding(self, asks: Asks, training: bool, weights: Mapping[str, Array] | None = None) -> float:
        """The largest difference of float32's answer from the closed form, absolute; see `oracle.rounding`."""
        if asks is Asks.GRADIENT:
            return self._rounding(training, weights).gradient
        return self._rounding(self._by_batch(asks, training), weights).prediction

    def _by_batch(self, asks: Asks, training: bool) -> bool:
        """Whether an answer is by the batch's own statistics alone."""
        return (training or (asks is Asks.PREDICTION and self._batch_prediction)) and not self._renormalizes

    def explained(
        self, value: Array, training: bool, tolerance: float, weights: Mapping[str, Array] | None = None
    ) -> Explained:
        """Whether a gradient is the closed form with other sides of kinks within rounding; see `oracle.sides`."""
        at = self._key(weights, self._by_batch(Asks.GRADIENT, training))
        key = (training, at, hashlib.sha256(value.tobytes()).digest(), tolerance)
        if key not in self._explained:
            here = training, at
            if here not in self._sides:
                self._sides[here] = Sides(self._question(training, weights), self._rounding(training, weights))
            self._explained[key] = self._sides[here].explain(np.asarray(value, np.float64), tolerance)
        return self._explained[key]

    def _rounding(self, training: bool, weights: Mapping[str, Array] | None) -> Rounding:
        key = (training, self._key(weights, self._by_batch(Asks.GRADIENT, training)))
        if key not in self._roundings:
            question, formula = self._question(training, weights), self._answered.formula
            prediction, answer = (self.answer(asks, training, weights) for asks in (Asks.PREDICTION, Asks.GRADIENT))
            measured = measure(question, prediction, self._gradient(training, weights) if formula else answer)
            if formula:  # the kinks that float32 crosses are part of an attribution's rounding
                rounding = attributions.rounding(question, self._answered, answer)
                measured = Rounding(measured.prediction, rounding)
            self._roundings[key] = measured
        return self._roundings[key]

    def _question(self, training: bool, weights: Mapping[str, Array] | None) -> Question:
        network = self.network
        at = network.weights if weights is None else weights
        batch_norm = renormalize if self._renormalizes else by_batch
        return Question(network.graph, at, network.x, self._cotangent(training, weights), training, batch_norm)

    def _key(self, weights: Mapping[str, Array] | None, by_batch: bool) -> bytes:
        """A digest of weights that an answer depends on; empty for the network's own."""
        own = self.network.weights
        names = own.keys() - (self._statistics if by_batch else frozenset())
        if weights is None or all(_equal(weights[name], own[name]) for name in names):
            return b""
        return _fingerprint({name: weights[name] for name in names})

    @cached_property
    def _statistics(self) -> frozenset[str]:
        return frozenset(name for norm in self.network.batch_norms for name in (norm.mean, norm.variance))

    def layers(self, training: bool) -> Mapping[str, Array]:
        """The output of every node for the probe input, float64, in order of execution."""
        if training not in self._layers:
            with np.errstate(all="ignore"):
                self._layers[training] = oracle.layers(
                    self.network.graph, self.network.weights, self.network.x, training
                )
        return self._layers[training]

    def laws(
        self,
        norm: BatchNorm,
        before: Statistics,
        after: Statistics,
        batch: BatchStatistics,
        counted: int | None = None,
        momentum: float | None = None,
    ) -> tuple[Law, ...]:
        """The laws that explain a change of one layer's statistics equally well, given its batch; empty if none does.

        counted: the layer's count of earlier updates, if it has one. momentum: tried as the declared one, if not the
        layer's own.

        Cached: many modes and releases have the same change.
        """
        numbers = (before.mean, before.variance, after.mean, after.variance, batch.mean, batch.variance)
        declared = norm.momentum if momentum is None else momentum
        key = (norm.node, counted, declared, b"".join(values.tobytes() for values in numbers))
        if key not in self._laws:
            asked = partial(oracle.explanations, before, after, batch, declared, counted=counted, epsilon=norm.epsilon)
            laws = asked()
            if not laws and (tolerance := self.law_tolerance(norm)) > TOLERANCE:
                laws = asked(tolerance=tolerance)
            self._laws[key] = laws
        return self._laws[key]

    def law_tolerance(self, norm: BatchNorm) -> float:
        """The largest misfit of a law: `TOLERANCE`, or more where float32 rounds a layer's batch statistics more."""
        return max(TOLERANCE, ROUNDINGS * self._statistics_rounding[norm.node])

    @cached_property
    def _statistics_rounding(self) -> Mapping[str, float]:
        """The difference of batch statistics in float32, relative to the size of the averaged values, by node name."""
        graph, exact = self.network.graph, self.batch_statistics
        weights = {name: np.asarray(value, np.float32) for name, value in self.network.weights.items()}
        x = np.asarray(self.network.x, np.float32)
        with np.errstate(all="ignore"):
            rounded = values(graph, weights, x, training=True, apply=in_type_of_input)[1]
        return {node: _apart(rounded[node], exact[node]) for node in exact}

    @cached_property
    def batch_statistics(self) -> Mapping[str, BatchStatistics]:
        """Batch statistics of the training-mode forward of the probe input, by node name."""
        return oracle.batch_statistics(self.network.graph, self.network.weights, self.network.x)

    @cached_property
    def update(self) -> UpdateEffect:
        """What one update by the probe input changes, as the network declares it."""
        after, moved = dict(self.network.weights), set()
        for norm in self.network.batch_norms:
            batch = self.batch_statistics[norm.node]
            for name, new in ((norm.mean, batch.mean), (norm.variance, batch.variance)):
                old = self.network.weights[name]
                after[name] = np.asarray(norm.momentum * old + (1 - norm.momentum) * new, old.dtype)
                change, rounding = beyond_rounding(old, after[name])
                if change > rounding:
                    moved.add(name)
        before = self.prediction()
        change = distance(self.prediction(weights=after), before) if moved else 0.0
        return UpdateEffect(frozenset(moved), change / size(before) if size(before) else change)

    @cached_property
    def inference_batch_statistics(self) -> Mapping[str, BatchStatistics]:
        """Batch statistics of the inference-mode forward of the probe input, by node name."""
        return self.batch_statistics_by(self.network.weights)

    def batch_statistics_by(self, weights: Mapping[str, Array]) -> Mapping[str, BatchStatistics]:
        """The same with the moving statistics of `weights`; negative variances give non-finite results."""
        with np.errstate(all="ignore"):
            return oracle.batch_statistics(self.network.graph, weights, self.network.x, training=False)


def _apart(rounded: BatchStatistics, exact: BatchStatistics) -> float:
    square = exact.mean**2 + exact.variance
    with np.errstate(all="ignore"):
        mean = np.abs(rounded.mean - exact.mean) / np.sqrt(square)
        variance = np.abs(rounded.variance - exact.variance) / square
    return float(np.max(np.nan_to_num([mean, variance], nan=0.0, posinf=0.0)))


def _equal(one: Array, other: Array) -> bool:
    return one is other or (one.dtype == other.dtype and np.array_equal(one, other))


def _fingerprint(weights: Mapping[str, Array]) -> bytes:
    """A digest of one network's tensors, whose names and shapes it knows."""
    sums = hashlib.sha256()
    for name in sorted(weights):
        sums.update(np.ascontiguousarray(weights[name]).tobytes())
    return sums.digest()
