"""The judge on rare circumstances: what one number, one reading or one default decides."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from crosscheck import oracle
from crosscheck.cells import Array, Asks, Cell, Finding, Observation, Scenario, Status
from crosscheck.exchange.attribution import Origin, exported
from crosscheck.judge import FileTruth, Truth, fields_of, judge, line
from crosscheck.judge.compare import relative_error
from crosscheck.judge.cuts import cut
from crosscheck.networks import Network, load, write
from crosscheck.networks.onnx_files import written_network
from crosscheck.records import Cause, CellEnvironment, Evidence, Exported, FirstLayer, Judgement, TensorPair
from crosscheck.records.contract import Documented
from crosscheck.runtimes.mode import Contract, Mode
from tests.synthetic import (
    EPSILON,
    NETWORKS,
    STAYS,
    TRUTHS,
    Blind,
    Runtime,
    Training,
    judged,
    observe,
    sibling,
    subject,
    timed,
    twenty,
    undisturbed,
    variation,
)

# Predictions


class Blank(Training):
    """Predicts zeros, and halves its second gradient."""

    def prediction(self) -> Array:
        return np.zeros_like(super().prediction())

    def answer(self) -> Array:
        return super().answer() * np.float32(0.5 if self.calls else 1)


def test_predictions_that_stay_zero_do_not_show_that_statistics_are_stale() -> None:
    assert (Finding.WRONG_PREDICTION, Finding.ORDER_DEPENDENT) == judged(Blank).findings


class Drifting(Blind):
    """Each prediction of a process is off by its own number of roundings."""

    roundings: tuple[float, ...] = ()

    def prediction(self) -> Array:
        made = sum(key.startswith("prediction/") for key in self.arrays)
        off: Array = super().prediction() * np.float32(1 + EPSILON * self.roundings[made])
        return off


@pytest.mark.parametrize(("roundings", "expected"), [(60, Finding.CLEAN), (100, Finding.LEAK)])
def test_two_models_that_share_weights_and_predict_apart_show_the_noise(roundings: float, expected: Finding) -> None:
    """Before the call they are 20 roundings apart; four times that is noise."""

    class Here(Drifting):
        pass

    Here.roundings = (0, 20, roundings, 0)
    row = observe(Here, sibling, "seed-batch")
    assert (expected,) == judged(Here, scenario=Scenario.SIBLING, trials=[row]).findings


class ThirdCallLeaks(Blind):
    """The third gradient in a process, that of the mode for comparison, changes the next prediction."""

    def inference_afterwards(self) -> None:
        super().inference_afterwards()
        self.calls = 9

    def prediction(self) -> Array:
        return super().prediction() * np.float32(1.5 if self.calls == 9 else 1)


def test_the_last_prediction_is_the_modes_own_unless_another_mode_ran_before_it() -> None:
    cell, mode = subject(ThirdCallLeaks, "seed-batch", Scenario.GRADIENT, STAYS)
    row = observe(ThirdCallLeaks, undisturbed, "seed-batch")
    itself = replace(mode, inference=mode.name)
    for here, expected in (
        (mode, Finding.CLEAN),
        (itself, Finding.LEAK),
        (replace(mode, inference=None), Finding.LEAK),
    ):
        assert (expected,) == judge(cell, here, NETWORKS["seed-batch"], TRUTHS["seed-batch"], [row]).findings


class PredictingWrites(Runtime):
    """A prediction mode: the first documented prediction changes gamma by one unit in the last place.

    It counts in a tensor of the runtime's own, too.
    """

    asks = Asks.PREDICTION

    def __init__(self, network: str) -> None:
        super().__init__(network)
        self.tensors["hidden"] = np.array(-1)

    def prediction(self) -> Array:
        value = super().prediction()
        if not self.arrays.keys() & {"prediction/before", "prediction/predicted"}:
            self.tensors["hidden"] = np.array(len(self.arrays))
            scale = self.network.batch_norms[0].scale
            self.tensors[scale] = np.nextafter(self.network.weights[scale], np.float32(9))
        return value


def test_a_parameter_that_the_documented_prediction_writes_is_told_so() -> None:
    verdict = judged(PredictingWrites, scenario=Scenario.PREDICT_ONLY)
    written = [item.what for item in verdict.evidence if item.finding is Finding.PARAMETERS_WRITTEN]
    scale = NETWORKS["seed-batch"].batch_norms[0].scale
    assert [f"timed: largest change of {scale} by the documented prediction"] == written


def test_a_parameter_that_the_documented_prediction_writes_is_none_of_a_gradients_doing() -> None:
    class Asked(PredictingWrites):
        asks = Asks.GRADIENT

    trials = [observe(Runtime, undisturbed, "seed-batch"), observe(Asked, timed, "seed-batch")]
    assert Finding.PARAMETERS_WRITTEN not in judged(Asked, trials=trials).findings


class BlindLeak(Blind):
    def prediction(self) -> Array:
        return super().prediction() * np.float32(1.5 if self.calls else 1)


@pytest.mark.parametrize(("says", "expected"), [("stay", True), ("move", False), ("undocumented", False)])
def test_a_changed_prediction_contradicts_a_contract_that_statistics_stay(says: Documented, expected: bool) -> None:
    contract = Contract(says, "", "https://example.org/manual")
    assert expected is judged(BlindLeak, contract=contract).contradicts


def test_the_last_prediction_of_a_trial_that_broke_is_shown_beside_the_first() -> None:
    class Breaks(Training):
        def broken(self) -> bool:
            return "prediction/7" in self.arrays

        def prediction(self) -> Array:
            return super().prediction() + np.float32(self.calls)

    row = observe(Breaks, twenty, "digits")
    verdict = judged(Breaks, "digits", Scenario.TWENTY, [row])
    assert verdict.prediction_after is row.arrays["prediction/7"]
    assert verdict.prediction_before is row.arrays["prediction/0"]
    whole = observe(Training, twenty, "digits")
    shown = judged(Training, "digits", Scenario.TWENTY, [whole]).prediction_after
    assert whole.arrays["prediction/20"] is shown


def test_a_trial_that_broke_in_its_first_call_shows_no_prediction_after_it() -> None:
    class Breaks(Training):
        def backward(self) -> None:
            self.tensors["hidden"] = np.array(1)

        def broken(self) -> bool:
            return "gradient/1" in self.arrays

    row = observe(Breaks, twenty, "digits")
    row = replace(row, arrays={key: value for key, value in row.arrays.items() if key != "prediction/0-again"})
    verdict = judged(Breaks, "digits", Scenario.TWENTY, [row])
    assert verdict.prediction_before is row.arrays["prediction/0"]
    assert verdict.prediction_after is None
    assert not any("largest change from prediction" in item.what for item in verdict.evidence)


# Files


def scaled(network: Network, factor: float) -> FileTruth:
    """The closed forms of a file whose answers are the network's, times a factor."""
    model = write(network, 15)
    last = model.graph.output[0].name
    model.graph.node[-1].output[0] = "inner"
    model.graph.node.append(helper.make_node("Mul", ["inner", "factor"], [last]))
    model.graph.initializer.append(numpy_helper.from_array(np.array(factor, np.float32), "factor"))
    return FileTruth(written_network(model.SerializeToString(), f"{network.name}.from.here.0", network))


@pytest.mark.parametrize(("file", "reader", "expected"), [(8e-5, 4e-5, "exporter"), (4e-5, 8e-5, "importer")])
def test_of_two_errors_that_only_add_up_the_larger_one_is_at_fault(file: float, reader: float, expected: str) -> None:
    network = load("conv")
    truth = scaled(network, 1 + file)
    answer = truth.answer(Asks.PREDICTION, training=False) * (1 + reader)
    row = Observation("undisturbed", Status.OK, None, (), {"forward/first": answer}, 0.01, 0.01, 0)
    (trip,) = exported(truth, "file", Asks.PREDICTION, row, origins=[Origin("e", network, network.weights)]).trips
    assert expected == trip.fault


def per_entry(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 8
    for node in model.graph.node:
        if node.op_type == "BatchNormalization":
            node.attribute.append(helper.make_attribute("spatial", 0))


def test_a_file_that_asks_for_statistics_of_each_entry_and_has_one_a_channel_is_that_of_its_channels() -> None:
    network = load("conv")
    model = write(network, 9)
    per_entry(model)
    truth = FileTruth(written_network(model.SerializeToString(), "conv.from.here.0", network))
    assert truth.lowered is not None
    assert "spatial" in str(truth.refusal)
    expected = oracle.gradient(network.graph, network.weights, network.x, network.cotangent)
    assert expected == pytest.approx(truth.answer(Asks.GRADIENT, training=False), rel=1e-6, abs=1e-9)


def test_a_file_that_onnx_rejects_is_refused_though_it_could_be_lowered() -> None:
    network = load("conv")
    model = write(network, 15)
    norm = next(node for node in model.graph.node if node.op_type == "BatchNormalization")
    norm.attribute.append(helper.make_attribute("nonsense", 1))
    truth = FileTruth(written_network(model.SerializeToString(), "conv.from.here.0", network))
    assert "nonsense" in str(truth.refusal)


def test_answers_by_the_batch_are_computed_once_whatever_the_moving_statistics_are() -> None:
    network = NETWORKS["seed-batch"]
    truth = Truth.of(network)
    (norm,) = network.batch_norms
    moved = {name: value + 1 for name, value in network.weights.items() if name in (norm.mean, norm.variance)}
    for name in moved:
        weights = {**network.weights, name: moved[name]}
        assert truth.gradient(training=True) is truth.gradient(training=True, weights=weights)
        assert truth.gradient() is not truth.gradient(weights=weights)


def export_of(network: Network, change: Callable[[onnx.ModelProto], None]) -> Judgement:
    """The judgement of an export whose file is the network of that name in opset 9 after `change`."""
    model = write(load(network.name), 9)
    change(model)
    y = oracle.predict(network.graph, network.weights, network.x).astype(np.float32)
    content = np.frombuffer(model.SerializeToString(), np.uint8)
    arrays: dict[str, Array] = {"prediction/before": y, "prediction/after": y, "file/network.onnx": content}
    mode = Mode("tiny", "inference", "export", "export()", Contract("stay", "", ""))
    cell = Cell("tiny", "1.0", "plain", "tiny", network.name, Scenario.EXPORT)
    row = Observation("undisturbed", Status.OK, None, (), arrays, 0.01, 0.01, 0)
    return judge(cell, mode, network, Truth.of(network), [row])


@pytest.mark.parametrize("attribute", ["epsilon", "momentum"])
def test_an_attribute_may_be_left_out_where_the_layer_has_the_specifications_default(attribute: str) -> None:
    seed = load("seed")
    value = {"epsilon": 1e-5, "momentum": 0.9}[attribute]

    def drop(model: onnx.ModelProto) -> None:
        (node,) = (node for node in model.graph.node if node.op_type == "BatchNormalization")
        node.attribute.remove(next(item for item in node.attribute if item.name == attribute))

    def network(number: float) -> Network:
        graph = copy.deepcopy(seed.graph)
        graph["nodes"][0]["attributes"][attribute] = number
        return replace(seed, graph=graph)

    assert (Finding.CLEAN,) == export_of(network(value), drop).findings
    assert (Finding.EXPORT_CHANGED,) == export_of(network(value * 1.01), drop).findings


# Thresholds


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (Scenario.GRADIENT, Finding.CLEAN),
        (Scenario.PREDICT_ONLY, Finding.CLEAN),
        (Scenario.TWENTY, Finding.CLEAN),
        (Scenario.SIBLING, Finding.CLEAN),
        (Scenario.ASCENT, Finding.LEAK),
        (Scenario.EXPORT, Finding.EXPORT_CHANGED),
    ],
)
def test_where_statistics_are_read_and_stay_a_hundred_roundings_of_a_prediction_are_no_leak(
    scenario: Scenario, expected: Finding
) -> None:
    """In `ascent` and `export` the readings do not take every persistent tensor after each call."""

    class Rounds(Runtime):
        def prediction(self) -> Array:
            return super().prediction() * np.float32(1 + 100 * EPSILON * (self.calls > 0))

        def backward(self) -> None:
            self.calls = 1

    network = "digits" if scenario in (Scenario.TWENTY, Scenario.ASCENT) else "seed-batch"
    assert (expected,) == judged(Rounds, network, scenario).findings


@pytest.mark.parametrize(("error", "wrong"), [(0.9e-4, False), (1.1e-4, True)])
def test_an_answer_may_be_off_by_a_ten_thousandth_of_its_largest_entry(error: float, wrong: bool) -> None:
    class Off(Runtime):
        def answer(self) -> Array:
            value = super().answer()
            return value + np.float32(error * np.abs(value).max())

    class Predicts(Runtime):
        def prediction(self) -> Array:
            value = super().prediction()
            return value + np.float32(error * np.abs(value).max())

    assert ((Finding.WRONG_GRADIENT,) if wrong else (Finding.CLEAN,)) == judged(Off).findings
    assert ((Finding.WRONG_PREDICTION,) if wrong else (Finding.CLEAN,)) == judged(Predicts).findings


def test_a_closed_form_near_zero_is_measured_by_a_tenth_of_the_other() -> None:
    near, other = np.array([1e-6, 0.0]), np.array([3.0, -5.0])
    assert 0.2 == pytest.approx(relative_error(near + 0.1, near, other))
    assert 1.0 == pytest.approx(relative_error(np.array([2.0]), np.array([1.0]), np.array([0.0])))


# Lines


def test_lists_of_a_line_have_lengths_that_a_reader_can_take_in() -> None:
    def lengths(count: int) -> tuple[int, int, int, int]:
        judgement = Judgement(
            status=Status.OK,
            evidence=(Evidence(Finding.LEAK, "it moved", 1.0, 0.0, "", ""),) * count,
            state_changes={str(place): 1.0 for place in range(count)},
            tensors={str(place): TensorPair([1.0], None) for place in range(count)},
            prediction_before=np.full(count, 0.5),
        )
        shorter = cut(judgement)
        return (
            len(shorter.evidence),
            len(shorter.state_changes),
            len(shorter.tensors),
            0 if shorter.prediction_before is None else shorter.prediction_before.size,
        )

    assert (10, 10, 10, 10) == lengths(10)
    assert (10, 40, 128, 128) == lengths(128)
    assert (10, 40, 129, 0) == lengths(129)
    assert (10, 40, 400, 0) == lengths(401)


def test_numbers_of_a_line_are_those_of_json() -> None:
    cell, mode = subject(Training, "seed-batch", Scenario.GRADIENT, STAYS)
    values: list[Any] = [np.float32(0.5), np.nan, np.inf, -np.inf, np.int64(3), np.bool_(True), (1, [2.5, None]), "a"]
    cause = Cause(Finding.LEAK, "n1", "Conv", {"values": values}, "asking")
    judgement = Judgement(status=Status.OK, seconds=np.float64(np.nan), cause=cause)
    told = line(cell, mode, fields_of(judgement), released="", environment=CellEnvironment(), reproduce="")
    expected = [0.5, "NaN", "Infinity", "-Infinity", 3, True, [1, [2.5, None]], "a"]
    assert {"values": expected} == told["cause"]["attributes"]
    assert [type(value) for value in expected] == [type(value) for value in told["cause"]["attributes"]["values"]]
    assert "NaN" == told["seconds"]
    assert (2, mode.call, False, None) == (told["schema"], told["call"], told["default_call"], told["exported"])


# Readers of files


def reader(status: Status, asks: Asks = Asks.PREDICTION, factor: float = 1.0, network: str = "conv") -> Exported:
    """What is told of a reader of a correct file, whose answers are off by a factor."""
    source = load(network)
    truth = FileTruth(written_network(write(source, 15).SerializeToString(), f"{network}.from.here.0", source))
    arrays: dict[str, Array] = {
        "forward/first": truth.answer(Asks.PREDICTION, training=False) * factor,
        "gradient/first": truth.answer(Asks.GRADIENT, training=False) * factor,
    }
    row = Observation("undisturbed", status, None, (), arrays, 0.01, 0.01, 0)
    return exported(truth, "files/a.onnx", asks, row, origins=[Origin("e", source, source.weights)])


@pytest.mark.parametrize("asks", [Asks.PREDICTION, Asks.GRADIENT])
@pytest.mark.parametrize("status", [Status.OK, Status.CRASHED])
def test_what_a_reader_answered_before_it_crashed_counts(status: Status, asks: Asks) -> None:
    right, wrong = (reader(status, asks, factor) for factor in (1.0, 1.5))
    assert [0.0, pytest.approx(0.5)] == [told.importer_error for told in (right, wrong)]
    assert ["none", "importer"] == [trip.fault for told in (right, wrong) for trip in told.trips]
    assert [pytest.approx(0.5)] == [trip.error for trip in wrong.trips]
    assert [True] == [trip.file_error is not None and trip.file_error < 1e-5 for trip in wrong.trips]
    assert ("files/a.onnx", 15, [], None) == (right.file, right.opset, list(right.foreign), right.refusal)


@pytest.mark.parametrize("status", [Status.REFUSED, Status.TIMED_OUT])
def test_a_reader_that_gave_no_answer_has_no_error_and_the_file_has_its_own(status: Status) -> None:
    told = reader(status)
    (trip,) = told.trips
    assert (None, None, None, None) == (told.importer_error, trip.error, trip.fault, trip.side)
    assert trip.file_error is not None
    assert trip.file_error < 1e-5


def test_a_layer_that_a_reader_shows_to_be_wrong_is_the_importers() -> None:
    source = load("conv")
    truth = FileTruth(written_network(write(source, 15).SerializeToString(), "conv.from.here.0", source))
    answer = truth.answer(Asks.PREDICTION, training=False)
    layer = FirstLayer("conv1", "Conv", "a", 0.5)
    for factor, expected in ((1.0, ("none", None, None)), (1.5, ("importer", "importer", layer))):
        row = Observation("undisturbed", Status.OK, None, (), {"forward/first": answer * factor}, 0.01, 0.01, 0)
        told = exported(truth, "a", Asks.PREDICTION, row, layer, [Origin("e", source, source.weights)])
        assert [expected] == [(trip.fault, trip.side, trip.first_layer) for trip in told.trips]


def test_the_first_layer_of_a_file_that_is_not_the_networks_is_the_exporters() -> None:
    """One of each kind of node is wrong in turn; nodes after it are wrong, too."""
    source = load("conv")
    seen = set()
    for norm in source.batch_norms:
        model = write(source, 15)
        tensor = next(item for item in model.graph.initializer if item.name == norm.bias)
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + np.float32(1), norm.bias))
        truth = FileTruth(written_network(model.SerializeToString(), "conv.from.here.0", source))
        answer = truth.answer(Asks.PREDICTION, training=False)
        row = Observation("undisturbed", Status.OK, None, (), {"forward/first": answer}, 0.01, 0.01, 0)
        (trip,) = exported(truth, "a", Asks.PREDICTION, row, origins=[Origin("e", source, source.weights)]).trips
        assert ("exporter", "exporter") == (trip.fault, trip.side)
        assert trip.first_layer is not None
        assert (norm.node, "BatchNormalization") == (trip.first_layer.node, trip.first_layer.op)
        seen.add(trip.first_layer.tensor)
    assert 2 == len(seen)


# Laws


@pytest.mark.parametrize(("apart", "expected"), [(0.8e-3, ()), (1.2e-3, (Finding.CORRUPTED,))])
def test_undeclared_momenta_of_two_layers_are_one_up_to_a_thousandth(
    apart: float, expected: tuple[Finding, ...]
) -> None:
    class Own(Training):
        def backward(self) -> None:
            start, (first, _) = dict(self.tensors), self.network.batch_norms
            self.update(keep=0.7)
            one = dict(self.tensors)
            self.tensors.update(start)
            self.update(keep=0.7 + apart)
            self.tensors |= {name: one[name] for name in (first.mean, first.variance)}

    assert (Finding.LEAK, *expected) == judged(Own, "conv").findings


def test_layers_of_the_same_numbers_and_another_epsilon_have_laws_of_their_own() -> None:
    truth = Truth.of(load("conv"))
    norm, second = truth.network.batch_norms
    other = replace(norm, node=second.node, epsilon=0.25)
    batch = truth.batch_statistics[norm.node]
    before = oracle.Statistics(truth.network.weights[norm.mean], truth.network.weights[norm.variance])
    for layer in (norm, other):
        after = oracle.updated(before, batch, 0.9, variance="unbiased-epsilon", epsilon=layer.epsilon)
        found = {here.node: truth.laws(here, before, after, batch) for here in (norm, other)}
        named = {node for node, laws in found.items() if [law.variance for law in laws] == ["unbiased-epsilon"]}
        assert {layer.node} == named


@pytest.mark.parametrize(("says", "expected"), [("stay", True), ("move", False), ("undocumented", False)])
def test_statistics_that_move_unseen_contradict_a_contract_that_they_stay(says: Documented, expected: bool) -> None:
    class Counts(Training):
        def backward(self) -> None:
            self.update(count=2)

    verdict = judged(Counts, variation("seed-batch", near=5e-6), contract=Contract(says, "", ""))
    assert ((Finding.STATE_MOVED,), expected) == (verdict.findings, verdict.contradicts)


@pytest.mark.parametrize("mixed", [False, True])
def test_a_file_with_statistics_of_each_entry_is_not_that_of_its_channels(mixed: bool) -> None:
    """Mixed: the means alone have an entry for every place."""
    network = load("conv")
    model = write(network, 9)
    per_entry(model)
    stored = {item.name: item for item in model.graph.initializer}
    (norm, *_) = network.batch_norms
    for name in (norm.mean,) if mixed else (norm.scale, norm.bias, norm.mean, norm.variance):
        values = numpy_helper.to_array(stored[name])[:, None, None] * np.ones((1, 8, 8), np.float32)
        stored[name].CopyFrom(numpy_helper.from_array(values, name))
    truth = FileTruth(written_network(model.SerializeToString(), "conv.from.here.0", network))
    assert truth.lowered is None


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (Scenario.GRADIENT, True),
        (Scenario.PREDICT_ONLY, True),
        (Scenario.TWENTY, True),
        (Scenario.ASCENT, False),
        (Scenario.SIBLING, False),
        (Scenario.ORDER, False),
        (Scenario.EXPORT, False),
    ],
)
def test_where_a_network_is_called_and_read_statistics_that_stay_contradict_a_contract_that_moves_them(
    scenario: Scenario, expected: bool
) -> None:
    network = "digits" if scenario in (Scenario.TWENTY, Scenario.ASCENT) else "seed-batch"
    assert expected is judged(Training, network, scenario, contract=Contract("move", "", "")).contradicts


def test_layers_of_a_file_that_cannot_be_evaluated_are_unknown() -> None:
    """onnx's evaluator has no Scatter."""
    network = load("conv")
    model = write(network, 9)
    last = model.graph.output[0].name
    model.graph.node[-1].output[0] = "inner"
    model.graph.node.append(helper.make_node("Scatter", ["inner", "places", "numbers"], [last]))
    values: dict[str, Array] = {"places": np.zeros((1, 1), np.int64), "numbers": np.zeros((1, 1), np.float32)}
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in values.items())
    truth = FileTruth(written_network(model.SerializeToString(), "conv.from.here.0", network))
    assert [{}, {}] == [truth.layers(training=False) for _ in range(2)]
    assert not truth.known(Asks.PREDICTION)
    expected = oracle.predict(network.graph, network.weights, network.x)
    assert expected == pytest.approx(truth.answer(Asks.PREDICTION, training=False))


def test_answers_of_a_file_are_kept_by_what_is_asked_and_by_mode() -> None:
    network = load("conv")
    truth = FileTruth(written_network(write(network, 15).SerializeToString(), "conv.from.here.0", network))
    for training in (True, False, True):
        predicted = oracle.predict(network.graph, network.weights, network.x, training)
        differentiated = oracle.gradient(network.graph, network.weights, network.x, network.cotangent, training)
        assert predicted == pytest.approx(truth.answer(Asks.PREDICTION, training), rel=1e-5, abs=1e-5)
        assert differentiated == pytest.approx(truth.answer(Asks.GRADIENT, training), rel=1e-5, abs=1e-5)
