"""All evidence of one misbehaviour at a time: sentences, numbers and thresholds, computed from the recorded arrays."""

from __future__ import annotations

import itertools
from dataclasses import asdict, replace

import numpy as np
import pytest

from crosscheck import oracle
from crosscheck.cells import Array, Asks, Finding, Scenario, Status, Step
from crosscheck.judge import Truth, predictions
from crosscheck.networks import Network
from crosscheck.networks.graph import Graph, Node
from crosscheck.records import ClosedForms, Judgement
from crosscheck.runtimes.mode import Contract
from tests.synthetic import (
    EPSILON,
    NETWORKS,
    TRUTHS,
    Racy,
    Runtime,
    Training,
    export,
    immediate,
    judged,
    observations,
    observe,
    timed,
    twenty,
    undisturbed,
    unsettled,
)

SEED = NETWORKS["seed-batch"]
BEFORE = oracle.predict(SEED.graph, SEED.weights, SEED.x).astype(np.float32)
#: What is rounding where statistics moved: 32 roundings of the largest entry.
ROUNDING = 32 * EPSILON * float(np.abs(BEFORE).max())
CLOSED_FORM = 1e-4
INFERENCE, TRAINING = (
    oracle.gradient(SEED.graph, SEED.weights, SEED.x, SEED.cotangent, training) for training in (False, True)
)


class Leak(Training):
    def backward(self) -> None:
        self.update()


def shown(values: Array) -> str:
    """The first four numbers of more."""
    flat = np.ravel(values)
    first = " ".join(f"{value:.6g}" for value in flat[:4])
    return f"{first} ... ({flat.size} numbers, the largest {np.abs(flat).max():.6g})"


def apart(one: Array, other: Array) -> float:
    return float(np.abs(np.asarray(one, np.float64) - np.asarray(other, np.float64)).max())


def sentences(verdict: Judgement) -> list[tuple[Finding, str, str]]:
    return [(item.finding, item.what, item.detail) for item in verdict.evidence]


def numbers(verdict: Judgement) -> list[tuple[float | None, float | None]]:
    return [(item.value, item.threshold) for item in verdict.evidence]


def close(*pairs: tuple[float | None, float | None]) -> list[object]:
    """Values to a thousandth, or below a millionth, where they should be zero but for rounding."""
    return [
        tuple(None if number is None else pytest.approx(number, rel=1e-3, abs=1e-6) for number in pair)
        for pair in pairs
    ]


def predicted(kind: type[Runtime]) -> Array:
    """The prediction after the call."""
    return observe(kind, undisturbed, "seed-batch").arrays["prediction/after"]


def test_a_leak() -> None:
    after = predicted(Leak)
    verdict = judged(Leak)
    assert sentences(verdict) == [
        (
            Finding.LEAK,
            "undisturbed: largest change from prediction/before to prediction/after",
            f"{shown(BEFORE)} became {shown(after)}; also timed, unsettled, immediate",
        ),
        (
            Finding.LEAK,
            "timed: misfit of the moving statistics against their update law",
            "once 0.9 x old + 0.1 x batch, biased variance",
        ),
    ]
    assert close((apart(BEFORE, after), None), (0.0, 2e-5)) == [
        (numbers(verdict)[0][0], None),
        numbers(verdict)[1],
    ]
    assert verdict.evidence[0].threshold == pytest.approx(ROUNDING, rel=1e-6)


def test_a_change_without_a_law() -> None:
    class Lawless(Training):
        def backward(self) -> None:
            self.tensors["bn.mean"] = self.tensors["bn.mean"] - np.array([0.3, -0.1], np.float32)

    _, corrupted = sentences(judged(Lawless))
    what = "undisturbed: no update law explains the change of bn"
    assert (Finding.CORRUPTED, what, "bn.mean 0 0 became -0.3 0.1; bn.variance 1 1 became 1 1") == corrupted
    assert (None, 2e-5) == numbers(judged(Lawless))[1]


def test_four_numbers_are_shown_whole() -> None:
    assert "1 -2.5 3 4" == predictions.numbers(np.array([[1, -2.5], [3, 4]], np.float32))
    assert "1 -2.5 3 4 ... (5 numbers, the largest 7)" == predictions.numbers(np.array([1, -2.5, 3, 4, -7], np.float32))


def test_what_is_not_a_number_is_counted_in_every_prediction_and_tensor() -> None:
    class NotANumber(Training):
        def backward(self) -> None:
            self.tensors["bn.mean"] = np.array([np.nan, 0], np.float32)

    verdict = judged(NotANumber)
    assert sentences(verdict) == [
        (
            Finding.LEAK,
            "undisturbed: largest change from prediction/before to prediction/after",
            f"{shown(BEFORE)} became nan 0.3998 nan -0.69965 ... (8 numbers, the largest {abs(BEFORE[:, 1]).max():.6g})"
            "; also timed, unsettled, immediate",
        ),
        *(
            (Finding.CORRUPTED, f"{what} after the call", "all were finite before")
            for what in (
                "immediate: NaN or infinite entries of prediction/after",
                "undisturbed: NaN or infinite entries of prediction/after-again",
                "undisturbed: NaN or infinite entries of prediction/after-second",
                "immediate: NaN or infinite entries of prediction/last",
                "immediate: NaN or infinite entries of bn.mean",
            )
        ),
        (
            Finding.CORRUPTED,
            "undisturbed: no update law explains the change of bn",
            "bn.mean 0 0 became nan 0; bn.variance 1 1 became 1 1",
        ),
    ]
    assert [(np.inf, pytest.approx(ROUNDING)), *[(4.0, 0.0)] * 4, (1.0, 0.0), (None, 2e-5)] == numbers(verdict)


def test_steps_that_raise_after_the_call() -> None:
    class Poisoned(Training):
        def broken(self) -> bool:
            return self.calls > 0

    what = "predict/after raised after gradient/first had returned"
    told = "RuntimeError: the engine is in an error state"
    readings = ("undisturbed", "timed", "unsettled", "immediate")
    verdict = judged(Poisoned)
    assert [(Finding.POISONED, f"{name}: {what}", told) for name in readings] == sentences(verdict)
    assert [(None, None)] * 4 == numbers(verdict)
    assert "; ".join(f"{name}: ok (predict/after)" for name in readings) == verdict.reason


def test_a_wrong_gradient() -> None:
    class Wrong(Runtime):
        def answer(self) -> Array:
            return super().answer() * np.float32(1.5)

    other = apart(1.5 * INFERENCE, TRAINING) / np.abs(TRAINING).max()
    verdict = judged(Wrong)
    assert sentences(verdict) == [
        (
            Finding.WRONG_GRADIENT,
            "undisturbed: relative error of gradient/first against the nearer closed form, inference mode",
            f"inference 0.5, training {other:.3g}; {shown((1.5 * INFERENCE).astype(np.float32))}"
            "; also timed, unsettled, immediate",
        )
    ]
    assert close((0.5, CLOSED_FORM)) == numbers(verdict)
    assert verdict.gradient_error is not None
    assert {"inference": 0.5, "training": other} == pytest.approx(asdict(verdict.gradient_error), rel=1e-5)


def test_the_gradient_of_the_other_mode() -> None:
    class Ignores(Runtime):
        def answer(self) -> Array:
            return self.gradient(training=True)

    verdict = judged(Ignores)
    ((finding, what, detail),) = sentences(verdict)
    assert (Finding.MODE_IGNORED, "undisturbed") == (finding, what.split(":")[0])
    assert what.endswith(": relative error of gradient/first against the closed form of inference mode")
    assert detail.startswith("it matches training mode, with an error of ")
    assert detail.endswith("; also timed, unsettled, immediate")
    assert float(detail.split("error of ")[1].split(";")[0]) < 1e-6
    assert close((apart(INFERENCE, TRAINING) / np.abs(INFERENCE).max(), CLOSED_FORM)) == numbers(verdict)


def test_a_wrong_prediction() -> None:
    class Wrong(Runtime):
        def prediction(self) -> Array:
            return super().prediction() * np.float32(1.01)

    class ByTheBatch(Runtime):
        def prediction(self) -> Array:
            return oracle.predict(self.network.graph, self.tensors, self.network.x, True).astype(np.float32)

    what = "undisturbed: relative error of prediction/before against the oracle"
    verdict = judged(Wrong)
    made = BEFORE * np.float32(1.01)
    assert [(Finding.WRONG_PREDICTION, what, f"{shown(made)} instead of {shown(BEFORE)}")] == sentences(verdict)
    assert close((0.01, CLOSED_FORM)) == numbers(verdict)
    batch = oracle.predict(SEED.graph, SEED.weights, SEED.x, True)
    ((_, _, detail),) = sentences(judged(ByTheBatch))
    assert f"{shown(batch)} instead of {shown(BEFORE)}; it is the training-mode prediction" == detail
    assert close((apart(batch, BEFORE) / np.abs(BEFORE).max(), CLOSED_FORM)) == numbers(judged(ByTheBatch))


@pytest.mark.parametrize(("apart", "moment"), [(True, "between"), (False, "asked")])
def test_an_answer_that_only_a_timed_trial_gives_is_explained_by_the_first_statistics_that_give_it(
    apart: bool, moment: str
) -> None:
    class MovesFirst(Training):
        can_take_apart = apart

        def answer(self) -> Array:
            self.update()
            return self.gradient(training=False)

    trials = [observe(Training, undisturbed, "seed-batch"), observe(MovesFirst, timed, "seed-batch")]
    (wrong,) = [item for item in judged(MovesFirst, trials=trials).evidence if item.finding is Finding.WRONG_GRADIENT]
    assert f"; it is the inference-mode form at the statistics in state/{moment}, moved by the call; " in wrong.detail


class MovesWhenRead(Runtime):
    """Updates its statistics when they are read after a call."""

    pending = False

    def backward(self) -> None:
        self.pending = True

    def snapshot(self, when: str) -> None:
        super().snapshot(when)
        if self.pending:
            self.pending = False
            self.update()


def test_the_error_of_a_later_gradient_is_that_at_the_statistics_that_were_in_use() -> None:
    """Reading tensors moves them: the second gradient is computed with those that the first read left."""
    later = judged(MovesWhenRead, trials=[observe(MovesWhenRead, undisturbed, "seed-batch")]).later
    assert later is not None
    assert later.gradient_again is not None
    assert pytest.approx(0, abs=1e-6) == later.gradient_again.inference


def test_a_second_gradient_that_is_wrong() -> None:
    class Halves(Runtime):
        def answer(self) -> Array:
            return super().answer() * np.float32(0.5 if self.calls else 1)

    verdict = judged(Halves)
    other = apart(0.5 * INFERENCE, TRAINING) / np.abs(TRAINING).max()
    what = "undisturbed: relative error of gradient/second against the inference form, which gradient/first matched"
    assert [(Finding.ORDER_DEPENDENT, what, f"inference 0.5, training {other:.3g}")] == sentences(verdict)
    assert close((0.5, CLOSED_FORM)) == numbers(verdict)
    assert verdict.later is not None
    assert verdict.later.gradient_again is not None
    assert asdict(verdict.later.gradient_again) == pytest.approx({"inference": 0.5, "training": other}, rel=1e-5)
    inference = verdict.later.inference_gradient
    assert inference is not None
    assert pytest.approx(0, abs=1e-6) == inference.inference


def test_without_a_mode_for_comparison_the_error_of_the_second_gradient_is_told_alone() -> None:
    class Alone(Training):
        def inference_afterwards(self) -> None:
            pass

    later = judged(Alone).later
    assert later is not None
    assert later.inference_gradient is None
    assert later.gradient_again is not None
    assert pytest.approx(0, abs=1e-6) == later.gradient_again.training


def test_an_inference_gradient_that_is_wrong_afterwards() -> None:
    class Wrong(Training):
        def inference_afterwards(self) -> None:
            self.arrays["gradient/inference"] = self.gradient(training=True)

    alone = observations(Runtime, "seed-batch", Scenario.GRADIENT)
    verdict = judged(Wrong, inference=alone)
    ((finding, what, _),) = sentences(verdict)
    assert Finding.ORDER_DEPENDENT is finding
    assert what == (
        "after this mode: relative error of the gradient by tiny.inference, correct when run alone, against the "
        "inference-mode form at the current statistics"
    )
    assert close((apart(INFERENCE, TRAINING) / np.abs(INFERENCE).max(), CLOSED_FORM)) == numbers(verdict)


def test_the_law_of_a_change_without_a_timed_trial_is_that_of_another_one() -> None:
    verdict = judged(Leak, trials=[observe(Leak, undisturbed, "seed-batch")])
    assert [
        (Finding.LEAK, "undisturbed: largest change from prediction/before to prediction/after"),
        (Finding.LEAK, "undisturbed: misfit of the moving statistics against their update law"),
    ] == [item[:2] for item in sentences(verdict)]
    assert "once 0.9 x old + 0.1 x batch, biased variance" == verdict.evidence[1].detail


def test_an_update_after_the_call_had_returned() -> None:
    verdict = judged(Racy)
    end = observe(Racy, undisturbed, "seed-batch").arrays["prediction/after-second"]
    assert [item[:2] for item in sentences(verdict)] == [
        (Finding.LEAK, "undisturbed: largest change from prediction/before to prediction/after-second"),
        (Finding.RACY, "unsettled against undisturbed: largest difference of prediction/after"),
        (Finding.LEAK, "timed: misfit of the moving statistics against their update law"),
        (Finding.LEAK, "unsettled: tensors read directly after the call with their old value, which change later"),
    ]
    late = observe(Racy, unsettled, "seed-batch").arrays["prediction/after"]
    threshold = 1e-6 + 1e-4 * max(np.abs(late).max(), np.abs(BEFORE).max())
    assert close((apart(BEFORE, late), threshold)) == numbers(verdict)[1:2]
    assert (2, 0.0) == numbers(verdict)[3]
    assert "bn.mean, bn.variance" == verdict.evidence[3].detail
    assert apart(BEFORE, end) == pytest.approx(numbers(verdict)[0][0])


def test_a_parameter_that_is_written_by_the_call_or_by_the_second_one() -> None:
    class Writes(Training):
        after = 0

        def backward(self) -> None:
            if self.calls == self.after:
                self.tensors["bn.beta"] = self.tensors["bn.beta"] + np.float32(2**-40)

    class WritesLater(Writes):
        after = 1

    for kind, call in ((Writes, "the call"), (WritesLater, "the second call")):
        verdict = judged(kind)
        assert [(Finding.PARAMETERS_WRITTEN, f"undisturbed: largest change of bn.beta by {call}", "")] == sentences(
            verdict
        )
        assert [(2.0**-40, 0.0)] == numbers(verdict)
        assert verdict.tensors.keys() - {"bn.mean", "bn.variance"} == ({"bn.beta"} if kind is Writes else set())


def test_a_tensor_that_grows_beyond_a_lines_size_is_left_out() -> None:
    class Grows(Training):
        def __init__(self, network: str) -> None:
            super().__init__(network)
            self.tensors |= {"hidden": np.zeros(1), "other": np.zeros(1)}

        def backward(self) -> None:
            self.tensors["hidden"] = np.zeros(65)

    told = judged(Grows).tensors
    assert "other" in told
    assert "hidden" not in told


def test_changes_are_those_of_the_primary_reading_the_largest_of_its_trials() -> None:
    def moves(by: float) -> type[Runtime]:
        class Moves(Training):
            def backward(self) -> None:
                self.tensors["bn.mean"] = self.tensors["bn.mean"] + np.float32(by)

        return Moves

    trials = [observe(moves(by), steps, "seed-batch") for by, steps in ((2, undisturbed), (1, undisturbed), (4, timed))]
    assert pytest.approx(2) == judged(Training, trials=trials).state_changes["bn.mean"]


def test_without_a_timed_trial_tensors_and_the_public_view_are_those_of_the_primary_reading() -> None:
    verdict = judged(Leak, trials=[observe(Leak, undisturbed, "seed-batch")])
    assert {"bn.mean", "bn.variance"} == verdict.tensors.keys()
    assert "shows" == verdict.public_view


def test_tensors_that_change_alike_are_told_in_the_order_of_their_names() -> None:
    class Counts(Training):
        def __init__(self, network: str) -> None:
            super().__init__(network)
            self.tensors |= {name: np.zeros(1) for name in "fbdaec"}

        def backward(self) -> None:
            self.tensors |= {name: self.tensors[name] + 1 for name in "fbdaec"}

    (timed_one,) = [reading for reading in judged(Counts).trials if reading.reading == "timed"]
    assert "predictions stay; a by 1, b by 1, c by 1 and 3 more" == timed_one.outcomes[0].what


def test_steps_that_fail_in_several_trials_of_a_reading_are_told_each() -> None:
    row = observe(Training, undisturbed, "seed-batch")
    failed = [
        replace(row, steps=(*row.steps, Step(label, 0.001, "RuntimeError"))) for label in ("state/last", "predict/last")
    ]
    told = [item.what for item in judged(Training, trials=failed).evidence if item.finding is Finding.POISONED]
    assert [
        f"undisturbed: {label} raised after gradient/first had returned" for label in ("state/last", "predict/last")
    ] == told


def test_a_second_answer_is_compared_with_inference_mode_where_both_modes_are_alike() -> None:
    class Halves(Runtime):
        def answer(self) -> Array:
            return super().answer() * np.float32(0.5 if self.calls else 1)

    NETWORKS["linear"] = linear()
    TRUTHS["linear"] = Truth.of(NETWORKS["linear"])
    (evidence,) = judged(Halves, "linear").evidence
    assert "against the inference form, which gradient/first matched" in evidence.what


def linear() -> Network:
    """`seed-batch` without its batch normalization: a sum."""
    node: Node = {"op": "Add", "name": "sum", "inputs": ["x", "b"], "outputs": ["sum"], "attributes": {}}
    shape = SEED.graph["inputs"][0]["shape"]
    graph = Graph(name="linear", inputs=SEED.graph["inputs"], outputs=[{"name": "sum", "shape": shape}], nodes=[node])
    return replace(SEED, name="linear", graph=graph, weights={"b": np.ones(SEED.x.shape[1:], np.float32)})


def test_of_several_readings_that_do_not_wait_and_disagree_one_is_told() -> None:
    answers = itertools.count(1)

    class Varies(Training):
        def prediction(self) -> Array:
            late = any(key.startswith("gradient/") for key in self.arrays)
            return super().prediction() * np.float32(next(answers) if late else 1)

    waits = [observe(Training, undisturbed, "seed-batch")]
    varies = [observe(Varies, steps, "seed-batch") for steps in (unsettled, immediate) for _ in range(2)]
    told = [item.what for item in judged(Varies, trials=[*waits, *varies]).evidence if "distinct" in item.what]
    assert ["unsettled: distinct outcomes of 2 trials"] == told


def test_trials_that_end_with_different_tensors_and_equal_predictions_are_corrupted() -> None:
    ends = itertools.count(1)

    class Hides(Training):
        def __init__(self, network: str) -> None:
            super().__init__(network)
            self.tensors["hidden"] = np.zeros(1)
            self.end = next(ends)

        def backward(self) -> None:
            self.tensors["hidden"] = np.full(1, float(self.end))

    trials = [observe(Training, undisturbed, "seed-batch"), *(observe(Hides, timed, "seed-batch") for _ in range(2))]
    told = [item for item in judged(Training, trials=trials).evidence if item.finding is Finding.CORRUPTED]
    assert [("timed: trials that changed the network to different states", 2)] == [(i.what, i.value) for i in told]


def test_of_several_readings_whose_trials_disagree_one_is_told() -> None:
    answers = itertools.count(1)

    class Varies(Training):
        def answer(self) -> Array:
            return super().answer() * np.float32(next(answers))

    trials = [observe(Varies, steps, "seed-batch") for steps in (undisturbed, timed) for _ in range(2)]
    verdict = judged(Varies, trials=trials)
    told = [item.what for item in verdict.evidence if item.finding is Finding.UNREPEATABLE]
    assert ["undisturbed: distinct outcomes of 2 trials"] == told


def test_of_several_steps_that_raise_an_outcome_names_the_first() -> None:
    row = observe(Training, undisturbed, "seed-batch")
    failed = tuple(Step(label, 0.001, "RuntimeError") for label in ("state/last", "state/after"))
    outcomes = judged(Training, trials=[replace(row, steps=(*row.steps, *failed))]).trials[0].outcomes
    assert ["predictions stay; tensors stay; state/last raised"] == [outcome.what for outcome in outcomes]


def test_a_change_by_reading_is_told_of_a_trial_that_broke_afterwards() -> None:
    class Breaks(MovesWhenRead, Training):
        def broken(self) -> bool:
            return any(key.startswith("state/read/") for key in self.arrays)

    trials = [observe(Training, undisturbed, "seed-batch"), observe(Breaks, timed, "seed-batch")]
    update = judged(Breaks, trials=trials).update
    assert update is not None
    assert ("read", 1) == (update.when, update.count)


def test_hidden_tensors_that_move_are_told_by_the_reading_that_shows_them_before_the_call() -> None:
    class Counts(Training):
        def __init__(self, network: str) -> None:
            super().__init__(network)
            self.tensors["counter"] = np.array(0)

        def backward(self) -> None:
            self.tensors["counter"] = self.tensors["counter"] + 3

    verdict = judged(Counts)
    what = "timed: largest change of counter by the call"
    assert [(Finding.STATE_MOVED, what, "no prediction after it changed")] == sentences(verdict)
    assert [(3.0, 0.0)] == numbers(verdict)
    assert 3 == verdict.state_changes["counter"]
    assert {"counter"} == {name for name, pair in verdict.tensors.items() if pair.after is not None}
    assert ([0], [3]) == (verdict.tensors["counter"].before, verdict.tensors["counter"].after)
    # Gamma and beta are parameters, which are shown if they change.
    assert ["bn.mean", "bn.variance", "counter"] == list(verdict.tensors)

    class Unpredicted(Counts):
        def predict(self, when: str) -> None:
            if when == "before":
                super().predict(when)

    row = observe(Unpredicted, timed, "seed-batch")
    quiet = {key: value for key, value in row.arrays.items() if not key.startswith("prediction/")}
    verdict = judged(Unpredicted, trials=[replace(row, reading="undisturbed", arrays={}), replace(row, arrays=quiet)])
    assert [(Finding.STATE_MOVED, what, "no prediction was made")] == sentences(verdict)


def test_a_clean_cell_has_its_largest_numbers() -> None:
    verdict = judged(Training)
    assert sentences(verdict) == [
        # Of equal changes, the one that the call lies between.
        (Finding.CLEAN, "undisturbed: largest change from prediction/before to prediction/after", ""),
        (Finding.CLEAN, "largest change of a persistent tensor", "of 4 tensors"),
        (Finding.CLEAN, "relative error of gradient/first against the training closed form", ""),
    ]
    # All moving statistics were read, and none moved: all below a ten-thousandth is rounding.
    assert close((0, CLOSED_FORM * np.abs(BEFORE).max()), (0, 0), (0, CLOSED_FORM)) == numbers(verdict)


def test_nothing_is_said_about_predictions_with_fed_statistics_where_none_was_made() -> None:
    class Feeds(Leak):
        fed = True

    row = observe(Feeds, undisturbed, "seed-batch")
    kept = {key: value for key, value in row.arrays.items() if not key.startswith("prediction/")}
    evidence = judged(Feeds, trials=[replace(row, arrays=kept)]).evidence
    assert {""} == {item.detail for item in evidence if item.finding is Finding.INPUT_WRITTEN}


def test_statistics_of_the_users_own() -> None:
    class Feeds(Leak):
        fed = True

    class Adopts(Leak):
        adopts = True

    row = observe(Leak, undisturbed, "seed-batch").arrays
    second = apart(BEFORE, row["prediction/after-second"])
    moved = {name: apart(SEED.weights[name], row[f"state/after/{name}"]) for name in ("bn.mean", "bn.variance")}
    fed, adopted = judged(Feeds), judged(Adopts)
    detail = f"it is fed to the next prediction, too, which changes by up to {second:.4g}"
    assert [
        (Finding.INPUT_WRITTEN, f"undisturbed: largest change of {name}, an array of the caller", detail)
        for name in moved
    ] == sentences(fed)
    assert list(moved.values()) == [pytest.approx(value) for value, _ in numbers(fed)]
    assert sentences(adopted)[:2] == [
        (Finding.CLEAN, "undisturbed: largest change from prediction/before to prediction/after-second", ""),
        (
            Finding.CLEAN,
            "largest change of a persistent tensor",
            "of 4 tensors; the call's own lines replace the statistics by those that the runtime returned",
        ),
    ]
    assert [second, moved["bn.variance"]] == [pytest.approx(value) for value, _ in numbers(adopted)[:2]]


def test_an_export_that_changes_the_network() -> None:
    class Changes(Runtime):
        def backward(self) -> None:
            self.tensors["bn.mean"] = self.tensors["bn.mean"] + np.float32(1)

    verdict = judged(Changes, scenario=Scenario.EXPORT)
    after = observe(Changes, export, "seed-batch").arrays["prediction/exported"]
    assert sentences(verdict) == [
        (
            Finding.EXPORT_CHANGED,
            "undisturbed: largest change from prediction/before to prediction/after",
            f"{shown(BEFORE)} became {shown(after)}",
        ),
        (Finding.EXPORT_CHANGED, "change of bn.mean by the export", ""),
        (
            Finding.EXPORT_CHANGED,
            "difference of the exported network's prediction, relative to the largest entry",
            f"{shown(after)} instead of {shown(BEFORE)}",
        ),
    ]
    change = apart(BEFORE, after)
    assert [change, 1.0, pytest.approx(change / np.abs(BEFORE).max())] == [value for value, _ in numbers(verdict)]
    assert [pytest.approx(ROUNDING), 4 * EPSILON, CLOSED_FORM] == [limit for _, limit in numbers(verdict)]


def test_of_images_of_many_classes_that_become_wrong_the_first_of_six_classes_are_shown() -> None:
    network = NETWORKS["digits"]
    assert network.labels is not None
    labels = np.asarray(network.labels)

    class Confuses(Training):
        def classes(self) -> Array:
            return np.asarray((labels + (self.calls > 19)) % 10)  # after the last call

    firsts = sorted({int(label): at for at, label in reversed(list(enumerate(labels)))}.values())
    assert len(firsts) > 6
    curve = judged(Confuses, "digits", Scenario.TWENTY, [observe(Confuses, twenty, "digits")]).curve
    assert curve is not None
    assert firsts[:6] == [flip.index for flip in curve.flips]


def test_the_label_of_an_image_that_is_none_of_the_held_out_ones_is_the_oracles() -> None:
    network = NETWORKS["digits"]
    x = network.x + np.float32(2**-10)
    NETWORKS["other digits"] = replace(network, x=x)
    TRUTHS["other digits"] = Truth.of(NETWORKS["other digits"])
    curve = judged(Training, "other digits", Scenario.TWENTY, [observe(Training, twenty, "other digits")]).curve
    assert curve is not None
    assert int(oracle.predict(network.graph, network.weights, x)[0].argmax()) == curve.label


class Wanders(Training):
    """Forgets half of the statistics in each call."""

    def backward(self) -> None:
        self.update(keep=0.5)


def test_twenty_calls_that_move_classes() -> None:
    network = NETWORKS["digits"]
    assert network.labels is not None
    assert network.images is not None
    row = observe(Wanders, twenty, "digits")
    classes = {step: row.arrays[f"classes/{step}"] for step in range(21)}
    changed = {step: int((classes[step] != classes[0]).sum()) for step in classes}
    worst = min(step for step in changed if changed[step] == max(changed.values()))
    verdict = judged(Wanders, "digits", Scenario.TWENTY, [row])
    assert verdict.evidence[-1].what == (
        f"undisturbed: held-out images whose class at classes/{worst} differs from classes/0"
    )
    assert (changed[worst], 0.0, "of 40 images") == (
        verdict.evidence[-1].value, verdict.evidence[-1].threshold, verdict.evidence[-1].detail,
    )  # fmt: skip
    curve = verdict.curve
    assert curve is not None
    assert tuple(float((classes[step] == network.labels).mean()) for step in range(21)) == curve.accuracy
    assert tuple(int(row.arrays[f"prediction/{step}"][0].argmax()) for step in range(21)) == curve.top1
    lost = [at for at in range(40) if classes[0][at] == network.labels[at] != classes[20][at]]
    first = sorted({int(network.labels[at]): at for at in reversed(lost)}.values())[:6]
    assert [(at, network.labels[at], classes[20][at]) for at in first] == [
        (flip.index, flip.before, flip.after) for flip in curve.flips
    ]
    assert [network.images[at].tolist() for at in first] == [flip.image for flip in curve.flips]
    sure = row.arrays["confidence/0"]
    assert [(sure[at], sure[at]) for at in first] == [
        (flip.before_probability, flip.after_probability) for flip in curve.flips
    ]

    assert ([curve.top1[0]], [curve.top1[20]]) == (verdict.top1_before, verdict.top1_after)

    short = {key: value for key, value in row.arrays.items() if not key.endswith(("/18", "/19", "/20"))}
    short["prediction/18"] = row.arrays["prediction/18"]  # the trial broke in what came next
    cut = judged(Wanders, "digits", Scenario.TWENTY, [replace(row, arrays=short)]).curve
    assert cut is not None
    assert (curve.accuracy[:18], curve.top1[:18]) == (cut.accuracy, cut.top1)


def test_a_probability_that_is_none_is_left_out() -> None:
    row = observe(Wanders, twenty, "digits")
    arrays = {**row.arrays, "confidence/20": np.full(40, np.nan)}
    del arrays["confidence/0"]
    curve = judged(Wanders, "digits", Scenario.TWENTY, [replace(row, arrays=arrays)]).curve
    assert curve is not None
    assert {(None, None)} == {(flip.before_probability, flip.after_probability) for flip in curve.flips}


def test_trials_that_differ() -> None:
    class Chance(Training):
        keep = 0.9

        def backward(self) -> None:
            self.update(keep=self.keep)

    rows = []
    for keep in (0.9, 0.8, 0.9, 0.7):
        Chance.keep = keep
        rows.append(observe(Chance, undisturbed, "seed-batch"))
    verdict = judged(Chance, trials=rows)
    assert (Finding.LEAK, Finding.CORRUPTED, Finding.UNREPEATABLE) == verdict.findings
    assert sentences(verdict)[1:3] == [
        (Finding.CORRUPTED, "undisturbed: trials that changed the network to different states", ""),
        (
            Finding.UNREPEATABLE,
            "undisturbed: distinct outcomes of 4 trials",
            "2 times, 1 times, 1 times; differing in prediction/after, prediction/after-again, state/after/bn.mean ...",
        ),
    ]
    assert [(4, 0.0), (3, 1)] == numbers(verdict)[1:3]
    (reading,) = verdict.trials
    assert ("undisturbed", 4, {"ok": 4}, [2, 1, 1]) == (
        reading.reading, reading.count, dict(reading.statuses), [outcome.count for outcome in reading.outcomes],
    )  # fmt: skip
    moved = apart(BEFORE, rows[0].arrays["prediction/last"])
    most = max(apart(BEFORE, rows[0].arrays[f"prediction/{when}"]) for when in ("after", "after-second"))
    assert moved >= most
    changes = {name: apart(SEED.weights[name], rows[0].arrays[f"state/after/{name}"]) for name in SEED.weights}
    assert reading.outcomes[0].what == (
        f"predictions change by {most:.4g}; bn.variance by {changes['bn.variance']:.4g}, "
        f"bn.mean by {changes['bn.mean']:.4g}"
    )


def test_a_prediction_mode_whose_answers_differ() -> None:
    class Grows(Training):
        asks = Asks.PREDICTION

        def answer(self) -> Array:
            return super().answer() * np.float32(1 + self.calls)

    verdict = judged(Grows, scenario=Scenario.PREDICT_ONLY)
    leak = verdict.evidence[0]
    y = oracle.predict(SEED.graph, SEED.weights, SEED.x, True).astype(np.float32)
    assert (Finding.LEAK, "undisturbed: largest change from forward/first to forward/second") == (
        leak.finding, leak.what,
    )  # fmt: skip
    assert leak.value == pytest.approx(np.abs(y).max())
    assert leak.threshold == pytest.approx(CLOSED_FORM * np.abs(y).max())
    assert f"{shown(y)} became {shown(2 * y)}" == leak.detail.split("; also")[0]


def test_a_crash_of_one_trial_beside_the_primary_reading_is_the_cells() -> None:
    *rows, last = observations(Training, "seed-batch", Scenario.GRADIENT)
    verdict = judged(Training, trials=[*rows, replace(last, status=Status.CRASHED, reason="signal 11")])
    assert (Status.CRASHED, "immediate: crashed (signal 11)", ()) == (verdict.status, verdict.reason, verdict.findings)


def test_what_no_cell_with_a_failure_shows() -> None:
    row = replace(observe(Leak, undisturbed, "seed-batch"), seconds=2.0, stderr="a warning")
    late = replace(observe(Leak, immediate, "seed-batch"), seconds=np.nan, stderr="another")
    refused = replace(row, reading="timed", status=Status.REFUSED, reason="no views", arrays={}, stderr="")
    verdict = judged(Leak, trials=[refused, row, late], contract=Contract("stay", "", ""))
    assert (Status.OK, "timed: refused (no views)") == (verdict.status, verdict.reason)
    assert (4.0, "a warning") == (verdict.seconds, verdict.stderr)
    assert [("timed", {"refused": 1}), ("undisturbed", {"ok": 1}), ("immediate", {"ok": 1})] == [
        (reading.reading, dict(reading.statuses)) for reading in verdict.trials
    ]
    assert ["refused: no views"] == [outcome.what for outcome in verdict.trials[0].outcomes]
    assert verdict.prediction_before is row.arrays["prediction/before"]
    assert verdict.prediction_after is row.arrays["prediction/after"]
    assert row.arrays["gradient/first"].tolist() == verdict.gradient
    forms = ClosedForms(*(form.astype(np.float32).tolist() for form in (INFERENCE, TRAINING)))
    assert forms == verdict.closed_forms


@pytest.mark.parametrize(
    ("moving", "tensors"), [(["bn.mean"], ""), (["bn.beta", "bn.mean"], "2"), (["bn.beta", "bn.gamma", "bn.mean"], "3")]
)
def test_tensors_that_end_otherwise_without_waiting(moving: list[str], tensors: str) -> None:
    """One piece of evidence for all of them: the largest difference, and how many more there are."""
    waits = observe(Training, undisturbed, "seed-batch")
    steps = {name: np.float32(1 + place) for place, name in enumerate(moving)}
    ends = {f"state/after/{name}": waits.arrays[f"state/after/{name}"] + step for name, step in steps.items()}
    late = observe(Training, unsettled, "seed-batch")
    late = replace(late, arrays={**late.arrays, **ends})
    racy = [item for item in judged(Training, trials=[waits, late]).evidence if item.finding is Finding.RACY]
    assert [("unsettled against undisturbed: largest difference of state/after/bn.mean", len(moving))] == [
        (item.what, item.value) for item in racy
    ]
    assert [f"the largest of {tensors} tensors" if tensors else ""] == [item.detail for item in racy]
    size = np.abs(ends["state/after/bn.mean"]).max()
    assert [pytest.approx(1e-6 + 1e-4 * size)] == [item.threshold for item in racy]
