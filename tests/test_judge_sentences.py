"""What evidence says of side effects, of changes of statistics, and of exported files: every sentence, in full."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from crosscheck import oracle
from crosscheck.cells import Array, Cell, Finding, Intent, Observation, Scenario, Status, Step
from crosscheck.judge import Truth, judge
from crosscheck.networks import load, write
from crosscheck.records import Judgement
from crosscheck.runtimes.mode import Contract, Mode
from tests.synthetic import (
    NETWORKS,
    TRUTHS,
    Runtime,
    Training,
    alone,
    judged,
    observe,
    timed,
    undisturbed,
    unsettled,
    variation,
)

SEED = NETWORKS["seed-batch"]


class Leak(Training):
    def backward(self) -> None:
        self.update()


def sentences(verdict: Judgement, finding: Finding) -> list[tuple[str, str]]:
    return [(item.what, item.detail) for item in verdict.evidence if item.finding is finding]


def with_arrays(row: Observation, arrays: dict[str, Array]) -> Observation:
    return replace(row, arrays={**row.arrays, **arrays})


# Side effects


@pytest.mark.parametrize(
    ("count", "listed"), [(1, "a.grad"), (3, "a.grad, b.grad, c.grad"), (5, "a.grad, b.grad, c.grad and 2 more")]
)
def test_up_to_three_gradients_left_behind_are_named(count: int, listed: str) -> None:
    row = observe(Training, undisturbed, "seed-batch")
    left: dict[str, Array] = {f"left/after/{letter}.grad": np.ones(1) for letter in "abcde"[:count]}
    verdict = judged(Training, trials=[row, with_arrays(row, {**left, "left/before/d.grad": np.ones(1)})])
    count, listed = (4, "a.grad, b.grad, c.grad and 1 more") if count == 5 else (count, listed)
    assert [("undisturbed: what the call left on the network", listed)] == sentences(verdict, Finding.GRADIENTS_LEFT)
    assert [(count, 0.0)] == [
        (item.value, item.threshold) for item in verdict.evidence if item.finding is Finding.GRADIENTS_LEFT
    ]


@pytest.mark.parametrize("when", ["built", "predicted", "before"])
def test_what_was_there_before_the_call_was_not_left_by_it(when: str) -> None:
    row = observe(Training, undisturbed, "seed-batch")
    there: dict[str, Array] = {f"left/{moment}/layer/a.grad": np.ones(1) for moment in (when, "after")}
    assert [] == sentences(judged(Training, trials=[with_arrays(row, there)]), Finding.GRADIENTS_LEFT)
    also: dict[str, Array] = {**there, "left/after/layer/b.grad": np.ones(1)}
    ((_, listed),) = sentences(judged(Training, trials=[with_arrays(row, also)]), Finding.GRADIENTS_LEFT)
    assert "layer/b.grad" == listed


@pytest.mark.parametrize(("scenario", "told"), [(Scenario.PREDICT_ONLY, True), (Scenario.GRADIENT, False)])
def test_an_input_that_the_documented_prediction_writes_counts_where_predictions_are_asked(
    scenario: Scenario, told: bool
) -> None:
    row = observe(Training, undisturbed, "seed-batch")
    written = {f"prediction-input/{when}": SEED.x + np.float32(add) for when, add in (("before", 2), ("after", 3))}
    verdict = judged(Training, scenario=scenario, trials=[row, with_arrays(row, written)])
    what = "undisturbed: largest change of the input array during the documented prediction before"
    assert [(what, "")] * told == sentences(verdict, Finding.INPUT_WRITTEN)
    assert [pytest.approx(2)] * told == [
        item.value for item in verdict.evidence if item.finding is Finding.INPUT_WRITTEN
    ]


def flagged(row: Observation, before: dict[str, Any] | None, after: dict[str, Any] | None, when: str) -> Observation:
    kept = [step for step in row.steps if not step.label.startswith("flags/")]
    flags = [
        Step(f"flags/{moment}-{when}", 0.0, flags=value) for moment, value in (("before", before), ("after", after))
    ]
    return replace(row, steps=(*kept, *flags))


def test_flags_of_the_first_call_are_compared_by_their_names() -> None:
    row = observe(Training, undisturbed, "seed-batch")
    rows = [
        flagged(row, {"a": 1}, None, "first"),
        flagged(row, {"gone": 1, "same": 2, "set": False}, {"same": 2, "set": True, "new": 3}, "first"),
        flagged(row, {"set": 5, "other": 1}, {"set": 6, "other": 1}, "first"),
        flagged(row, {"late": 0}, {"late": 1}, "second"),
    ]
    switched: dict[str, Array] = {"switched/after/bn": np.array(True), "switched/before/bn0": np.array(True)}
    verdict = judged(Training, trials=[*rows, with_arrays(flagged(row, {}, {}, "first"), switched)])
    assert [
        ("undisturbed: the flag 'gone'", "1 before, None after"),
        ("undisturbed: the flag 'new'", "None before, 3 after"),
        ("undisturbed: the flag 'set'", "False before, True after"),
        ("undisturbed: the mode flag of bn", "the call switched it"),
    ] == sentences(verdict, Finding.MODE_LEFT_CHANGED)


# Changes of statistics


@pytest.mark.parametrize("near", [3e-6, 2e-6, 1e-6])
def test_up_to_four_laws_that_explain_a_change_equally_well_are_told(near: float) -> None:
    class Twice(Training):
        def backward(self) -> None:
            self.update(count=2)

    name = variation("seed-batch", near=near)
    row, (norm,) = observe(Twice, timed, name).arrays, NETWORKS[name].batch_norms
    before, after = (
        oracle.Statistics(*(row[f"state/{when}/{what}"].astype(np.float64) for what in (norm.mean, norm.variance)))
        for when in ("predicted", "after")
    )
    laws = TRUTHS[name].laws(norm, before, after, TRUTHS[name].batch_statistics[norm.node])
    counts = {0: "nothing, up to rounding", 1: "once 0.9 x old + 0.1 x batch, biased variance"}
    told = [counts.get(law.count, f"{law.count} times 0.9 x old + 0.1 x batch, biased variance") for law in laws]
    more = f"; and {len(laws) - 4} more" if len(laws) > 4 else ""
    (evidence,) = (item for item in judged(Twice, name).evidence if "update laws" in item.what)
    assert "timed: smallest misfit of the moving statistics against update laws" == evidence.what
    assert f"no single law, as these explain it equally well: {'; or '.join(told[:4])}{more}" == evidence.detail
    assert [pytest.approx(min(law.residual for law in laws)), 2e-5] == [evidence.value, evidence.threshold]


@pytest.mark.parametrize(("network", "more"), [("seed-batch", ""), ("conv", ""), ("residual", " ...")])
def test_statistics_that_end_otherwise_by_reading_are_named_up_to_four(network: str, more: str) -> None:
    class ReadingHelps(Training):
        def backward(self) -> None:
            if not any(key.startswith("state/between/") for key in self.arrays):
                self.update()

    verdict = judged(ReadingHelps, network)
    names = sorted(name for norm in NETWORKS[network].batch_norms for name in (norm.mean, norm.variance))
    what = "difference of the final state with and without reads of tensors between forward and backward"
    (evidence,) = (item for item in verdict.evidence if item.what == what)
    assert f"reading changes {', '.join(names[:4])}{more}" == evidence.detail
    ended = observe(ReadingHelps, undisturbed, network).arrays
    moved = [np.abs(ended[f"state/after/{name}"] - NETWORKS[network].weights[name]).max() for name in names]
    assert [pytest.approx(max(moved)), 0.0] == [evidence.value, evidence.threshold]


def test_stale_tensors_are_counted_and_four_of_them_named() -> None:
    class Lazy(Leak):
        """Returns the old tensors once, directly after the call; the first layer's mean is new already."""

        def snapshot(self, when: str) -> None:
            kept, first = self.tensors, self.network.batch_norms[0].mean
            if when == "at-once":
                self.tensors = {**self.network.weights, first: kept[first]}
            super().snapshot(when)
            self.tensors = kept

    names = sorted(name for norm in NETWORKS["residual"].batch_norms for name in (norm.mean, norm.variance))
    names.remove(NETWORKS["residual"].batch_norms[0].mean)
    verdict = judged(Lazy, "residual")
    (stale,) = (item for item in verdict.evidence if "with their old value" in item.what)
    assert (len(names), 0.0, ", ".join(names[:4])) == (stale.value, stale.threshold, stale.detail)


def moved_in(row: Observation, changes: dict[str, Array], moments: Sequence[str]) -> Observation:
    """The trial with other tensors in its snapshots."""
    return with_arrays(row, {f"state/{when}/{name}": value for when in moments for name, value in changes.items()})


def corrupted(network: str, rows: Sequence[Observation]) -> list[tuple[str, str]]:
    return sentences(judged(Training, network, trials=rows), Finding.CORRUPTED)


def test_statistics_that_cannot_be_compared_follow_no_law() -> None:
    row = observe(Leak, undisturbed, "seed-batch")
    half = replace(row, arrays={key: value for key, value in row.arrays.items() if not key.endswith("bn.variance")})
    ((what, detail),) = corrupted("seed-batch", [half])
    assert "undisturbed: the runtime shows only one of the two statistics of bn" == what
    assert detail.startswith("bn.mean 0 0 became ")
    assert "variance" not in detail
    wide = moved_in(row, {"bn.mean": np.ones((1, 2, 1)), "bn.variance": np.ones((1, 2, 1))}, ["after", "after-second"])
    ((what, _),) = corrupted("seed-batch", [wide])
    assert "undisturbed: the runtime holds the statistics of bn in another shape than the network" == what


def test_layers_without_a_law_are_named() -> None:
    class Lawless(Training):
        def backward(self) -> None:
            self.update()
            for norm in self.network.batch_norms[1:]:
                self.tensors[norm.mean] = self.tensors[norm.mean] + np.float32(0.25)

    names = [norm.node for norm in NETWORKS["residual"].batch_norms]
    ((what, detail),) = sentences(judged(Lawless, "residual"), Finding.CORRUPTED)
    assert f"undisturbed: no update law explains the change of {', '.join(names[1:])}" == what
    # The first two layers, with two numbers each.
    assert 4 == detail.count(" became ") == detail.count("; ") + 1
    assert all(f"{norm.mean} " in detail for norm in NETWORKS["residual"].batch_norms[:2])


def test_layers_that_follow_laws_of_their_own_are_told_with_them() -> None:
    class Apart(Training):
        def backward(self) -> None:
            first = self.network.batch_norms[0]
            self.update()
            once = dict(self.tensors)
            self.update()
            self.tensors |= {name: once[name] for name in (first.mean, first.variance)}

    ((what, _),) = sentences(judged(Apart, "conv"), Finding.CORRUPTED)
    told = "undisturbed: the layers follow different laws: bn1: 1 x 0.9, biased; bn2: 2 x 0.8, biased"
    assert told == what


@pytest.mark.parametrize(
    ("own", "note"),
    [
        (False, "with the batch statistics of a forward pass that normalizes by the moving statistics"),
        (True, "with the batch statistics of a forward pass that normalizes by the statistics it has just updated"),
    ],
)
def test_batch_statistics_of_another_forward_are_noted(own: bool, note: str) -> None:
    network = NETWORKS["conv"]

    class Other(Training):
        def backward(self) -> None:
            weights = dict(network.weights)
            for norm in network.batch_norms:  # in the order of the layers
                batch = TRUTHS["conv"].batch_statistics_by(weights)[norm.node]
                before = oracle.Statistics(self.tensors[norm.mean], self.tensors[norm.variance])
                after = oracle.updated(before, batch, norm.momentum)
                new = {norm.mean: after.mean.astype(np.float32), norm.variance: after.variance.astype(np.float32)}
                self.tensors |= new
                weights |= new if own else {}

    row = observe(Other, timed, "conv")
    verdict = judged(Other, "conv", trials=[observe(Other, undisturbed, "conv"), row])
    assert (Finding.LEAK,) == verdict.findings
    (law,) = (item.detail for item in verdict.evidence if "update law" in item.what)
    assert f"once 0.9 x old + 0.1 x batch, biased variance; bn2: 0.8 x old + 0.2 x batch; {note}" == law


# Answers


def test_an_answer_at_the_statistics_that_the_call_moved_is_told_with_their_snapshot() -> None:
    class MovesFirst(Training):
        def answer(self) -> Array:
            self.update()
            return self.gradient(training=False)

    class Inference(MovesFirst):
        intent = Intent.INFERENCE

    for kind in (MovesFirst, Inference):
        told = [detail for _, detail in sentences(judged(kind), Finding.WRONG_GRADIENT)]
        assert told
        assert any("; it is the inference-mode form at the statistics in state/after, moved by the call" in one
                   for one in told)  # fmt: skip


def test_a_gradient_of_zeros_is_told_with_the_size_that_it_should_have() -> None:
    class Nothing(Runtime):
        def answer(self) -> Array:
            return np.zeros_like(super().answer())

    size = np.abs(oracle.gradient(SEED.graph, SEED.weights, SEED.x, SEED.cotangent)).max()
    what = f"undisturbed: largest entry of gradient/first, where the closed form of its mode has {size:.4g}"
    assert [(what, "also timed, unsettled, immediate")] == sentences(judged(Nothing), Finding.NO_GRADIENT)


def test_an_answer_after_another_network_is_told_beside_the_one_alone() -> None:
    class Other(Runtime):
        def answer(self) -> Array:
            return super().answer() * np.float32(1.25)

    rows = [observe(Runtime, alone, "seed-batch"), observe(Other, alone, "seed-batch", "after-other")]
    verdict = judged(Runtime, scenario=Scenario.ORDER, trials=rows)
    ((what, detail),) = sentences(verdict, Finding.ORDER_DEPENDENT)
    assert "after a training-mode gradient of another network: change of gradient/first" == what
    one, other = (row.arrays["gradient/first"] for row in rows)
    assert f"{np.ravel(other)[0]:.6g} " == detail[: detail.index(" ") + 1]
    assert f" instead of {np.ravel(one)[0]:.6g} " in detail
    (evidence,) = verdict.evidence
    expected = [np.abs(one - other).max(), 1e-4 * np.abs(one).max()]
    assert expected == pytest.approx([evidence.value, evidence.threshold])


def test_a_tensor_that_is_half_written_is_told_with_its_distance_from_both_values() -> None:
    class Torn(Leak):
        def snapshot(self, when: str) -> None:
            kept = self.tensors
            if when == "at-once":
                self.tensors = {**kept, "bn.mean": kept["bn.mean"] / np.float32(4)}
            super().snapshot(when)
            self.tensors = kept

    row = observe(Torn, unsettled, "seed-batch").arrays
    verdict = judged(Torn)
    (racy,) = (item for item in verdict.evidence if item.finding is Finding.RACY)
    what = "unsettled: distance of bn.mean, read directly after the call, from both its old and its new value"
    old, torn, new = SEED.weights["bn.mean"], row["state/at-once/bn.mean"], row["state/after/bn.mean"]
    near = min(np.abs(torn - old).max(), np.abs(torn - new).max())
    assert what == racy.what
    assert [near, 1e-6 + 1e-4 * np.abs(new).max()] == pytest.approx([racy.value, racy.threshold])


# Files

CONV = load("conv")


def exported(change: Callable[[onnx.ModelProto], None], intent: str = "inference") -> list[tuple[str, str]]:
    """What the judge says of an export whose file is `conv` in opset 15 after `change`."""
    model = write(CONV, 15)
    change(model)
    y = oracle.predict(CONV.graph, CONV.weights, CONV.x, intent == "training").astype(np.float32)
    content = np.frombuffer(model.SerializeToString(), np.uint8)
    arrays: dict[str, Array] = {"prediction/before": y, "prediction/after": y, "file/network.onnx": content}
    mode = Mode("tiny", intent, "export", "export()", Contract("stay", "", ""))
    row = Observation("undisturbed", Status.OK, None, (), arrays, 0.01, 0.01, 0)
    cell = Cell("tiny", "1.0", "plain", "tiny", "conv", Scenario.EXPORT)
    return sentences(judge(cell, mode, CONV, Truth.of(CONV), [row]), Finding.EXPORT_CHANGED)


def norms(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type == "BatchNormalization"]


def test_one_layer_too_many_is_told_and_one_less_is_left_to_the_numbers() -> None:
    def once_more(model: onnx.ModelProto) -> None:
        node = norms(model)[0]
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name, copy.output[0] = "again", "unused"
        nodes = [onnx.NodeProto.FromString(item.SerializeToString()) for item in model.graph.node]
        place = [item.name for item in nodes].index(node.name)
        del model.graph.node[:]
        model.graph.node.extend([*nodes[: place + 1], copy, *nodes[place + 1 :]])

    assert [("network.onnx: 3 BatchNormalization nodes", "the network has 2")] == exported(once_more)

    def one_less(model: onnx.ModelProto) -> None:
        node = norms(model)[0]
        node.CopyFrom(helper.make_node("Identity", [node.input[0]], [node.output[0]]))

    ((what, _),) = exported(one_less)
    assert "relative error of the prediction of network.onnx against the oracle" == what


def test_a_training_form_among_inference_layers_is_told() -> None:
    def trains(model: onnx.ModelProto) -> None:
        node = norms(model)[0]
        node.attribute.append(helper.make_attribute("training_mode", 1))
        node.output.extend(["m", "v"])

    told = exported(trains)
    assert ("training_mode of bn1 in network.onnx", "it is 1") == told[0]
    assert ["relative error of the prediction of network.onnx against the oracle"] == [what for what, _ in told[1:]]


def test_a_parameter_that_is_computed_is_no_initialiser() -> None:
    def computes(model: onnx.ModelProto) -> None:
        node = norms(model)[1]
        nodes = [onnx.NodeProto.FromString(item.SerializeToString()) for item in model.graph.node]
        next(item for item in nodes if item.name == node.name).input[1] = "computed"
        del model.graph.node[:]
        model.graph.node.extend([helper.make_node("Abs", [node.input[1]], ["computed"]), *nodes])

    gamma = CONV.batch_norms[1].scale
    assert (f"{gamma} of bn2 in network.onnx", "it is no initialiser") == exported(computes)[0]


def test_a_number_that_was_copied_wrongly_is_told_beside_the_right_one() -> None:
    beta = CONV.batch_norms[0].bias

    def shifts(model: onnx.ModelProto) -> None:
        tensor = next(item for item in model.graph.initializer if item.name == beta)
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + np.float32(2**-20), beta))

    ((what, detail),) = exported(shifts)
    assert f"{beta} of bn1 in network.onnx: largest difference" == what
    right = CONV.weights[beta]
    assert (
        ", not ".join(
            " ".join(f"{value:.6g}" for value in values[:4])
            + (f" ... ({len(values)} numbers, the largest {np.abs(values).max():.6g})" if len(values) > 4 else "")
            for values in (right + np.float32(2**-20), right)
        )
        == detail
    )


def test_what_is_no_model_is_told_once() -> None:
    mode = Mode("tiny", "inference", "export", "export()", Contract("stay", "", ""))
    content = np.frombuffer(b"\x0a\xff\xff\xff\xff\x0fnothing", np.uint8)
    y = oracle.predict(CONV.graph, CONV.weights, CONV.x).astype(np.float32)
    arrays: dict[str, Array] = {"prediction/before": y, "file/a.onnx": content}
    row = Observation("undisturbed", Status.OK, None, (), arrays, 0.01, 0.01, 0)
    cell = Cell("tiny", "1.0", "plain", "tiny", "conv", Scenario.EXPORT)
    told = sentences(judge(cell, mode, CONV, Truth.of(CONV), [row]), Finding.EXPORT_CHANGED)
    assert ["a.onnx: cannot be read as a network"] == [what for what, _ in told]


def test_a_file_that_raises_is_told_with_the_error() -> None:
    def breaks(model: onnx.ModelProto) -> None:
        node = model.graph.node[-1]
        del node.attribute[:]
        node.CopyFrom(helper.make_node("Reshape", [node.input[0], "to"], [node.output[0]]))
        model.graph.initializer.append(numpy_helper.from_array(np.array([7, 11, 13]), "to"))

    what, detail = exported(breaks)[-1]
    assert "network.onnx: cannot be evaluated" == what
    assert detail.startswith("ValueError: ")
