"""The judge, on observations of a simulated runtime with one misbehaviour at a time."""

from __future__ import annotations

import copy
import json
import math
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import crosscheck.judge
from crosscheck import oracle
from crosscheck.cells import Array, Asks, Cell, Finding, Intent, Observation, Scenario, Status, Step
from crosscheck.judge import Judgement, Truth, judge, line, validate
from crosscheck.judge.compare import relative_error
from crosscheck.networks import load
from crosscheck.oracle import Statistics, updated
from crosscheck.oracle.renormalized import renormalized
from crosscheck.repeatability import distance, same
from crosscheck.runtimes.mode import Contract, Mode

DIGITS = load("digits")
assert DIGITS.images is not None
assert DIGITS.labels is not None
NETWORKS = {name: load(name) for name in ("seed", "seed-batch", "conv", "conv-plain", "residual")}
NETWORKS["digits"] = replace(DIGITS, images=DIGITS.images[:40], labels=DIGITS.labels[:40])
TRUTHS = {name: Truth.of(network) for name, network in NETWORKS.items()}
STAYS = Contract("stay", "statistics stay", "https://example.org/manual")


class Runtime:
    """A correct runtime: the oracle, rounded to float32. Each subclass misbehaves."""

    intent = Intent.INFERENCE
    asks = Asks.GRADIENT
    can_take_apart = True

    def __init__(self, network: str) -> None:
        self.network = NETWORKS[network]
        self.tensors = {name: np.array(value) for name, value in self.network.weights.items()}
        self.arrays: dict[str, Array] = {}
        self.steps: list[Step] = []
        self.calls = 0
        self.flag = False

    # Overridden by subclasses.
    def forward(self) -> None:
        """Side effects of the call before `between`."""

    def backward(self) -> None:
        """Side effects of the call after `between`."""

    def settled(self) -> None:
        """Side effects of waiting."""

    def broken(self) -> bool:
        return False

    def prediction(self) -> Array:
        with np.errstate(all="ignore"):
            return oracle.predict(self.network.graph, self.tensors, self.network.x).astype(np.float32)

    def answer(self) -> Array:
        training = self.intent is Intent.TRAINING
        if self.asks is Asks.PREDICTION:
            return oracle.predict(self.network.graph, self.tensors, self.network.x, training).astype(np.float32)
        return self.gradient(training)

    def gradient(self, training: bool) -> Array:
        here = self.network
        return oracle.gradient(here.graph, self.tensors, here.x, here.cotangent, training).astype(np.float32)

    # Steps of a trial.
    def step(self, label: str, action: Callable[[], None]) -> None:
        if self.broken():
            self.steps.append(Step(label, 0.001, "RuntimeError: the engine is in an error state"))
            raise InterruptedError(label)
        action()
        self.steps.append(Step(label, 0.001))

    def predict(self, when: str) -> None:
        self.step(f"predict/{when}", lambda: self.arrays.update({f"prediction/{when}": self.prediction()}))

    def ask(self, when: str, between: Callable[[], None] = lambda: None) -> None:
        kind = "gradient" if self.asks is Asks.GRADIENT else "forward"

        def call() -> None:
            self.arrays[f"{kind}/{when}"] = self.answer()
            self.forward()
            if self.can_take_apart:
                between()
            self.backward()
            self.calls += 1

        self.steps.append(Step(f"flags/before-{when}", 0.0, flags={"training": self.flag}))
        self.step(f"{kind}/{when}", call)
        self.steps.append(Step(f"flags/after-{when}", 0.0, flags={"training": self.flag}))

    def snapshot(self, when: str) -> None:
        self.arrays |= {f"state/{when}/{name}": np.array(value) for name, value in self.tensors.items()}
        self.arrays |= {f"parameters/{when}/{name}": np.array(value) for name, value in self.public().items()}

    def public(self) -> dict[str, Array]:
        return self.tensors

    def update(self, variance: Any = "biased", keep: float | None = None, count: int = 1) -> None:
        """Update every batch normalization's moving statistics in place."""
        seen = TRUTHS[self.network.name].batch_statistics
        for norm in self.network.batch_norms:
            before = Statistics(self.tensors[norm.mean], self.tensors[norm.variance])
            after = updated(
                before, seen[norm.node], keep or norm.momentum, count, variance=variance, epsilon=norm.epsilon
            )
            self.tensors[norm.mean] = after.mean.astype(np.float32)
            self.tensors[norm.variance] = after.variance.astype(np.float32)

    def inference_afterwards(self) -> None:
        self.arrays["gradient/inference"] = self.gradient(training=False)


def undisturbed(run: Runtime) -> None:
    run.predict("before")
    run.predict("before-again")
    run.ask("first")
    run.predict("after")
    run.predict("after-again")
    run.settled()
    run.snapshot("after")
    run.ask("second")
    run.snapshot("before-inference")
    run.inference_afterwards()
    run.predict("last")


def timed(run: Runtime) -> None:
    run.snapshot("built")
    run.predict("before")
    run.snapshot("predicted")

    def between() -> None:
        run.settled()
        run.snapshot("between")

    run.ask("first", between)
    run.settled()
    run.snapshot("asked")
    run.snapshot("read")
    run.predict("after")
    run.snapshot("after")


def unsettled(run: Runtime) -> None:
    run.predict("before")
    run.ask("first")
    run.snapshot("at-once")
    run.settled()
    run.snapshot("after")
    run.predict("after")


def immediate(run: Runtime) -> None:
    run.predict("before")
    run.ask("first")
    run.predict("after")
    run.settled()
    run.snapshot("after")
    run.predict("last")


def alone(run: Runtime) -> None:
    run.ask("first")
    run.settled()
    run.snapshot("after")


def sibling(run: Runtime) -> None:
    run.predict("before")
    run.ask("first")
    run.predict("after")
    run.settled()
    run.snapshot("after")


def export(run: Runtime) -> None:
    run.predict("before")
    run.snapshot("before")
    run.step("export", run.backward)
    run.predict("after")
    run.snapshot("after")
    run.arrays["prediction/exported"] = run.prediction()


def twenty(run: Runtime) -> None:
    for step in range(21):
        if step:
            run.ask(str(step))
        run.predict(str(step))
        run.arrays[f"classes/{step}"] = classes(run)
    run.snapshot("last")


def classes(run: Runtime) -> Array:
    assert run.network.images is not None
    logits = oracle.predict(run.network.graph, run.tensors, run.network.images)
    found: Array = np.argmax(logits, axis=1).astype(np.uint8)
    return found


READINGS: dict[Scenario, list[Callable[[Runtime], None]]] = {
    Scenario.GRADIENT: [undisturbed, undisturbed, timed, unsettled, immediate],
    Scenario.PREDICT_ONLY: [undisturbed, undisturbed, timed, unsettled, immediate],
    Scenario.ORDER: [alone],
    Scenario.TWENTY: [twenty, twenty],
    Scenario.SIBLING: [sibling],
    Scenario.EXPORT: [export],
}


def observe(kind: type[Runtime], steps: Callable[[Runtime], None], network: str, reading: str = "") -> Observation:
    run = kind(network)
    reason = None
    try:
        steps(run)
    except InterruptedError as problem:
        reason = str(problem)
    name = reading or ("undisturbed" if steps in (twenty, sibling, export) else steps.__name__)
    return Observation(name, Status.OK, reason, tuple(run.steps), run.arrays, 0.01, 0.01, 0)


def observations(kind: type[Runtime], network: str, scenario: Scenario) -> list[Observation]:
    return [observe(kind, steps, network) for steps in READINGS[scenario]]


def judged(
    kind: type[Runtime],
    network: str = "seed-batch",
    scenario: Scenario = Scenario.GRADIENT,
    trials: Sequence[Observation] | None = None,
    inference: Sequence[Observation] = (),
    contract: Contract = STAYS,
) -> Judgement:
    cell = Cell("tiny", "1.0", "plain", "tiny.mode", network, scenario)
    asks = "export" if scenario is Scenario.EXPORT else kind.asks.value
    mode = Mode("tiny.mode", kind.intent.value, asks, "tiny.mode()", contract, inference="tiny.inference")
    if trials is None:
        trials = observations(kind, network, scenario)
    verdict = judge(cell, mode, NETWORKS[network], TRUTHS[network], trials, inference)
    record = line(cell, mode, verdict, released="", environment=ENVIRONMENT, reproduce="crosscheck run")
    validate(json.loads(json.dumps(record, allow_nan=False)))
    return verdict


ENVIRONMENT = {"python": "3.11.7", "lock": "1.0.txt", "packages": {"tiny": "1.0"}, "variables": {}}


class Training(Runtime):
    """Correct, called for the training-mode gradient."""

    intent = Intent.TRAINING


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


class Racy(Training):
    """Another thread updates a little later; an immediate prediction may not see it."""

    pending = False

    def backward(self) -> None:
        self.pending = True

    def settled(self) -> None:
        if self.pending:
            self.update()
        self.pending = False


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
    cell = Cell("tiny", "1.0", "plain", "tiny.mode", network, Scenario.GRADIENT)
    mode = Mode("tiny.mode", "training", "gradient", "tiny.mode()", STAYS, inference="tiny.inference")

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
        (ExportChanges, Scenario.EXPORT, {Finding.EXPORT_CHANGED}),
    ],
)
def test_other_scenarios(kind: type[Runtime], scenario: Scenario, expected: set[Finding]) -> None:
    network = "digits" if scenario is Scenario.TWENTY else "seed-batch"
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
        (LeakLate, "read", 1, True),
    ],
)
def test_when_and_how_often_statistics_move(kind: type[Runtime], when: str, count: int, taken_apart: bool) -> None:
    update = judged(kind).update
    assert update is not None
    assert (when, count, taken_apart) == (update.when, update.count, update.taken_apart)


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


@given(keep=st.floats(0.05, 0.98), count=st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_a_law_with_any_momentum_is_not_corrupted(keep: float, count: int) -> None:
    class Own(Training):
        def backward(self) -> None:
            self.update(keep=keep, count=count)

    assert Finding.CORRUPTED not in judged(Own).findings


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


def test_the_example_of_the_design_document() -> None:
    verdict = judged(LeakBackward, "seed")
    assert verdict.prediction_before is not None
    assert verdict.prediction_after is not None
    assert ["0.29985", "0.3998"] == [f"{value:.6g}" for value in verdict.prediction_before[0]]
    assert ["0.284447", "0.379263"] == [f"{value:.6g}" for value in verdict.prediction_after[0]]
    assert [1] == verdict.top1_before
    assert dict(verdict.gradient_error or {}) == {"inference": pytest.approx(1, abs=0.01), "training": 0.0}
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
    assert dict(later["inference_gradient"] or {}) == {
        "inference": pytest.approx(0, abs=1e-6),
        "training": pytest.approx(1, abs=0.9),
    }
    assert later["gradient_again"] is not None
    assert later["gradient_again"]["training"] == pytest.approx(0, abs=1e-6)


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
    class Lazy(LeakBackward):
        """Returns the old tensors once, directly after the call."""

        def snapshot(self, when: str) -> None:
            kept = self.tensors
            if when == "at-once":
                self.tensors = dict(self.network.weights)
            super().snapshot(when)
            self.tensors = kept

    verdict = judged(Lazy)
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


def test_no_race_is_reported_if_waiting_trials_disagree() -> None:
    rows = [observe(LeakBackward, undisturbed, "seed-batch"), observe(Training, immediate, "seed-batch")]
    assert (Finding.LEAK, Finding.RACY) == judged(Training, trials=rows).findings
    rows.append(observe(Training, undisturbed, "seed-batch"))
    assert (Finding.LEAK, Finding.UNREPEATABLE) == judged(Training, trials=rows).findings


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
    assert Finding.LEAK in verdict.findings
    assert Finding.RACY not in verdict.findings
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

    assert ["shows", "hides", None] == [judged(kind).public_view for kind in (LeakBackward, Hides, Training)]


@pytest.mark.parametrize(("says", "expected"), [("stay", True), ("move", False), ("undocumented", False)])
def test_contradiction_of_the_contract(says: str, expected: bool) -> None:
    assert judged(LeakBackward, contract=Contract(says, "", "")).contradicts is expected


@pytest.mark.parametrize(("says", "expected"), [("stay", False), ("move", True), ("undocumented", False)])
def test_statistics_that_stay_contradict_a_contract_that_moves_them(says: str, expected: bool) -> None:
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


def test_a_crash_in_the_call_is_neither_clean_nor_a_finding() -> None:
    row = observe(Training, undisturbed, "seed-batch")
    kept = {key: value for key, value in row.arrays.items() if key.startswith("prediction/before")}
    died = Step("gradient/first", math.nan, "the process ended in this step")
    verdict = judged(
        Training, trials=[replace(row, status=Status.CRASHED, reason="signal 11", arrays=kept, steps=(died,))]
    )
    assert (Status.CRASHED, ()) == (verdict.status, verdict.findings)


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
    record = line(cell, mode, verdict, released="", environment=ENVIRONMENT, reproduce="crosscheck run")
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
    record = line(cell, mode, judged(LeakBackward), released="", environment=ENVIRONMENT, reproduce="crosscheck run")
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
