"""The judge on rare circumstances: what one number, one reading or one default decides."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from crosscheck import oracle
from crosscheck.cells import Array, Asks, Cell, Finding, Observation, Scenario, Status
from crosscheck.judge import FileTruth, Judgement, Origin, Truth, exported, judge
from crosscheck.networks import Network, load, write
from crosscheck.networks.exported_models import written_network
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
    twenty,
    undisturbed,
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
    """A prediction mode: the first documented prediction changes gamma by one unit in the last place."""

    asks = Asks.PREDICTION

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


class BlindLeak(Blind):
    def prediction(self) -> Array:
        return super().prediction() * np.float32(1.5 if self.calls else 1)


@pytest.mark.parametrize(("says", "expected"), [("stay", True), ("move", False), ("undocumented", False)])
def test_a_changed_prediction_contradicts_a_contract_that_statistics_stay(says: str, expected: bool) -> None:
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
    assert row.arrays["prediction/7"].tolist() == verdict.prediction_after
    assert row.arrays["prediction/0"].tolist() == verdict.prediction_before
    whole = observe(Training, twenty, "digits")
    shown = judged(Training, "digits", Scenario.TWENTY, [whole]).prediction_after
    assert whole.arrays["prediction/20"].tolist() == shown


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
