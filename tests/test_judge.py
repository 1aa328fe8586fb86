"""The judge, on observations of a simulated runtime (`tests/synthetic.py`) with one misbehaviour at a time."""

from __future__ import annotations

import copy
import math
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import crosscheck.judge
from crosscheck import oracle
from crosscheck.cells import Array, Asks, Cell, Finding, Intent, Observation, Scenario, Status, Step
from crosscheck.judge import Truth, fields_of, judge, line
from crosscheck.judge.compare import relative_error
from crosscheck.oracle import Statistics, updated
from crosscheck.oracle.renormalized import renormalized
from crosscheck.records.contract import Documented
from crosscheck.records.schema import validate
from crosscheck.repeatability import distance, moved, same
from crosscheck.runtimes.mode import Contract, Mode
from tests.synthetic import (
    ENVIRONMENT,
    EPSILON,
    NETWORKS,
    STAYS,
    TRUTHS,
    Blind,
    Racy,
    Runtime,
    StaleAtOnce,
    Training,
    alone,
    export,
    immediate,
    judged,
    noisy,
    observations,
    observe,
    reading,
    subject,
    timed,
    twenty,
    undisturbed,
    unsettled,
    variation,
    warming,
)


class LeakForward(Training):
    def forward(self) -> None:
        self.update()


class LeakBackward(Training):
    def backward(self) -> None:
        self.update()


class LeakBoth(LeakForward, LeakBackward):
    pass


class LeakInOneCall(LeakBackward):
    can_take_apart = False


class LeakTwiceInOneCall(Training):
    """Once in its forward and once in its backward, between which nobody can look."""

    can_take_apart = False

    def backward(self) -> None:
        self.update(count=2)


class LeakThriceInOneCall(Training):
    can_take_apart = False

    def backward(self) -> None:
        self.update(count=3)


class LeakLate(Training):
    """Updates when the caller waits, long after the call."""

    def predict(self, when: str) -> None:
        if self.calls and "late" not in self.__dict__:
            self.late = True
            self.update()
        super().predict(when)


class Unbiased(Training):
    def backward(self) -> None:
        self.update("unbiased")


class Keras2(Training):
    def backward(self) -> None:
        self.update("keras-2")


class Keras2Fused(Training):
    def backward(self) -> None:
        self.update("keras-2-fused")


class OwnMomentum(Training):
    def backward(self) -> None:
        self.update(keep=0.75)


class HiddenCounter(Training):
    def __init__(self, network: str) -> None:
        super().__init__(network)
        self.tensors["counter"] = np.array(0)

    def backward(self) -> None:
        self.tensors["counter"] += 1


class Lawless(Training):
    def backward(self) -> None:
        norm = self.network.batch_norms[0]
        self.tensors[norm.mean] = self.tensors[norm.mean] - np.array([0.3, -0.1], np.float32)


class Chance(Training):
    seed = 0

    def backward(self) -> None:
        type(self).seed += 1
        self.update(keep=0.9 - 0.01 * type(self).seed)


class NotANumber(Training):
    def backward(self) -> None:
        norm = self.network.batch_norms[0]
        self.tensors[norm.mean] = np.full_like(self.tensors[norm.mean], np.nan)


class Poisoned(Training):
    def broken(self) -> bool:
        return self.calls > 0


class WrongGradient(Runtime):
    def answer(self) -> Array:
        return super().answer() * np.float32(1.5)


class ModeIgnored(Runtime):
    def answer(self) -> Array:
        return self.gradient(training=True)


class WrongPrediction(Runtime):
    def prediction(self) -> Array:
        return super().prediction() * np.float32(1.01)


class SecondWrong(Runtime):
    def answer(self) -> Array:
        return super().answer() * np.float32(0.5 if self.calls else 1)


class InferenceWrongAfterwards(Training):
    def inference_afterwards(self) -> None:
        self.arrays["gradient/inference"] = self.gradient(training=True)


class ParametersWritten(Training):
    """Changes gamma by one unit in the last place, which no prediction shows."""

    def backward(self) -> None:
        scale = self.network.batch_norms[0].scale
        self.tensors[scale] = np.nextafter(self.tensors[scale], np.float32(9))


class InputWritten(Training):
    def backward(self) -> None:
        self.arrays["input/first"] = self.network.x + np.float32(1)


class ModeLeftChanged(Training):
    def backward(self) -> None:
        self.flag = True


class ExportChanges(Runtime):
    def backward(self) -> None:
        norm = self.network.batch_norms[0]
        self.tensors[norm.mean] = self.tensors[norm.mean] + np.float32(1)


class ForwardIgnored(Runtime):
    """Returns the inference-mode prediction instead of the training-mode one."""

    intent = Intent.TRAINING
    asks = Asks.PREDICTION

    def answer(self) -> Array:
        return self.prediction()


class ForwardLeak(Runtime):
    intent = Intent.TRAINING
    asks = Asks.PREDICTION
    can_take_apart = False

    def backward(self) -> None:
        self.update()


class LeftOut(Training):
    """Correct for layers that take 1 for the scale and 0 for the bias."""

    def __init__(self, network: str) -> None:
        super().__init__(network)
        self.tensors = dict(self.network.taken(self.network.weights, unit_scale=True, zero_bias=True))


@pytest.mark.parametrize("network", ["conv", "residual"])
def test_scales_and_biases_that_layers_leave_out_are_not_in_the_closed_form(network: str) -> None:
    trials = observations(LeftOut, network, Scenario.GRADIENT)
    cell, mode = subject(LeftOut, network, Scenario.GRADIENT, STAYS)

    def found(unit_scale: bool = False, zero_bias: bool = False) -> set[Finding]:
        told = replace(mode, unit_scale=unit_scale, zero_bias=zero_bias)
        return set(judge(cell, told, NETWORKS[network], TRUTHS[network], trials).findings)

    # The runtime's own tensors are others than the network's, which these findings show, too.
    wrong = {Finding.WRONG_GRADIENT, Finding.WRONG_PREDICTION}
    assert wrong <= found()
    assert wrong <= found(unit_scale=True)
    assert not wrong & found(unit_scale=True, zero_bias=True)


ALONE = [
    (LeakForward, {Finding.LEAK}),
    (LeakBackward, {Finding.LEAK}),
    (LeakBoth, {Finding.LEAK}),
    (Unbiased, {Finding.LEAK}),
    (OwnMomentum, {Finding.LEAK}),
    (HiddenCounter, {Finding.STATE_MOVED}),
    (Lawless, {Finding.LEAK, Finding.CORRUPTED}),
    (NotANumber, {Finding.LEAK, Finding.CORRUPTED}),
    (Poisoned, {Finding.POISONED}),
    (WrongGradient, {Finding.WRONG_GRADIENT}),
    (ModeIgnored, {Finding.MODE_IGNORED}),
    (WrongPrediction, {Finding.WRONG_PREDICTION}),
    (SecondWrong, {Finding.ORDER_DEPENDENT}),
    (Racy, {Finding.LEAK, Finding.RACY}),
    (ParametersWritten, {Finding.PARAMETERS_WRITTEN}),
    (InputWritten, {Finding.INPUT_WRITTEN}),
    (ModeLeftChanged, {Finding.MODE_LEFT_CHANGED}),
]


@pytest.mark.parametrize(("kind", "expected"), ALONE, ids=lambda value: getattr(value, "__name__", ""))
def test_each_misbehaviour_has_exactly_its_finding(kind: type[Runtime], expected: set[Finding]) -> None:
    verdict = judged(kind)
    assert expected == set(verdict.findings)
    assert expected == {item.finding for item in verdict.evidence}


@pytest.mark.parametrize("kind", [Runtime, Training])
@pytest.mark.parametrize("network", ["seed", "seed-batch", "conv", "conv-plain", "residual"])
@pytest.mark.parametrize("scenario", [Scenario.GRADIENT, Scenario.ORDER, Scenario.SIBLING, Scenario.EXPORT])
def test_a_well_behaved_runtime_is_clean(kind: type[Runtime], network: str, scenario: Scenario) -> None:
    verdict = judged(kind, network, scenario)
    assert (Finding.CLEAN,) == verdict.findings
    assert verdict.evidence
    assert verdict.contradicts is not True


@pytest.mark.parametrize(
    ("kind", "scenario", "expected"),
    [
        (ForwardIgnored, Scenario.PREDICT_ONLY, {Finding.MODE_IGNORED}),
        (ForwardLeak, Scenario.PREDICT_ONLY, {Finding.LEAK}),
        (LeakBackward, Scenario.SIBLING, {Finding.LEAK}),
        (LeakBackward, Scenario.ORDER, {Finding.STATE_MOVED}),
        (LeakBackward, Scenario.TWENTY, {Finding.LEAK}),
        (Training, Scenario.TWENTY, {Finding.CLEAN}),
        (LeakBackward, Scenario.ASCENT, {Finding.LEAK}),
        (Training, Scenario.ASCENT, {Finding.CLEAN}),
        (ModeIgnored, Scenario.ASCENT, {Finding.MODE_IGNORED}),
        (ExportChanges, Scenario.EXPORT, {Finding.EXPORT_CHANGED}),
    ],
)
def test_other_scenarios(kind: type[Runtime], scenario: Scenario, expected: set[Finding]) -> None:
    network = "digits" if scenario in (Scenario.TWENTY, Scenario.ASCENT) else "seed-batch"
    assert expected == set(judged(kind, network, scenario).findings)


def test_an_exported_network_with_other_predictions() -> None:
    row = observe(Runtime, export, "seed-batch")
    row = replace(row, arrays={**row.arrays, "prediction/exported": row.arrays["prediction/before"] * np.float32(2)})
    assert (Finding.EXPORT_CHANGED,) == judged(Runtime, scenario=Scenario.EXPORT, trials=[row]).findings


@pytest.mark.parametrize(
    ("kind", "when", "count", "taken_apart"),
    [
        (Runtime, "none", 0, True),
        (LeakForward, "forward", 1, True),
        (LeakBackward, "backward", 1, True),
        (LeakBoth, "both", 2, True),
        (LeakInOneCall, "forward", 1, False),
        (LeakTwiceInOneCall, "both", 2, False),
        (LeakThriceInOneCall, "forward", 3, False),
        (LeakLate, "read", 1, True),
    ],
)
def test_when_and_how_often_statistics_move(kind: type[Runtime], when: str, count: int, taken_apart: bool) -> None:
    update = judged(kind).update
    assert update is not None
    assert (when, count, taken_apart) == (update.when, update.count, update.taken_apart)


def test_the_law_of_a_change_that_snapshots_prevent_is_that_of_the_undisturbed_trial() -> None:
    """Whatever the order of the trials is."""

    class Twice(Training):
        def backward(self) -> None:
            self.update(count=2)

    reached = {unsettled: Twice, timed: Runtime, undisturbed: LeakBackward}
    update = judged(Training, trials=[observe(kind, steps, "seed-batch") for steps, kind in reached.items()]).update
    assert update is not None
    assert ("none", 1) == (update.when, update.count)


@pytest.mark.parametrize("network", ["seed-batch", "conv", "residual"])
@pytest.mark.parametrize(
    ("kind", "momentum", "variance"),
    [(LeakForward, 0.9, "biased"), (Unbiased, 0.9, "unbiased"), (OwnMomentum, 0.75, "biased")],
)
def test_the_law_is_reported(kind: type[Runtime], network: str, momentum: float, variance: str) -> None:
    declared = NETWORKS[network].batch_norms[0].momentum
    update = judged(kind, network).update
    assert update is not None
    assert update.momentum == pytest.approx(momentum if kind is OwnMomentum else declared, abs=1e-4)
    assert variance == update.variance
    assert update.residual is not None
    assert update.residual < 2e-5


@pytest.mark.parametrize(
    ("kind", "network", "variance", "words"),
    [
        (Keras2, "seed-batch", "keras-2", "variance times n / (n - 1 - epsilon)"),
        (Keras2, "digits", "keras-2", "variance times n / (n - 1 - epsilon)"),
        (Keras2, "residual", "keras-2", "variance times n / (n - 1 - epsilon)"),  # not by its layers of 256 elements
        (Keras2Fused, "conv", "keras-2-fused", "unbiased variance times n / (n - 1 - epsilon)"),
        (Keras2Fused, "digits", "keras-2-fused", "unbiased variance times n / (n - 1 - epsilon)"),
    ],
)
def test_the_variance_of_keras_2_has_its_name(kind: type[Runtime], network: str, variance: str, words: str) -> None:
    verdict = judged(kind, network)
    assert (Finding.LEAK,) == verdict.findings
    assert verdict.update is not None
    assert (1, "keep", variance) == (verdict.update.count, verdict.update.convention, verdict.update.variance)
    assert verdict.update.residual is not None
    assert verdict.update.residual < 1e-6
    assert any(words in piece.detail for piece in verdict.evidence)


@pytest.mark.parametrize("variance", ["keras-2", "keras-2-fused"])
@pytest.mark.parametrize("network", ["seed-batch", "conv-norm", "residual", "digits"])
def test_the_variance_of_keras_2_has_a_law_with_the_runtimes_own_momentum(network: str, variance: str) -> None:
    class Own(Training):
        def backward(self) -> None:
            self.update(variance, keep=0.75)

    verdict = judged(Own, network)
    assert (Finding.LEAK,) == verdict.findings
    assert verdict.update is not None
    assert (1, "other", "exponential") == (verdict.update.count, verdict.update.convention, verdict.update.average)
    assert verdict.update.momentum == pytest.approx(0.75, abs=1e-5)
    assert variance == verdict.update.variance


def test_layers_with_different_variances_are_not_corrupted() -> None:
    class EachItsOwn(Training):
        def backward(self) -> None:
            self.update()
            biased = dict(self.tensors)
            first = self.network.batch_norms[0]
            self.tensors |= {name: self.network.weights[name] for name in biased}
            self.update("unbiased")
            self.tensors |= {name: biased[name] for name in (first.mean, first.variance)}

    verdict = judged(EachItsOwn, "conv")
    assert (Finding.LEAK,) == verdict.findings
    assert verdict.update is not None
    assert (1, "mixed") == (verdict.update.count, verdict.update.variance)


class Renormalizes(Training):
    """A layer with batch renormalization."""

    def backward(self) -> None:
        seen = TRUTHS[self.network.name].inference_batch_statistics
        for norm in self.network.batch_norms:
            before = Statistics(self.tensors[norm.mean], self.tensors[norm.variance])
            batch = seen[norm.node]
            after = renormalized(before, batch.mean, batch.variance, norm.momentum, norm.epsilon)
            self.tensors[norm.mean] = after.mean.astype(np.float32)
            self.tensors[norm.variance] = after.variance.astype(np.float32)

    def gradient(self, training: bool) -> Array:
        if not training:
            return super().gradient(training)
        here = self.network
        return oracle.renormalized_gradient(here.graph, self.tensors, here.x, here.cotangent).astype(np.float32)


@pytest.mark.parametrize("network", ["seed-batch", "conv"])
def test_batch_renormalization_has_a_law_and_a_gradient(network: str) -> None:
    verdict = judged(Renormalizes, network)
    assert {Finding.LEAK, Finding.WRONG_GRADIENT} == set(verdict.findings)
    assert verdict.update is not None
    assert (1, "keep", "renormalized") == (verdict.update.count, verdict.update.convention, verdict.update.average)
    record = {piece.finding: piece.detail for piece in verdict.evidence}
    assert "training-mode closed form of batch renormalization" in record[Finding.WRONG_GRADIENT]
    assert "averages the standard deviation" in record[Finding.LEAK]


class RenormalizesApart(Training):
    """The same by averages of its own, which no snapshot has; the mode says so. As TensorFlow 1.15 and later do."""

    renormalized = True
    of_averages = False

    def __init__(self, network: str) -> None:
        super().__init__(network)
        #: Mean and sqrt(variance + epsilon).
        self.own = {
            norm.node: (self.tensors[norm.mean], np.sqrt(self.tensors[norm.variance] + norm.epsilon))
            for norm in self.network.batch_norms
        }

    def backward(self) -> None:
        for norm in self.network.batch_norms:
            batch = TRUTHS[self.network.name].inference_batch_statistics[norm.node]
            mean, spread = self.own[norm.node]
            mean = 0.99 * mean + 0.01 * batch.mean
            spread = 0.99 * spread + 0.01 * np.sqrt(batch.variance + norm.epsilon)
            self.own[norm.node] = mean, spread
            kept, moving = norm.momentum, Statistics(self.tensors[norm.mean], self.tensors[norm.variance])
            if self.of_averages:
                after = Statistics(
                    kept * moving.mean + (1 - kept) * mean,
                    kept * moving.variance + (1 - kept) * (spread**2 - norm.epsilon),
                )
            else:
                after = renormalized(moving, batch.mean, batch.variance, kept, norm.epsilon)
            self.tensors[norm.mean] = after.mean.astype(np.float32)
            self.tensors[norm.variance] = after.variance.astype(np.float32)

    def gradient(self, training: bool) -> Array:
        if not training:
            return super().gradient(training)
        here, corrected = self.network, dict(self.tensors)
        for norm in here.batch_norms:
            mean, spread = self.own[norm.node]
            corrected |= {norm.mean: mean, norm.variance: spread**2 - norm.epsilon}
        return oracle.renormalized_gradient(here.graph, corrected, here.x, here.cotangent).astype(np.float32)


class RenormalizesTwice(RenormalizesApart):
    """As TensorFlow 1.4 does: the moving statistics are averages of the averages."""

    of_averages = True


class RenormalizesOnce(RenormalizesApart):
    """Its second gradient is that of a plain batch normalization."""

    def gradient(self, training: bool) -> Array:
        return super().gradient(training) if self.calls == 0 else Training.gradient(self, training)


@pytest.mark.parametrize("network", ["seed-batch", "conv-norm", "conv"])
@pytest.mark.parametrize(
    ("kind", "average", "findings"),
    [
        (RenormalizesApart, "renormalized", {Finding.LEAK}),
        (RenormalizesTwice, "renormalized-twice", {Finding.LEAK}),
        (RenormalizesOnce, "renormalized", {Finding.LEAK, Finding.ORDER_DEPENDENT}),
    ],
)
def test_layers_that_are_told_to_renormalize_have_that_gradient_in_every_call(
    kind: type[Runtime], average: str, findings: set[Finding], network: str
) -> None:
    verdict = judged(kind, network)
    assert findings == set(verdict.findings)
    assert verdict.update is not None
    assert (1, average) == (verdict.update.count, verdict.update.average)


@given(keep=st.floats(0.05, 0.98), count=st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_a_law_with_any_momentum_is_not_corrupted(keep: float, count: int) -> None:
    class Own(Training):
        def backward(self) -> None:
            self.update(keep=keep, count=count)

    assert (Finding.LEAK,) == judged(Own).findings


def test_statistics_that_follow_no_law_are_shown_before_and_after() -> None:
    shown = [item.detail for item in judged(Lawless).evidence if item.finding is Finding.CORRUPTED]
    assert ["bn.mean 0 0 became -0.3 0.1; bn.variance 1 1 became 1 1"] == shown


def test_layers_that_follow_different_laws_are_corrupted() -> None:
    class OneLayerTwice(Training):
        def backward(self) -> None:
            self.update()
            once = dict(self.tensors)
            self.update()
            first = self.network.batch_norms[0]
            self.tensors |= {name: once[name] for name in (first.mean, first.variance)}

    verdict = judged(OneLayerTwice, "conv")
    assert {Finding.LEAK, Finding.CORRUPTED} == set(verdict.findings)
    assert verdict.update is not None
    assert verdict.update.count is None


def test_layers_with_momenta_of_their_own_that_differ_are_corrupted() -> None:
    class EachItsOwn(Training):
        def backward(self) -> None:
            self.update(keep=0.75)
            first = dict(self.tensors)
            self.tensors |= {name: self.network.weights[name] for name in first}
            self.update(keep=0.6)
            norm = self.network.batch_norms[0]
            self.tensors |= {name: first[name] for name in (norm.mean, norm.variance)}

    verdict = judged(EachItsOwn, "conv")
    assert {Finding.LEAK, Finding.CORRUPTED} == set(verdict.findings)
    assert any("the layers follow different laws" in item.what for item in verdict.evidence)


def test_batch_statistics_of_an_inference_forward_follow_a_law() -> None:
    class Collects(Training):
        def backward(self) -> None:
            seen = TRUTHS[self.network.name].inference_batch_statistics
            for norm in self.network.batch_norms:
                before = Statistics(self.tensors[norm.mean], self.tensors[norm.variance])
                after = updated(before, seen[norm.node], norm.momentum)
                self.tensors[norm.mean] = after.mean.astype(np.float32)
                self.tensors[norm.variance] = after.variance.astype(np.float32)

    verdict = judged(Collects, "conv")
    assert (Finding.LEAK,) == verdict.findings
    assert any("normalizes by the moving statistics" in item.detail for item in verdict.evidence)


def test_batch_statistics_of_a_forward_with_updated_ones_follow_a_law() -> None:
    class UpdatesFirst(Training):
        """Like Equinox's `ema`: each layer updates its statistics and normalizes by the updated ones."""

        def backward(self) -> None:
            for norm in self.network.batch_norms:
                seen = TRUTHS[self.network.name].batch_statistics_by(self.tensors)[norm.node]
                before = Statistics(self.tensors[norm.mean], self.tensors[norm.variance])
                after = updated(before, seen, norm.momentum)
                self.tensors[norm.mean] = after.mean.astype(np.float32)
                self.tensors[norm.variance] = after.variance.astype(np.float32)

    verdict = judged(UpdatesFirst, "conv")
    assert (Finding.LEAK,) == verdict.findings
    assert verdict.update is not None
    assert 1 == verdict.update.count
    assert any("the statistics it has just updated" in item.detail for item in verdict.evidence)


def test_two_updates_with_what_the_second_has_left_follow_no_law() -> None:
    """The batch of the first of two updates differs from that of the second, so no count can be told."""

    class UpdatesTwice(Training):
        def backward(self) -> None:
            for norm in self.network.batch_norms:
                seen = TRUTHS[self.network.name].batch_statistics_by(self.tensors)[norm.node]
                before = Statistics(self.tensors[norm.mean], self.tensors[norm.variance])
                after = updated(before, seen, norm.momentum, 2)
                self.tensors[norm.mean] = after.mean.astype(np.float32)
                self.tensors[norm.variance] = after.variance.astype(np.float32)

    assert {Finding.LEAK, Finding.CORRUPTED} == set(judged(UpdatesTwice, "conv").findings)


def test_the_example_of_the_design_document() -> None:
    verdict = judged(LeakBackward, "seed")
    assert verdict.prediction_before is not None
    assert verdict.prediction_after is not None
    assert ["0.29985", "0.3998"] == [f"{value:.6g}" for value in verdict.prediction_before[0]]
    assert ["0.284447", "0.379263"] == [f"{value:.6g}" for value in verdict.prediction_after[0]]
    assert [1] == verdict.top1_before
    assert verdict.gradient_error is not None
    assert asdict(verdict.gradient_error) == {"inference": pytest.approx(1, abs=0.01), "training": 0.0}
    assert {"bn.mean": 0.04, "bn.variance": 0.1} == pytest.approx(
        {name: value for name, value in verdict.state_changes.items() if value}, rel=1e-5
    )


def test_rounding_errors_of_a_zero_gradient_are_not_wrong() -> None:
    class Rounds(Training):
        def answer(self) -> Array:
            return super().answer() + np.float32(2e-6)

    assert (Finding.CLEAN,) == judged(Rounds, "seed").findings


def test_an_answer_at_moved_statistics_is_wrong_and_explained() -> None:
    class MovesFirst(LeakForward):
        def answer(self) -> Array:
            self.update()
            return self.gradient(training=False)

        def forward(self) -> None:
            pass

    (wrong, *_) = [item for item in judged(MovesFirst).evidence if item.finding is Finding.WRONG_GRADIENT]
    assert "inference-mode form at the statistics" in wrong.detail


def test_later_gradients_are_compared_at_the_current_statistics() -> None:
    later = judged(LeakBackward).later
    assert later is not None
    assert later.inference_gradient is not None
    assert asdict(later.inference_gradient) == {
        "inference": pytest.approx(0, abs=1e-6),
        "training": pytest.approx(1, abs=0.9),
    }
    assert later.gradient_again is not None
    assert later.gradient_again.training == pytest.approx(0, abs=1e-6)


def test_a_wrong_later_inference_gradient_counts_only_if_right_alone() -> None:
    def findings(inference: Sequence[Observation]) -> tuple[Finding, ...]:
        return judged(InferenceWrongAfterwards, inference=inference).findings

    right = observations(Runtime, "seed-batch", Scenario.GRADIENT)
    wrong = observations(ModeIgnored, "seed-batch", Scenario.GRADIENT)
    assert (Finding.ORDER_DEPENDENT,) == findings(right)
    assert (Finding.CLEAN,) == findings(wrong)
    assert (Finding.CLEAN,) == findings(())


def test_order_after_another_network() -> None:
    rows = [observe(Runtime, alone, "seed-batch"), observe(WrongGradient, alone, "seed-batch", "after-other")]
    assert (Finding.ORDER_DEPENDENT,) == judged(Runtime, scenario=Scenario.ORDER, trials=rows).findings


@pytest.mark.parametrize(("kind", "expected"), [(Runtime, Finding.CLEAN), (ModeIgnored, Finding.ORDER_DEPENDENT)])
def test_order_after_the_same_network_uses_the_current_statistics(kind: type[Runtime], expected: Finding) -> None:
    def after_training(run: Runtime) -> None:
        run.update()
        run.snapshot("before")
        alone(run)

    rows = [observe(Runtime, alone, "seed-batch"), observe(kind, after_training, "seed-batch", "after-same")]
    assert (expected,) == judged(Runtime, scenario=Scenario.ORDER, trials=rows).findings


def test_a_stale_read_is_reported_and_not_racy() -> None:
    verdict = judged(StaleAtOnce)
    assert (Finding.LEAK,) == verdict.findings
    assert any("read directly after the call with their old value" in item.what for item in verdict.evidence)


def test_a_partially_written_tensor_is_racy() -> None:
    class Torn(LeakBackward):
        def snapshot(self, when: str) -> None:
            kept = self.tensors
            if when == "at-once":
                name = self.network.batch_norms[0].mean
                self.tensors = {**kept, name: kept[name] / np.float32(2)}
            super().snapshot(when)
            self.tensors = kept

    assert (Finding.LEAK, Finding.RACY) == judged(Torn).findings


def test_observer_effects_are_reported() -> None:
    class ReadingHelps(LeakBackward):
        def backward(self) -> None:
            if not any(key.startswith("state/between/") for key in self.arrays):
                self.update()

    verdict = judged(ReadingHelps)
    assert (Finding.LEAK,) == verdict.findings
    assert any(
        "with and without reads of tensors between forward and backward" in item.what for item in verdict.evidence
    )
    assert verdict.update is not None
    assert verdict.update.when == "none"


def test_a_second_answer_is_judged_at_the_statistics_of_its_own_trial_where_reading_changes_them() -> None:
    class ReadingUpdates(LeakBackward):
        intent = Intent.INFERENCE

        def backward(self) -> None:
            self.update(count=2 if any(key.startswith("state/between/") for key in self.arrays) else 1)

    verdict = judged(ReadingUpdates)
    assert (Finding.LEAK,) == verdict.findings
    assert any("reading changes" in item.detail for item in verdict.evidence)


def test_reading_that_changes_the_outcome_names_the_statistics_alone() -> None:
    class ReadingHelps(LeakBackward):
        def backward(self) -> None:
            if not any(key.startswith("state/between/") for key in self.arrays):
                self.update()
                self.tensors["hidden"] = np.array(1)

    found = [item.detail for item in judged(ReadingHelps, "conv").evidence if item.detail.startswith("reading changes")]
    moving = sorted(name for norm in NETWORKS["conv"].batch_norms for name in (norm.mean, norm.variance))
    assert [f"reading changes {', '.join(moving)}"] == found


def test_a_layer_with_a_momentum_of_its_own_is_named_with_it() -> None:
    laws = [item.detail for item in judged(LeakBackward, "conv").evidence if "update law" in item.what]
    assert ["once 0.9 x old + 0.1 x batch, biased variance; bn2: 0.8 x old + 0.2 x batch"] == laws
    laws = [item.detail for item in judged(LeakBackward, "seed-batch").evidence if "update law" in item.what]
    assert ["once 0.9 x old + 0.1 x batch, biased variance"] == laws


def test_a_later_modes_result_is_not_a_race_of_this_mode() -> None:
    class Garbage(Training):
        seed = 0

        def inference_afterwards(self) -> None:
            type(self).seed += 1
            self.arrays["gradient/inference"] = np.full_like(self.network.x, type(self).seed)

    verdict = judged(Garbage)
    assert (Finding.CLEAN,) == verdict.findings
    assert [1, 1, 1, 1] == [len(reading.outcomes) for reading in verdict.trials]


def test_a_call_wrong_alone_is_not_order_dependent() -> None:
    rows = [observe(WrongGradient, alone, "seed-batch"), observe(Runtime, alone, "seed-batch", "after-other")]
    assert (Finding.WRONG_GRADIENT,) == judged(Runtime, scenario=Scenario.ORDER, trials=rows).findings


def test_evidence_names_its_readings() -> None:
    rows = [observe(kind, steps, "seed-batch") for kind, steps in ((LeakBackward, undisturbed), (Training, timed))]
    found = [item for item in judged(Training, trials=rows).evidence if item.what.startswith("undisturbed: largest")]
    assert ["not timed"] == [item.detail.split("; ")[-1] for item in found]


def test_trials_that_all_differ_are_corrupted_and_unrepeatable() -> None:
    rows = [observe(Chance, steps, "seed-batch") for steps in (undisturbed,) * 4]
    verdict = judged(Chance, trials=rows)
    assert {Finding.LEAK, Finding.CORRUPTED, Finding.UNREPEATABLE} == set(verdict.findings)
    assert [4] == [len(reading.outcomes) for reading in verdict.trials]


def test_two_outcomes_in_many_trials_are_unrepeatable_and_counted() -> None:
    rows = [observe(kind, undisturbed, "seed-batch") for kind in (LeakBackward, Training, LeakBackward)]
    verdict = judged(Training, trials=rows)
    assert (Finding.LEAK, Finding.UNREPEATABLE) == verdict.findings
    assert [2, 1] == [outcome.count for outcome in verdict.trials[0].outcomes]


@pytest.mark.parametrize(("letters", "more"), [("hdagcbfe", " and 5 more"), ("bfa", "")])
def test_an_outcome_names_tensors_of_equal_change_by_their_names(letters: str, more: str) -> None:
    class Counters(Training):
        def __init__(self, network: str) -> None:
            super().__init__(network)
            self.tensors |= {f"counter-{letter}": np.array(0) for letter in letters}

        def backward(self) -> None:
            for letter in letters:
                self.tensors[f"counter-{letter}"] += 1 + (letter == "f")

    (outcome,) = judged(Counters).trials[1].outcomes
    assert f"predictions stay; counter-f by 2, counter-a by 1, counter-b by 1{more}" == outcome.what


def test_no_race_is_reported_if_waiting_trials_disagree() -> None:
    rows = [observe(LeakBackward, undisturbed, "seed-batch"), observe(Training, immediate, "seed-batch")]
    assert (Finding.LEAK, Finding.RACY) == judged(Training, trials=rows).findings
    rows.append(observe(Training, undisturbed, "seed-batch"))
    assert (Finding.LEAK, Finding.UNREPEATABLE) == judged(Training, trials=rows).findings
    rows.append(observe(LeakBackward, timed, "seed-batch"))
    assert Finding.RACY not in judged(Training, trials=rows).findings


def test_only_non_waiting_trials_that_disagree_are_racy() -> None:
    rows = [observe(kind, immediate, "seed-batch") for kind in (LeakBackward, Training)]
    rows += [observe(LeakBackward, undisturbed, "seed-batch") for _ in range(2)]
    assert (Finding.LEAK, Finding.RACY) == judged(Training, trials=rows).findings


@pytest.mark.parametrize("hits", [[False, True], [True, False], [True, True]])
def test_a_random_match_with_the_other_mode_does_not_count(hits: list[bool]) -> None:
    class Unwritten(Runtime):
        noise = 0.0
        hit = False

        def answer(self) -> Array:
            return self.gradient(training=True) * np.float32(1 if self.hit else 1.5)

        def backward(self) -> None:
            type(self).noise += 1
            self.tensors[self.network.batch_norms[0].mean] += np.float32(self.noise)

    rows = []
    for hit in hits:
        Unwritten.hit = hit
        rows.append(observe(Unwritten, undisturbed, "seed-batch"))
    expected = (Finding.LEAK, Finding.CORRUPTED, Finding.WRONG_GRADIENT, Finding.UNREPEATABLE)
    assert expected == judged(Unwritten, trials=rows).findings


def test_predictions_that_change_by_predicting_are_a_leak() -> None:
    class PredictLeaks(Runtime):
        def prediction(self) -> Array:
            value = super().prediction()
            self.update()
            return value

    verdict = judged(PredictLeaks)
    assert (Finding.LEAK,) == verdict.findings
    assert any("predicting alone changes it" in item.detail for item in verdict.evidence)


@pytest.mark.parametrize("count", [1, 2])
def test_changes_by_predicting_are_not_attributed_to_the_call(count: int) -> None:
    class EveryPassUpdates(Runtime):
        def prediction(self) -> Array:
            value = super().prediction()
            self.update()
            return value

        def forward(self) -> None:
            self.update(count=count)

    verdict = judged(EveryPassUpdates)
    assert verdict.update is not None
    assert (count, "forward") == (verdict.update.count, verdict.update.when)
    mean = NETWORKS["seed-batch"].batch_norms[0].mean
    seen = TRUTHS["seed-batch"].batch_statistics["bn"].mean
    # The prediction updates once before the call.
    moved = np.abs(seen - NETWORKS["seed-batch"].weights[mean]).max() * 0.9 * (1 - 0.9**count)
    assert verdict.state_changes[mean] == pytest.approx(moved, rel=1e-4)


def test_noise_before_the_call_is_not_a_leak() -> None:
    class Noisy(Runtime):
        predictions = 0

        def prediction(self) -> Array:
            self.predictions += 1
            return super().prediction() * np.float32(1 + 1e-5 * (self.predictions % 2))

    assert (Finding.CLEAN,) == judged(Noisy, trials=[observe(Noisy, undisturbed, "seed-batch")]).findings


def test_the_curve_falls_only_if_statistics_move() -> None:
    class Wanders(Training):
        def backward(self) -> None:
            self.update(keep=0.5)

    wanders, stays = (judged(kind, "digits", Scenario.TWENTY).curve for kind in (Wanders, Training))
    assert wanders is not None
    assert stays is not None
    assert 21 == len(stays.accuracy) == len(stays.top1) == len(wanders.accuracy)
    assert len(set(stays.accuracy)) == 1
    assert stays.top1[0] == stays.label
    assert wanders.accuracy[-1] < wanders.accuracy[0] == stays.accuracy[0]


def test_what_the_public_view_shows() -> None:
    class Hides(LeakBackward):
        def public(self) -> dict[str, Array]:
            moving = {name for norm in self.network.batch_norms for name in (norm.mean, norm.variance)}
            return {name: value for name, value in self.tensors.items() if name not in moving}

    class Grows(Hides):
        def public(self) -> dict[str, Array]:
            return super().public() | {f"after {self.calls} calls": np.zeros(1)}

    assert ["shows", "hides", None] == [judged(kind).public_view for kind in (LeakBackward, Hides, Training)]
    assert "hides" == judged(Grows).public_view  # a name that is new is no change
    only_timed = [observe(Training, undisturbed, "seed-batch"), observe(Hides, timed, "seed-batch")]
    assert "hides" == judged(Training, trials=only_timed).public_view


@pytest.mark.parametrize(("says", "expected"), [("stay", True), ("move", False), ("undocumented", False)])
def test_contradiction_of_the_contract(says: Documented, expected: bool) -> None:
    assert judged(LeakBackward, contract=Contract(says, "", "")).contradicts is expected


@pytest.mark.parametrize(("says", "expected"), [("stay", False), ("move", True), ("undocumented", False)])
def test_statistics_that_stay_contradict_a_contract_that_moves_them(says: Documented, expected: bool) -> None:
    assert judged(Training, contract=Contract(says, "", "")).contradicts is expected


def test_a_network_without_statistics_contradicts_nothing() -> None:
    assert judged(Training, "conv-plain", contract=Contract("move", "", "")).contradicts is False


def test_nothing_measured_contradicts_nothing() -> None:
    row = replace(observe(Runtime, undisturbed, "seed-batch"), arrays={})
    verdict = judged(Runtime, trials=[row])
    assert verdict.contradicts is None
    assert () == verdict.findings


@pytest.mark.parametrize("status", [Status.REFUSED, Status.TIMED_OUT, Status.NOT_IN_RELEASE, Status.OUT_OF_MEMORY])
def test_a_failure_to_measure_has_no_findings(status: Status) -> None:
    good = observe(LeakBackward, undisturbed, "seed-batch")
    verdict = judged(LeakBackward, trials=[good, replace(good, status=status, reason="no")])
    assert (status, "no", ()) == (verdict.status, verdict.reason, verdict.findings)
    assert verdict.prediction_after is None


def test_a_refused_reading_has_a_reason_and_nulls() -> None:
    rows = observations(LeakBackward, "seed-batch", Scenario.GRADIENT)
    rows = [
        replace(row, status=Status.REFUSED, reason="no views", arrays={}) if row.reading == "timed" else row
        for row in rows
    ]
    verdict = judged(LeakBackward, trials=rows)
    assert (Status.OK, "timed: refused (no views)", None) == (verdict.status, verdict.reason, verdict.update)
    assert (Finding.LEAK,) == verdict.findings


def test_a_crash_after_the_call_is_judged_by_recorded_data() -> None:
    row = observe(LeakBackward, undisturbed, "seed-batch")
    kept = {key: value for key, value in row.arrays.items() if "second" not in key and "last" not in key}
    ended = next(index for index, step in enumerate(row.steps) if step.label == "gradient/second")
    died = Step("gradient/second", math.nan, "the process ended in this step")
    crash = replace(row, status=Status.CRASHED, reason="signal 11", arrays=kept, steps=(*row.steps[:ended], died))
    verdict = judged(LeakBackward, trials=[crash])
    assert Status.CRASHED is verdict.status
    assert (Finding.LEAK, Finding.POISONED) == verdict.findings
    ((outcome,),) = (trials.outcomes for trials in verdict.trials)
    assert "the process died in gradient/second" in outcome.what
    assert "raised" not in outcome.what


def test_a_crash_in_the_call_is_neither_clean_nor_a_finding() -> None:
    row = observe(Training, undisturbed, "seed-batch")
    kept = {key: value for key, value in row.arrays.items() if key.startswith("prediction/before")}
    died = Step("gradient/first", math.nan, "the process ended in this step")
    before = row.steps[: next(index for index, step in enumerate(row.steps) if step.label == "gradient/first")]
    assert before
    assert all(step.error is None for step in before)
    crash = replace(row, status=Status.CRASHED, reason="signal 11", arrays=kept, steps=(*before, died))
    verdict = judged(Training, trials=[crash])
    assert (Status.CRASHED, ()) == (verdict.status, verdict.findings)


def test_where_predicting_moves_tensors_those_read_before_the_next_prediction_count() -> None:
    class Counts(Training):
        def __init__(self, network: str) -> None:
            super().__init__(network)
            self.tensors |= {"counter": np.array(0)}

        def prediction(self) -> Array:
            self.tensors["counter"] = self.tensors["counter"] + 1
            return super().prediction()

    rows = [observe(Counts, steps, "seed-batch") for steps in (undisturbed, timed)]
    moved = rows[1].arrays["state/read/bn.mean"] + np.float32(1)
    rows[1] = replace(rows[1], arrays={**rows[1].arrays, "state/read/bn.mean": moved})
    assert moved.tolist() == judged(Counts, trials=rows).tensors["bn.mean"].after


def test_of_a_crash_in_the_next_prediction_the_last_snapshot_before_it_counts() -> None:
    rows = [observe(Training, steps, "seed-batch") for steps in (undisturbed, timed)]
    kept = {key: value for key, value in rows[1].arrays.items() if "after" not in key and "second" not in key}
    moved = kept["state/read/bn.mean"] + np.float32(1)
    died = Step("prediction/after", math.nan, "the process ended in this step")
    crash = replace(
        rows[1],
        status=Status.CRASHED,
        arrays={key: value for key, value in kept.items() if "last" not in key} | {"state/read/bn.mean": moved},
        steps=(*rows[1].steps[: next(at for at, step in enumerate(rows[1].steps) if "after" in step.label)], died),
    )
    verdict = judged(Training, trials=[rows[0], crash])
    assert moved.tolist() == verdict.tensors["bn.mean"].after


def test_a_cell_without_its_primary_reading_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="nothing to judge"):
        judged(Runtime, trials=[observe(Runtime, timed, "seed-batch")])


def test_findings_without_state_use_predictions() -> None:
    class Blind(LeakBackward):
        def snapshot(self, when: str) -> None:
            pass

    verdict = judged(Blind)
    assert (Finding.LEAK,) == verdict.findings
    assert {} == verdict.state_changes
    assert (None, None) == (verdict.update, verdict.later)


def test_not_a_number_reaches_the_line_as_text() -> None:
    verdict = judged(NotANumber)
    assert verdict.prediction_after is not None
    assert math.isnan(verdict.prediction_after[0][0])
    cell = Cell("tiny", "1.0", "plain", "tiny.mode", "seed-batch", Scenario.GRADIENT)
    mode = Mode("tiny.mode", "training", "gradient", "tiny.mode()", STAYS)
    record = line(cell, mode, fields_of(verdict), released="", environment=ENVIRONMENT, reproduce="crosscheck run")
    assert record["prediction_after"][0][0] == "NaN"
    assert record["state_changes"]["bn.mean"] == "Infinity"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda record: record.pop("findings"), "the line"),
        (lambda record: record.update(findings=["clean", "leak"]), "findings"),
        (lambda record: record.update(findings=["pretty"]), "findings/0"),
        (lambda record: record.update(status="refused"), "findings|evidence"),
        (lambda record: record["gradient_error"].update(inference="small"), "gradient_error"),
        (lambda record: record["update"].update(when="never"), "update/when"),
        (lambda record: record.update(rank=1), "the line"),
    ],
)
def test_schema_violations_are_located(change: Callable[[dict[str, Any]], Any], where: str) -> None:
    cell = Cell("tiny", "1.0", "plain", "tiny.mode", "seed-batch", Scenario.GRADIENT)
    mode = Mode("tiny.mode", "training", "gradient", "tiny.mode()", STAYS)
    record = line(
        cell, mode, fields_of(judged(LeakBackward)), released="", environment=ENVIRONMENT, reproduce="crosscheck run"
    )
    validate(record)
    broken = copy.deepcopy(record)
    change(broken)
    with pytest.raises(ValueError, match=where):
        validate(broken)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([NAN, 1.0], [NAN, 1.0], 0.0),
        ([NAN], [1.0], INF),
        ([INF], [INF], 0.0),
        ([INF], [-INF], INF),
        ([INF], [NAN], INF),
        ([1.0], [1.0, 1.0], INF),
        ([], [], 0.0),
    ],
)
def test_distance(one: list[float], other: list[float], expected: float) -> None:
    assert expected == distance(np.array(one, np.float32), np.array(other, np.float32))


def test_relative_error_is_scaled_by_a_nonzero_closed_form() -> None:
    assert relative_error(np.array([1.1]), np.array([1.0]), np.array([1.0])) == pytest.approx(0.1)
    assert relative_error(np.array([0.01]), np.array([0.0]), np.array([1.0])) == pytest.approx(0.1)
    assert relative_error(np.array([0.01]), np.array([0.0]), np.array([0.0])) == math.inf
    assert relative_error(np.array([0.0]), np.array([0.0]), np.array([0.0])) == 0.0


@given(st.lists(st.floats(width=32), min_size=1, max_size=5))
def test_every_array_equals_itself(values: list[float]) -> None:
    assert same(np.array(values, np.float32), np.array(values, np.float32))


def test_a_negative_variance_gives_non_finite_results_without_warnings() -> None:
    truth, network = TRUTHS["conv"], NETWORKS["conv"]
    first, second = network.batch_norms[:2]
    weights = {**network.weights, first.variance: -np.ones_like(network.weights[first.variance])}
    found = truth.batch_statistics_by(weights)
    assert np.isfinite(found[first.node].mean).all()
    assert not np.isfinite(found[second.node].mean).any()


def test_no_public_name_of_the_package_is_also_a_module() -> None:
    modules = {module.name for module in pkgutil.iter_modules(crosscheck.judge.__path__)}
    assert not modules & set(crosscheck.judge.__all__)


def off(roundings: float, when: Callable[[Runtime], bool], base: type[Runtime] = Training) -> type[Runtime]:
    """Predictions that are so many roundings of the largest entry off at times; no tensor can be read."""

    class Off(base):  # type: ignore[misc, valid-type]
        def snapshot(self, when: str) -> None:
            pass

        def prediction(self) -> Array:
            value = super().prediction()
            moved: Array = (value + np.float32(roundings * EPSILON) * np.abs(value).max()).astype(np.float32)
            unmoved: Array = value
            return moved if when(self) else unmoved

    return Off


@pytest.mark.parametrize(("roundings", "expected"), [(24, Finding.CLEAN), (48, Finding.LEAK)])
def test_without_noise_and_state_rounding_ends_at_32_roundings(roundings: float, expected: Finding) -> None:
    assert (expected,) == judged(off(roundings, lambda run: run.calls > 0)).findings


@pytest.mark.parametrize("roundings", [0, 10, 40, 100, 400])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("base", "expected"), [(Training, Finding.CLEAN), (LeakBackward, Finding.LEAK)])
def test_noise_of_any_reading_is_no_leak_and_hides_none(
    roundings: float, seed: int, base: type[Runtime], expected: Finding
) -> None:
    assert (expected,) == judged(noisy(roundings, seed, base)).findings


@pytest.mark.parametrize("base", [Training, Blind])
def test_a_first_prediction_that_differs_from_all_later_ones_is_no_leak(base: type[Runtime]) -> None:
    assert (Finding.CLEAN,) == judged(warming(34, base)).findings


class OneChannel(Training):
    """Moves the mean of one channel of the second batch normalization by a thousandth of the way to the batch's."""

    def backward(self) -> None:
        norm = self.network.batch_norms[-1]
        batch = TRUTHS[self.network.name].batch_statistics[norm.node]
        mean = np.array(self.tensors[norm.mean])
        mean[0] += np.float32(0.001 * (batch.mean[0] - mean[0]))
        self.tensors[norm.mean] = mean


def test_one_channel_that_moves_by_a_thousandth_is_seen() -> None:
    assert (Finding.LEAK, Finding.CORRUPTED) == judged(OneChannel, "conv").findings


@pytest.mark.parametrize("network", ["seed-batch", "conv"])
@pytest.mark.parametrize("base", [Training, Blind])
def test_a_leak_that_begins_with_the_second_call_is_a_leak(network: str, base: type[Runtime]) -> None:
    class Second(base):  # type: ignore[misc, valid-type]
        def backward(self) -> None:
            if self.calls:
                self.update()

    verdict = judged(Second, network)
    assert (Finding.LEAK,) == verdict.findings
    if verdict.state_changes:
        assert verdict.update is not None
        assert ("second", 1) == (verdict.update.when, verdict.update.count)


@pytest.mark.parametrize(("network", "keep"), [("conv", 0.9), ("conv", 0.8), ("digits", 0.999)])
def test_one_momentum_for_layers_that_declare_several_is_one_law(network: str, keep: float) -> None:
    class Own(Training):
        def backward(self) -> None:
            self.update(keep=keep)

    verdict = judged(Own, network)
    assert (Finding.LEAK,) == verdict.findings
    assert verdict.update is not None
    assert 1 == verdict.update.count
    assert verdict.update.momentum == pytest.approx(keep, abs=1e-3)


@pytest.mark.parametrize(("keep", "told"), [(0.9, (0.9, 2)), (0.8, (0.8, 2)), (0.7, (0.49, 1))])
def test_of_layers_that_keep_one_part_twice_a_part_that_one_declares_is_told_and_else_the_fewest_updates(
    keep: float, told: tuple[float, int]
) -> None:
    """The layers of `conv` declare 0.9 and 0.8. Once 0.49 has the numbers of twice 0.7."""

    class Twice(Training):
        def backward(self) -> None:
            self.update(keep=keep, count=2)

    update = judged(Twice, "conv").update
    assert update is not None
    assert told[0] == pytest.approx(update.momentum, abs=1e-4)
    assert told[1] == update.count


def test_three_updates_that_take_nine_tenths_are_counted() -> None:
    class Takes(Training):
        def backward(self) -> None:
            self.update(keep=0.1, count=3)

    update = judged(Takes).update
    assert update is not None
    assert ("take", 3) == (update.convention, update.count)


def test_a_change_that_more_than_one_law_explains_is_not_corrupted() -> None:
    """The moving statistics are so close to the batch's that one update and two are within rounding of each other."""

    class Twice(Training):
        def backward(self) -> None:
            self.update(count=2)

    verdict = judged(Twice, variation("seed-batch", near=5e-6))
    assert (Finding.STATE_MOVED,) == verdict.findings
    assert verdict.update is not None
    assert (None, None, None) == (verdict.update.count, verdict.update.momentum, verdict.update.convention)
    assert any("no single law" in item.detail for item in verdict.evidence)


def test_a_layer_whose_change_more_than_one_law_explains_follows_that_of_the_others() -> None:
    still = variation("conv", near=1e-5)
    first = NETWORKS["conv"].batch_norms[0]
    mixed = {**NETWORKS["conv"].weights}
    mixed |= {name: NETWORKS[still].weights[name] for name in (first.mean, first.variance)}
    NETWORKS["one still layer"] = replace(NETWORKS["conv"], name="one still layer", weights=mixed)
    TRUTHS["one still layer"] = Truth.of(NETWORKS["one still layer"])

    class Twice(Training):
        def backward(self) -> None:
            self.update(count=2)

    verdict = judged(Twice, "one still layer")
    assert (Finding.LEAK,) == verdict.findings
    assert verdict.update is not None
    assert ("keep", 2) == (verdict.update.convention, verdict.update.count)


def test_a_layer_that_hardly_moved_does_not_contradict_the_law_of_the_others() -> None:
    """What it did fits one update and two with the declared momentum, and none at all."""
    still = variation("conv", near=1e-5)
    first = NETWORKS["conv"].batch_norms[0]
    mixed = {**NETWORKS["conv"].weights}
    mixed |= {name: NETWORKS[still].weights[name] for name in (first.mean, first.variance)}
    NETWORKS["a still layer"] = replace(NETWORKS["conv"], name="a still layer", weights=mixed)
    TRUTHS["a still layer"] = Truth.of(NETWORKS["a still layer"])

    class Own(Training):
        def backward(self) -> None:
            self.update(keep=0.3)

    verdict = judged(Own, "a still layer")
    assert (Finding.LEAK,) == verdict.findings
    assert verdict.update is not None
    assert verdict.update.momentum == pytest.approx(0.3, abs=1e-3)


def test_a_change_by_a_few_roundings_that_no_prediction_shows_has_no_law_and_is_not_corrupted() -> None:
    class Writes(Training):
        def backward(self) -> None:
            norm = self.network.batch_norms[0]
            self.tensors[norm.variance] = self.network.weights[norm.variance] * np.float32(1 + 8 * EPSILON)

    verdict = judged(Writes, "conv")
    assert (Finding.STATE_MOVED,) == verdict.findings
    assert verdict.update is not None
    assert verdict.update.momentum is None
    assert any("nothing, up to rounding" in item.detail for item in verdict.evidence)


@pytest.mark.parametrize("keep", [0.7505, 0.8505, 0.9995])
def test_layers_of_one_momentum_need_not_agree_in_its_third_digit(keep: float) -> None:
    class Own(Training):
        def backward(self) -> None:
            self.update(keep=keep)

    verdict = judged(Own, "residual")
    assert (Finding.LEAK,) == verdict.findings
    assert verdict.update is not None
    assert verdict.update.momentum == pytest.approx(keep, abs=1e-4)


def test_an_update_that_the_next_prediction_carries_out_is_no_race() -> None:
    assert (Finding.LEAK,) == judged(LeakLate).findings


def test_layers_that_all_but_forget_may_each_fit_another_count_and_follow_one_law() -> None:
    """Of 0.0025 kept, each layer's declared momentum has a power close by; none of them is every layer's."""

    class Own(Training):
        def backward(self) -> None:
            self.update(keep=0.05, count=2)

    verdict = judged(Own, "conv")
    assert (Finding.LEAK,) == verdict.findings
    assert verdict.update is not None
    assert verdict.update.momentum == pytest.approx(0.0025, abs=1e-5)


def test_predictions_at_once_that_differ_and_end_alike_are_not_corrupted() -> None:
    """Of several trials that predict at once, some see the update; after waiting, all have it."""
    late = [observe(kind, immediate, "seed-batch") for kind in (Racy, LeakBackward, Racy)]
    rows = [observe(LeakBackward, undisturbed, "seed-batch") for _ in range(2)]
    assert (Finding.LEAK, Finding.RACY) == judged(LeakBackward, trials=[*rows, *late]).findings


def test_predicting_that_leaks_unseen_is_no_race() -> None:
    class PredictLeaks(Runtime):
        def prediction(self) -> Array:
            value = super().prediction()
            self.update()
            return value

        def snapshot(self, when: str) -> None:
            pass

    assert (Finding.LEAK,) == judged(PredictLeaks).findings


class Stale(Training):
    """Shows the statistics of the beginning until the end, and computes by the moved ones."""

    def __init__(self, network: str) -> None:
        super().__init__(network)
        self.shown = {name: np.array(value) for name, value in self.tensors.items()}

    def backward(self) -> None:
        self.update()

    def snapshot(self, when: str) -> None:
        self.arrays |= {f"state/{when}/{name}": value for name, value in self.shown.items()}


class StaleInference(Stale):
    intent = Intent.INFERENCE


@pytest.mark.parametrize("kind", [Stale, StaleInference])
@pytest.mark.parametrize("network", ["seed-batch", "conv"])
def test_a_stale_state_makes_no_order_dependence(kind: type[Runtime], network: str) -> None:
    assert (Finding.LEAK,) == judged(kind, network).findings


def test_a_statistic_that_is_shown_in_another_shape_does_not_make_the_others_stale() -> None:
    class Shaped(LeakBackward):
        def snapshot(self, when: str) -> None:
            super().snapshot(when)
            key = f"state/{when}/{self.network.batch_norms[0].mean}"
            self.arrays[key] = self.arrays[key][:1]

    later = judged(Shaped, trials=[observe(Shaped, undisturbed, "seed-batch")]).later
    assert later is not None
    assert later.gradient_again is not None


class MovesWhenRead(Training):
    """Does what a call put off once the tensors are read, which show their old values then."""

    def __init__(self, network: str) -> None:
        super().__init__(network)
        self.put_off = False

    def backward(self) -> None:
        self.put_off = True

    def snapshot(self, when: str) -> None:
        super().snapshot(when)
        if self.put_off:
            self.put_off = False
            self.update()


class MovesWhenReadInference(MovesWhenRead):
    intent = Intent.INFERENCE


@pytest.mark.parametrize("kind", [MovesWhenRead, MovesWhenReadInference])
@pytest.mark.parametrize("network", ["seed-batch", "conv"])
def test_reading_that_moves_statistics_is_no_race_and_no_order_dependence(kind: type[Runtime], network: str) -> None:
    inference = observations(Runtime, network, Scenario.GRADIENT)
    verdict = judged(kind, network, inference=inference)
    assert (Finding.LEAK,) == verdict.findings
    assert any("reading changes" in item.detail for item in verdict.evidence)


def test_a_tensor_that_is_there_from_the_second_read_on_makes_a_race_no_effect_of_reading() -> None:
    class Makes(Racy):
        def snapshot(self, when: str) -> None:
            if when == "read":
                self.tensors["made"] = np.ones(2, np.float32)
            super().snapshot(when)

    assert Finding.RACY in judged(Makes).findings


@pytest.mark.parametrize("scenario", [Scenario.TWENTY, Scenario.SIBLING])
def test_what_a_trial_of_predictions_alone_shows_to_be_written_by_them_is_not_put_down_to_the_call(
    scenario: Scenario,
) -> None:
    class Writes(Runtime):
        def prediction(self) -> Array:
            for norm in self.network.batch_norms:
                self.tensors[norm.scale] = self.network.weights[norm.scale] + np.float32(0.5)
            return super().prediction()

    network = "digits" if scenario is Scenario.TWENTY else "seed-batch"
    trials = [observe(Writes, reading(scenario, name), network) for name in ("undisturbed", "unasked")]
    assert Finding.PARAMETERS_WRITTEN in judged(Writes, network, scenario, trials[:1]).findings
    assert Finding.PARAMETERS_WRITTEN not in judged(Writes, network, scenario, trials).findings


@pytest.mark.parametrize("calls", [1, 20])
def test_a_statistic_that_is_rewritten_within_rounding_is_clean_with_a_remark(calls: int) -> None:
    class Rewrites(Training):
        def backward(self) -> None:
            for norm in self.network.batch_norms if self.calls % 3 == 0 else ():
                for name in (norm.mean, norm.variance):
                    value = self.tensors[name]
                    self.tensors[name] = np.nextafter(value, np.float32(9 if self.calls % 2 else -9), dtype=np.float32)

    scenario = Scenario.GRADIENT if calls == 1 else Scenario.TWENTY
    verdict = judged(Rewrites, "digits", scenario)
    assert (Finding.CLEAN,) == verdict.findings
    assert any("rewritten with their own value, up to rounding" in item.detail for item in verdict.evidence)
    assert verdict.contradicts is False


@pytest.mark.parametrize(
    ("value", "expected"), [(1e-45, Finding.CLEAN), (1e-42, Finding.CLEAN), (1e-36, Finding.STATE_MOVED)]
)
def test_a_mean_of_zero_that_becomes_a_subnormal_number_is_rewritten_within_rounding(
    value: float, expected: Finding
) -> None:
    class Subnormal(Training):
        def backward(self) -> None:
            norm = self.network.batch_norms[0]
            assert not self.network.weights[norm.mean].any()
            self.tensors[norm.mean] = np.full_like(self.tensors[norm.mean], value)

    verdict = judged(Subnormal, "seed")
    assert (expected,) == verdict.findings
    remarks = [item.detail for item in verdict.evidence if "rewritten with their own value" in item.detail]
    assert bool(remarks) == (expected is Finding.CLEAN)


@pytest.mark.parametrize(
    ("kind", "within", "beyond"),
    [(np.float16, 2e-7, 4e-7), (np.float32, 4e-38, 6e-38), (np.float64, 8e-308, 1e-307)],
)
def test_rounding_near_zero_has_the_size_of_the_type(kind: type, within: float, beyond: float) -> None:
    zero: Array = np.zeros(2, kind)
    assert [False, True, True] == [moved(zero, np.array([0, value], kind)) for value in (within, beyond, 1e-3)]
    assert [False, True] == [moved(np.array([0, value], kind), zero) for value in (within, beyond)]


def test_twenty_small_moves_that_add_up_are_no_rounding() -> None:
    class Creeps(Training):
        def backward(self) -> None:
            norm = self.network.batch_norms[0]
            self.tensors[norm.variance] = self.tensors[norm.variance] * np.float32(1 + 2 * EPSILON)

    assert (Finding.STATE_MOVED,) == judged(Creeps, "digits", Scenario.TWENTY).findings


class LeavesGradients(Training):
    def snapshot(self, when: str) -> None:
        super().snapshot(when)
        if self.calls:
            self.arrays[f"left/{when}/bn.gamma.grad"] = np.ones(2, np.float32)


@pytest.mark.parametrize("scenario", [Scenario.GRADIENT, Scenario.TWENTY, Scenario.SIBLING, Scenario.ORDER])
def test_parameter_gradients_left_behind_have_one_word_in_every_scenario(scenario: Scenario) -> None:
    verdict = judged(LeavesGradients, "digits" if scenario is Scenario.TWENTY else "seed-batch", scenario)
    assert (Finding.GRADIENTS_LEFT,) == verdict.findings
    assert "bn.gamma.grad" in verdict.evidence[0].detail


def test_gradients_that_an_earlier_call_left_are_not_those_of_the_call_under_test() -> None:
    class LeftBefore(Training):
        def snapshot(self, when: str) -> None:
            super().snapshot(when)
            if when == "before" or self.calls > 1:
                self.arrays[f"left/{when}/bn.gamma.grad"] = np.ones(2, np.float32)

    asked_before = reading(Scenario.ORDER, "after-same")
    rows = [observe(LeftBefore, steps, "seed-batch") for steps in (alone, asked_before)]
    assert (Finding.CLEAN,) == judged(LeftBefore, "seed-batch", Scenario.ORDER, rows).findings


@pytest.mark.parametrize("scenario", [Scenario.GRADIENT, Scenario.TWENTY])
def test_a_layer_that_the_runtime_switched_is_a_mode_left_changed(scenario: Scenario) -> None:
    class Switches(Training):
        def snapshot(self, when: str) -> None:
            super().snapshot(when)
            if self.calls:
                self.arrays[f"switched/{when}/bn"] = np.array(True)

    assert (Finding.MODE_LEFT_CHANGED,) == judged(Switches, "digits", scenario).findings


class Nothing(Runtime):
    """Computes no gradient: a buffer of zeros comes back."""

    def answer(self) -> Array:
        return np.zeros_like(super().answer())


def test_a_gradient_of_zeros_is_no_gradient() -> None:
    verdict = judged(Nothing)
    assert (Finding.NO_GRADIENT,) == verdict.findings
    assert {(0.0, 0.0)} == {(item.value, item.threshold) for item in verdict.evidence}


def test_a_closed_form_that_is_zero_is_no_match() -> None:
    """On the seed, the training-mode gradient is zero: zeros do not show which mode ran."""
    verdict = judged(Nothing, "seed")
    assert (Finding.NO_GRADIENT,) == verdict.findings
    assert "cannot be seen here" in verdict.evidence[0].detail


def test_a_zero_of_the_other_mode_that_moved_statistics_is_wrong_but_an_answer() -> None:
    class Ignores(Nothing):
        def backward(self) -> None:
            self.update()

    assert {Finding.LEAK, Finding.WRONG_GRADIENT} == set(judged(Ignores, "seed").findings)


def test_a_zero_gradient_that_the_mode_asks_for_is_clean() -> None:
    assert (Finding.CLEAN,) == judged(Training, "seed").findings


def test_a_residue_of_a_vanishing_gradient_is_wrong_and_not_the_other_mode() -> None:
    class Residue(Runtime):
        def answer(self) -> Array:
            return np.full_like(super().answer(), 1e-7)

    assert (Finding.WRONG_GRADIENT,) == judged(Residue, "seed").findings


class Adopts(LeakBackward):
    """The user's own line replaces the statistics by returned ones."""

    adopts = True


def test_statistics_that_the_user_adopts_are_no_finding_and_their_moment_is_told() -> None:
    verdict = judged(Adopts)
    assert (Finding.CLEAN,) == verdict.findings
    assert verdict.update is not None
    assert "adopted" == verdict.update.when
    assert any("the call's own lines replace the statistics" in item.detail for item in verdict.evidence)


class Feeds(LeakBackward):
    """The statistics are arrays of the caller, passed with every call."""

    fed = True


def test_statistics_of_the_caller_that_are_overwritten_are_his_input() -> None:
    verdict = judged(Feeds, "conv")
    assert (Finding.INPUT_WRITTEN,) == verdict.findings
    assert "an array of the caller" in verdict.evidence[0].what
    assert verdict.contradicts is True


@pytest.mark.parametrize("kind", [Adopts, Feeds])
def test_such_statistics_are_no_finding_either_where_no_prediction_shows_them(kind: type[Runtime]) -> None:
    class Unseen(kind):  # type: ignore[valid-type, misc]
        def prediction(self) -> Array:
            return oracle.predict(self.network.graph, self.network.weights, self.network.x).astype(np.float32)

    expected = (Finding.INPUT_WRITTEN,) if kind is Feeds else (Finding.CLEAN,)
    assert expected == judged(Unseen).findings


def test_trials_that_differ_by_a_thousandth_are_unrepeatable() -> None:
    row = observe(Training, undisturbed, "seed-batch")
    other = {
        key: value * np.float32(1.001) if key.startswith("prediction/") else value for key, value in row.arrays.items()
    }
    found = judged(Training, trials=[row, replace(row, arrays=other)]).findings
    assert {Finding.UNREPEATABLE, Finding.WRONG_PREDICTION} == set(found)


def test_small_statistics_that_differ_between_trials_are_unrepeatable() -> None:
    row = observe(Training, undisturbed, "seed-batch")
    other = {
        key: value + np.float32(1e-4) if key == "state/after/bn.mean" else value for key, value in row.arrays.items()
    }
    expected = (Finding.STATE_MOVED, Finding.CORRUPTED, Finding.UNREPEATABLE)
    assert expected == judged(Training, trials=[row, replace(row, arrays=other)]).findings


def test_trials_that_move_statistics_apart_are_corrupted_where_no_prediction_shows_it() -> None:
    class Unseen(Chance):
        def prediction(self) -> Array:
            return oracle.predict(self.network.graph, self.network.weights, self.network.x).astype(np.float32)

    verdict = judged(Unseen, trials=[observe(Unseen, undisturbed, "seed-batch") for _ in range(2)])
    assert (Finding.STATE_MOVED, Finding.CORRUPTED, Finding.UNREPEATABLE) == verdict.findings
    corrupted = [item.what for item in verdict.evidence if item.finding is Finding.CORRUPTED]
    assert ["undisturbed: trials that changed the network to different states"] == corrupted


def test_predictions_tell_states_apart_where_no_tensor_is_shown() -> None:
    def keeping(part: float) -> type[Runtime]:
        class Keeps(Blind):
            def backward(self) -> None:
                self.update(keep=part)

        return Keeps

    def found(*parts: float) -> set[Finding]:
        return set(judged(Blind, trials=[observe(keeping(part), undisturbed, "seed-batch") for part in parts]).findings)

    assert {Finding.LEAK, Finding.CORRUPTED, Finding.UNREPEATABLE} == found(0.5, 0.8)
    assert {Finding.LEAK, Finding.UNREPEATABLE} == found(0.5, 1.0)
    assert {Finding.LEAK} == found(0.5, 0.5)


def test_a_leak_that_only_the_second_prediction_shows() -> None:
    class Later(Blind):
        def predict(self, when: str) -> None:
            super().predict(when)
            if when == "after-again":
                self.arrays["prediction/after-again"] = self.arrays["prediction/after-again"] * np.float32(1.1)

    assert (Finding.LEAK,) == judged(Later, trials=[observe(Later, undisturbed, "seed-batch")]).findings


def test_a_hidden_tensor_that_moves_with_the_next_prediction() -> None:
    class Late(Training):
        def __init__(self, network: str) -> None:
            super().__init__(network)
            self.tensors["hidden"] = np.array(0)

        def predict(self, when: str) -> None:
            if self.calls:
                self.tensors["hidden"] = self.tensors["hidden"] + 1
            super().predict(when)

    rows = [observe(Late, steps, "seed-batch") for steps in (undisturbed, timed)]
    assert (Finding.STATE_MOVED,) == judged(Late, trials=rows).findings


def test_a_second_answer_that_is_not_the_first() -> None:
    class Grows(Blind):
        asks = Asks.PREDICTION
        intent = Intent.INFERENCE
        can_take_apart = False

        def answer(self) -> Array:
            grown: Array = super().answer() * np.float32(1 + 5e-6 * self.calls)
            return grown

    assert (Finding.LEAK,) == judged(Grows, scenario=Scenario.PREDICT_ONLY).findings


def test_readings_that_ask_twice_and_get_the_same_answer_are_named_and_those_that_ask_once_are_not() -> None:
    class Predicts(Blind):
        asks = Asks.PREDICTION
        intent = Intent.INFERENCE

    asked = [reading(Scenario.PREDICT_ONLY, name) for name in ("undisturbed", "timed", "immediate")]
    first, second, once = (observe(Predicts, steps, "seed-batch") for steps in asked)
    assert ["forward/second" in row.arrays for row in (first, second, once)] == [True, True, False]
    other = {**first.arrays, "forward/second": first.arrays["forward/second"] * np.float32(1.5)}
    verdict = judged(Predicts, scenario=Scenario.PREDICT_ONLY, trials=[replace(first, arrays=other), second, once])
    (detail,) = (item.detail for item in verdict.evidence if item.finding is Finding.LEAK)
    assert detail.endswith("; not timed")


def test_classes_alone_are_a_leak() -> None:
    row = observe(Training, twenty, "digits")
    classes = row.arrays["classes/20"].copy()
    classes[0] = (classes[0] + 1) % 10
    rows = [replace(row, arrays={**row.arrays, "classes/20": classes})] * 2
    assert (Finding.LEAK,) == judged(Training, "digits", Scenario.TWENTY, rows).findings


def test_changes_of_tensors_are_those_of_the_undisturbed_trials_and_of_hidden_ones_those_of_the_timed_trial() -> None:
    class Counts(LeakBackward):
        def __init__(self, network: str) -> None:
            super().__init__(network)
            self.tensors["hidden"] = np.zeros(1, np.float32)

        def backward(self) -> None:
            self.update(count=2)
            self.tensors["hidden"] += 3

    calm, counting = observe(LeakBackward, undisturbed, "seed-batch"), observe(Counts, timed, "seed-batch")
    changes = judged(LeakBackward, trials=[calm, counting]).state_changes
    (norm,) = NETWORKS["seed-batch"].batch_norms
    for name in (norm.mean, norm.variance):
        assert distance(NETWORKS["seed-batch"].weights[name], calm.arrays[f"state/after/{name}"]) == changes[name] > 0
    assert changes["hidden"] == 3


def test_one_reading_with_a_wrong_gradient_is_enough() -> None:
    right, wrong = (observe(Training, steps, "seed-batch") for steps in (undisturbed, timed))
    wrong = replace(wrong, arrays={**wrong.arrays, "gradient/first": wrong.arrays["gradient/first"] * np.float32(3)})
    for trials in ([right, wrong], [wrong, right]):
        found = [item for item in judged(Training, trials=trials).evidence if item.finding is Finding.WRONG_GRADIENT]
        assert [True] == [item.what.startswith("timed: ") and item.detail.endswith("not undisturbed") for item in found]


def test_one_reading_that_predicts_wrongly_is_enough() -> None:
    rows = [observe(Training, undisturbed, "seed-batch")] * 2 + [observe(Training, timed, "seed-batch")]
    wrong = {
        key: value * np.float32(1.01) if key.startswith("prediction/") else value
        for key, value in rows[2].arrays.items()
    }
    verdict = judged(Training, trials=[*rows[:2], replace(rows[2], arrays=wrong)])
    assert (Finding.WRONG_PREDICTION,) == verdict.findings


def test_a_hidden_tensor_that_becomes_not_a_number_is_corrupted() -> None:
    class Hidden(Training):
        def __init__(self, network: str) -> None:
            super().__init__(network)
            self.tensors["hidden"] = np.array(0.0)

        def backward(self) -> None:
            self.tensors["hidden"] = np.array(np.nan)

    assert {Finding.STATE_MOVED, Finding.CORRUPTED} == set(judged(Hidden).findings)


def test_a_lawless_change_in_any_reading_is_corrupted() -> None:
    rows = [observe(LeakBackward, undisturbed, "seed-batch")] * 2
    row = observe(LeakBackward, timed, "seed-batch")
    keys = ("state/after/bn.mean", "state/asked/bn.mean")
    shift = np.array([0.3, -0.1], np.float32)
    wild = {key: value + shift if key in keys else value for key, value in row.arrays.items()}
    verdict = judged(LeakBackward, trials=[*rows, replace(row, arrays=wild)])
    assert (Finding.LEAK, Finding.CORRUPTED) == verdict.findings


def test_one_trial_that_leaks_and_one_that_does_not() -> None:
    rows = [observe(kind, undisturbed, "seed-batch") for kind in (LeakBackward, Training)]
    assert {Finding.LEAK, Finding.UNREPEATABLE} == set(judged(Training, trials=rows).findings)


def test_predicting_at_once_that_gives_another_number_is_racy() -> None:
    rows = [observe(LeakBackward, undisturbed, "seed-batch")] * 2 + [observe(Training, immediate, "seed-batch")]
    assert {Finding.LEAK, Finding.RACY} == set(judged(LeakBackward, trials=rows).findings)


def test_a_network_that_is_not_asked_contradicts_no_contract_that_moves_statistics() -> None:
    assert judged(Runtime, scenario=Scenario.ORDER, contract=Contract("move", "", "")).contradicts is False


def test_a_crash_at_the_end_of_a_spotless_trial_is_not_clean() -> None:
    row = observe(Training, undisturbed, "seed-batch")
    verdict = judged(Training, trials=[replace(row, status=Status.CRASHED, reason="signal 11")])
    assert (Status.CRASHED, ()) == (verdict.status, verdict.findings)


@pytest.mark.parametrize("counter", ["num_batches_tracked", "counter", "updates"])
def test_a_count_that_the_layer_keeps_tells_a_cumulative_average(counter: str) -> None:
    """As torch, Haiku and Chainer call it."""

    class Cumulative(Training):
        def __init__(self, network: str) -> None:
            super().__init__(network)
            self.tensors[f"bn.{counter}"] = np.array(4)

        def backward(self) -> None:
            norm = self.network.batch_norms[0]
            batch = TRUTHS[self.network.name].batch_statistics[norm.node]
            for name, new in ((norm.mean, batch.mean), (norm.variance, batch.variance)):
                self.tensors[name] = ((4 * self.tensors[name] + new) / 5).astype(np.float32)
            self.tensors[f"bn.{counter}"] = np.array(5)

    update = judged(Cumulative).update
    assert update is not None
    assert ("cumulative", 1) == (update.average, update.count)
    assert update.momentum == pytest.approx(0.8, abs=1e-4)


@pytest.mark.parametrize(("kind", "expected"), [(Runtime, Finding.EXPORT_CHANGED), (Training, Finding.CLEAN)])
def test_an_export_that_predicts_in_training_form_is_changed_unless_it_is_for_training(
    kind: type[Runtime], expected: Finding
) -> None:
    row, network = observe(kind, export, "seed-batch"), NETWORKS["seed-batch"]
    y = oracle.predict(network.graph, network.weights, network.x, True).astype(np.float32)
    row = replace(row, arrays={**row.arrays, "prediction/exported": y})
    assert (expected,) == judged(kind, scenario=Scenario.EXPORT, trials=[row]).findings


def test_accuracy_is_measured_against_the_labels() -> None:
    row = observe(Training, twenty, "digits")
    wrong = {key: (value + 1) % 10 if key.startswith("classes/") else value for key, value in row.arrays.items()}
    curve = judged(Training, "digits", Scenario.TWENTY, [replace(row, arrays=wrong)] * 2).curve
    assert curve is not None
    assert max(curve.accuracy) < 0.1


def test_one_wrong_trial_of_the_inference_mode_by_itself_excuses_it() -> None:
    right, wrong = (observations(kind, "seed-batch", Scenario.GRADIENT) for kind in (Runtime, ModeIgnored))
    assert (Finding.CLEAN,) == judged(InferenceWrongAfterwards, inference=[*right, wrong[0]]).findings


def test_the_second_answer_is_judged_at_the_statistics_that_the_first_call_left() -> None:
    class Leaks(LeakBackward):
        intent = Intent.INFERENCE

    class Old(Leaks):
        """Its second answer is still at the statistics of the beginning."""

        def answer(self) -> Array:
            kept, self.tensors = self.tensors, {name: np.array(value) for name, value in self.network.weights.items()}
            value = super().answer()
            self.tensors = kept
            return value

    class ShowsStatistics(Old):
        """And it shows nothing else."""

        def snapshot(self, when: str) -> None:
            moving = {name for norm in self.network.batch_norms for name in (norm.mean, norm.variance)}
            self.arrays |= {f"state/{when}/{name}": np.array(self.tensors[name]) for name in moving}

    assert (Finding.LEAK,) == judged(Leaks).findings
    assert {Finding.LEAK, Finding.ORDER_DEPENDENT} == set(judged(Old).findings)
    assert {Finding.LEAK, Finding.ORDER_DEPENDENT} == set(judged(ShowsStatistics).findings)


def test_failures_of_a_reading_are_counted() -> None:
    row = observe(Training, undisturbed, "seed-batch")
    refused = replace(row, reading="timed", status=Status.REFUSED, reason="no", arrays={})
    (_, reading) = judged(Training, trials=[row, refused, refused, refused]).trials
    assert [3] == [outcome.count for outcome in reading.outcomes]


def test_what_a_runtime_held_from_the_beginning_is_no_change_of_the_call() -> None:
    class TakesOne(Training):
        """Holds another scale than the network's, as layers do that fix it to 1."""

        def __init__(self, network: str) -> None:
            super().__init__(network)
            self.tensors["bn1.gamma"] = np.ones_like(self.tensors["bn1.gamma"])

    verdict = judged(TakesOne, "conv")
    assert (Finding.WRONG_GRADIENT, Finding.WRONG_PREDICTION) == verdict.findings
    assert 0 == verdict.state_changes["bn1.gamma"]


def layers_read(network: str, training: bool, wrong: str = "", missing: str = "") -> Observation:
    """The reading `layers`, of a runtime in which one node's output is wrong and one is not shown."""
    shown = {name: value.astype(np.float32) for name, value in TRUTHS[network].layers(training).items()}
    arrays = {f"layer/{name}": value + (name == wrong) for name, value in shown.items() if name != missing}
    return Observation("layers", Status.OK, None, (), arrays, 0.01, 0.01, 0)


@pytest.mark.parametrize("kind", [Runtime, Training])
def test_the_first_layer_that_is_not_the_oracles_is_named(kind: type[Runtime]) -> None:
    training = kind.intent is Intent.TRAINING
    usual = observations(kind, "conv", Scenario.GRADIENT)
    nodes = NETWORKS["conv"].graph["nodes"]
    for node in nodes:
        (name,) = node["outputs"][:1]
        first = judged(kind, "conv", trials=[*usual, layers_read("conv", training, wrong=name)]).first_layer
        assert first is not None
        assert (node["name"], node["op"], name) == (first.node, first.op, first.tensor)
        assert first.error > 1e-3
        unseen = layers_read("conv", training, wrong=name, missing=name)
        assert judged(kind, "conv", trials=[*usual, unseen]).first_layer is None
    assert judged(kind, "conv", trials=usual).first_layer is None
    assert judged(kind, "conv", trials=[*usual, layers_read("conv", training)]).first_layer is None
    other = judged(kind, "conv", trials=[*usual, layers_read("conv", not training)]).first_layer
    assert other is not None
    assert "BatchNormalization" == other.op


@pytest.mark.parametrize("number", ["mean", "variance"])
@pytest.mark.parametrize("whose", ["before", "after", "batch"])
def test_a_truth_keeps_laws_by_all_of_their_numbers(whose: str, number: str) -> None:
    truth = TRUTHS["seed"]
    (norm,) = truth.network.batch_norms
    batch = truth.batch_statistics[norm.node]
    before = Statistics(truth.network.weights[norm.mean], truth.network.weights[norm.variance])
    numbers: dict[str, Any] = {"before": before, "after": updated(before, batch, norm.momentum), "batch": batch}
    laws = truth.laws(norm, **numbers)
    assert [norm.momentum] == [pytest.approx(law.momentum) for law in laws]
    changed = replace(numbers[whose], **{number: getattr(numbers[whose], number) + 0.5})
    assert laws != truth.laws(norm, **{**numbers, whose: changed})


def test_trials_that_end_differently_are_told_apart_by_their_statuses() -> None:
    one = observe(Training, undisturbed, "seed-batch")
    (reading,) = judged(Training, trials=[one, replace(one, status=Status.CRASHED, reason="signal 11")]).trials
    assert {"ok": 1, "crashed": 1} == reading.statuses
    assert 1 == sum(outcome.what.endswith("; one ok, one crashed") for outcome in reading.outcomes)


@pytest.mark.parametrize(("when", "change"), [("first", 1.0), ("second", 1.0), ("inference", 1.0), ("other", None)])
def test_the_change_of_an_input_is_that_of_the_input_of_its_call(when: str, change: float | None) -> None:
    """What another call was given is unknown."""
    row = observe(Training, undisturbed, "seed-batch")
    written = {f"input/{when}": NETWORKS["seed-batch"].x + np.float32(1)}
    verdict = judged(Training, trials=[replace(row, arrays={**row.arrays, **written})])
    assert (Finding.INPUT_WRITTEN,) == verdict.findings
    (evidence,) = (item for item in verdict.evidence if item.finding is Finding.INPUT_WRITTEN)
    assert (change is None) == (evidence.value is None)
    assert evidence.value is None or evidence.value == pytest.approx(1.0)


def test_a_second_call_at_unknown_statistics_is_no_evidence_of_order() -> None:
    """The read after the first call is stale, as its prediction shows; the one after the second call is not."""

    class StaleOnce(Runtime):
        def backward(self) -> None:
            self.update()

        def snapshot(self, when: str) -> None:
            now = self.tensors
            self.tensors = dict(self.network.weights) if when == "after" else now
            super().snapshot(when)
            self.tensors = now

    trials = [observe(StaleOnce, undisturbed, "seed-batch")]
    assert (Finding.LEAK,) == judged(StaleOnce, trials=trials).findings


@pytest.mark.parametrize("kind", [Runtime, Training])
@pytest.mark.parametrize("near", list(Intent))
def test_a_wrong_answer_is_measured_by_the_nearer_closed_form(kind: type[Runtime], near: Intent) -> None:
    class Scaled(kind):  # type: ignore[misc, valid-type]
        def answer(self) -> Array:
            value: Array = self.gradient(near is Intent.TRAINING) * np.float32(1.01)
            return value

    wrong = [item for item in judged(Scaled).evidence if item.finding is Finding.WRONG_GRADIENT]
    assert wrong
    for item in wrong:
        assert f"the nearer closed form, {near} mode" in item.what
        assert item.value == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize(("count", "end"), [(1, "hidden0"), (3, "hidden2"), (4, "hidden2 ...")])
def test_up_to_three_arrays_in_which_trials_differ_are_named(count: int, end: str) -> None:
    one = observe(Training, undisturbed, "seed-batch")
    names = [f"state/after/hidden{index}" for index in range(count)]
    trials = [replace(one, arrays={**one.arrays, **dict.fromkeys(names, np.full(1, value))}) for value in (1.0, 2.0)]
    (detail,) = {item.detail for item in judged(Training, trials=trials).evidence if "distinct outcomes" in item.what}
    named = detail.partition("differing in ")[2]
    assert min(count, 3) == named.count("hidden")
    assert named.endswith(end)
