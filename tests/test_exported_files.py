"""ONNX dialects for importers, judgement of exported files, and variants with extras."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from crosscheck import oracle
from crosscheck.cells import Array, Cell, Finding, Observation, Scenario, Status
from crosscheck.judge import Truth, judge
from crosscheck.judge.evaluator import BatchNormalization
from crosscheck.judge.thresholds import CLOSED_FORM
from crosscheck.matrix.selection import targets
from crosscheck.networks import DIALECTS, Network, load, write
from crosscheck.networks.dialects import build_dialect
from crosscheck.records import Judgement
from crosscheck.runtimes.catalog import catalog, variant_has
from crosscheck.runtimes.mode import Contract, Mode

CONV = load("conv")
INFERENCE = [name for name in DIALECTS if "-training" not in name and "-per-entry" not in name]


def dialect(name: str, network: Network = CONV) -> onnx.ModelProto:
    return build_dialect(network.graph, network.weights, DIALECTS[name])


def batch_norms(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type == "BatchNormalization"]


def attributes(node: onnx.NodeProto) -> dict[str, object]:
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


# Dialects


@pytest.mark.parametrize("network", ["seed", "conv", "inception"])
@pytest.mark.parametrize("name", INFERENCE)
def test_dialects_keep_predictions(name: str, network: str) -> None:
    source = load(network)
    outputs: Any = ReferenceEvaluator(dialect(name, source), new_ops=[BatchNormalization]).run(None, {"x": source.x})
    expected = oracle.predict(source.graph, source.weights, source.x)
    assert expected == pytest.approx(np.asarray(outputs[0]), abs=1e-5)


@pytest.mark.parametrize("name", DIALECTS)
def test_dialects_have_the_opset_of_their_name(name: str) -> None:
    assert int(name.split("-")[1]) == dialect(name).opset_import[0].version


def test_attributes_of_opset_6() -> None:
    assert [1, 1] == [attributes(node)["is_test"] for node in batch_norms(dialect("opset-6"))]
    training = batch_norms(dialect("opset-6-training-unread"))
    assert [(0, 5), (0, 5)] == [(attributes(node)["is_test"], len(node.output)) for node in training]


def test_only_default_attributes_are_removed() -> None:
    first, second = batch_norms(dialect("opset-7-no-defaults"))
    assert {"epsilon"} == attributes(first).keys()  # its momentum is 0.9
    assert {"epsilon", "momentum"} == attributes(second).keys()


def test_listed_initialisers_are_inputs() -> None:
    model = dialect("opset-15-listed")
    assert {"x", *CONV.weights} == {item.name for item in model.graph.input}


def test_per_entry_statistics_equal_those_of_channels() -> None:
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in dialect("opset-7-per-entry").graph.initializer}
    assert (8, 8, 8) == tensors["bn1.mean"].shape
    assert np.array_equal(CONV.weights["bn1.mean"], tensors["bn1.mean"].min(axis=(1, 2)))
    assert np.array_equal(CONV.weights["bn1.mean"], tensors["bn1.mean"].max(axis=(1, 2)))


# Extras


def test_modes_that_need_an_extra_run_in_its_variant() -> None:
    modes = {mode.name: mode for mode in catalog()["mxnet"].modes}
    for word, imports, executes in (
        ("mxnet@1.9.1", False, True),
        ("mxnet@1.9.1+naive-engine", False, True),
        ("mxnet@1.9.1+onnx", True, False),
        ("mxnet@1.9.1+imported", False, True),
    ):
        (target,) = targets([word], catalog(), everything=False)
        assert imports == variant_has(target.variant, modes["import.opset-7"]), word
        assert executes == variant_has(target.variant, modes["executor.eval.eval"]), word


def test_an_extra_has_a_separate_lock_and_interpreters() -> None:
    mxnet = catalog()["mxnet"]
    with_onnx, plain = (targets([word], catalog(), False)[0] for word in ("mxnet@1.5.1+onnx", "mxnet@1.5.1"))
    assert "1.5.1+onnx.txt" == mxnet.lock(with_onnx.release, with_onnx.variant).name
    assert "1.5.1.txt" == mxnet.lock(plain.release, plain.variant).name
    assert ("3.6",) == with_onnx.variant.python
    assert plain.release.python == plain.variant.python


def test_a_release_without_the_extra_has_no_such_variant() -> None:
    oldest = catalog()["mxnet"].releases[0]
    assert {variant.name for variant in oldest.variants}.isdisjoint({"onnx", "imported", "imported-6"})


# Files


def exported(
    change: Callable[[onnx.ModelProto], None], unit_scale: bool = False, intent: str = "inference"
) -> Judgement:
    """The judgement of an export whose file is `conv` in opset 9 after `change`."""
    model = write(CONV, 9)
    change(model)
    weights = dict(CONV.weights)
    if unit_scale:
        weights |= {norm.scale: np.ones_like(weights[norm.scale]) for norm in CONV.batch_norms}
    y = oracle.predict(CONV.graph, weights, CONV.x).astype(np.float32)
    content = np.frombuffer(model.SerializeToString(), np.uint8)
    arrays: dict[str, Array] = {"prediction/before": y, "prediction/after": y, "file/network.onnx": content}
    mode = Mode("tiny", intent, "export", "export()", Contract("stay", "", ""), unit_scale=unit_scale)
    cell = Cell("tiny", "1.0", "plain", "tiny", "conv", Scenario.EXPORT)
    row = Observation("undisturbed", Status.OK, None, (), arrays, 0.01, 0.01, 0)
    return judge(cell, mode, CONV, Truth.of(CONV), [row])


def unchanged(model: onnx.ModelProto) -> None:
    pass


def drop_epsilon(model: onnx.ModelProto) -> None:
    node = batch_norms(model)[0]
    node.attribute.remove(next(item for item in node.attribute if item.name == "epsilon"))


def other_momentum(model: onnx.ModelProto) -> None:
    next(item for item in batch_norms(model)[1].attribute if item.name == "momentum").f = 0.9


def unit_scales(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        if tensor.name.endswith(".gamma"):
            tensor.CopyFrom(numpy_helper.from_array(np.ones_like(numpy_helper.to_array(tensor)), tensor.name))


def say_spatial(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 8
    batch_norms(model)[0].attribute.append(helper.make_attribute("spatial", 0))


def invent_attribute(model: onnx.ModelProto) -> None:
    batch_norms(model)[0].attribute.append(helper.make_attribute("fix_gamma", 1))


def contradict_shapes(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 7


def swap_statistics(model: onnx.ModelProto) -> None:
    node = batch_norms(model)[0]
    node.input[3], node.input[4] = node.input[4], node.input[3]


def compute_statistics(model: onnx.ModelProto) -> None:
    """The training form in plain operators: batch statistics are computed before each layer."""
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.op_type == "BatchNormalization":
            x, own = node.input[0], node.name
            mean, square, squares, variance = (f"{own}.{word}" for word in ("m", "s", "ss", "v"))
            nodes += [
                helper.make_node("ReduceMean", [x], [mean], axes=[0, 2, 3], keepdims=0),
                helper.make_node("Mul", [x, x], [square]),
                helper.make_node("ReduceMean", [square], [squares], axes=[0, 2, 3], keepdims=0),
                helper.make_node("Mul", [mean, mean], [f"{mean}.m"]),
                helper.make_node("Sub", [squares, f"{mean}.m"], [variance]),
            ]
            node.input[3], node.input[4] = mean, variance
        nodes.append(node)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def test_a_file_that_computes_batch_statistics_is_in_training_form() -> None:
    assert (Finding.CLEAN,) == exported(compute_statistics, intent="training").findings
    assert (Finding.EXPORT_CHANGED,) == exported(compute_statistics).findings
    assert (Finding.EXPORT_CHANGED,) == exported(unchanged, intent="training").findings


@pytest.mark.parametrize("stored", [3, 4])
def test_a_file_that_computes_one_of_two_statistics_is_in_no_form(stored: int) -> None:
    def half(model: onnx.ModelProto) -> None:
        names = [node.input[stored] for node in batch_norms(model)]
        compute_statistics(model)
        for node, name in zip(batch_norms(model), names, strict=True):
            node.input[stored] = name

    judgement = exported(half, intent="training")
    assert (Finding.EXPORT_CHANGED,) == judgement.findings
    assert [item for item in judgement.evidence if "training_mode of bn1" in item.what]


def test_a_correct_file_is_clean() -> None:
    assert (Finding.CLEAN,) == exported(unchanged).findings
    assert (Finding.CLEAN,) == exported(unit_scales, unit_scale=True).findings


@pytest.mark.parametrize(
    ("change", "what", "detail"),
    [
        (drop_epsilon, "epsilon of bn1", "1e-05, the default of the absent attribute, not 0.001"),
        (other_momentum, "momentum of bn2", "0.9, not 0.8"),
        (unit_scales, "bn1.gamma of bn1", "1 1 1 1"),
        (say_spatial, "spatial of bn1", "it is 0"),
        (invent_attribute, "checker", "fix_gamma"),
        (contradict_shapes, "checker", "shape"),
        (swap_statistics, "bn1.mean of bn1", "not"),
    ],
)
def test_differences_of_a_file_are_named(change: Callable[[onnx.ModelProto], None], what: str, detail: str) -> None:
    judgement = exported(change)
    assert (Finding.EXPORT_CHANGED,) == judgement.findings
    assert [item for item in judgement.evidence if what in item.what and detail in item.detail]


def test_a_file_with_another_epsilon_has_the_difference_of_both() -> None:
    (value,) = [item.value for item in exported(drop_epsilon).evidence if "epsilon of bn1" in item.what]
    assert pytest.approx(1e-3 - 1e-5) == value


def test_a_file_that_repeats_beyond_all_numbers_is_a_finding() -> None:
    """NumPy's own `tile` ends the process."""

    def repeated(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(numpy_helper.from_array(np.array([2, 2**62]), "times"))
        model.graph.node.append(helper.make_node("Tile", [model.graph.output[0].name, "times"], ["repeated"]))
        model.graph.output[0].name = "repeated"

    judgement = exported(repeated)
    assert (Finding.EXPORT_CHANGED,) == judgement.findings
    assert [item for item in judgement.evidence if "cannot be evaluated" in item.what]


def put_first(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> None:
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *copies])


def test_weights_in_constant_nodes_are_read_like_initialisers() -> None:
    def constants(model: onnx.ModelProto) -> None:
        stored = list(model.graph.initializer)
        put_first(model, [helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in stored])
        del model.graph.initializer[:]

    def swapped(model: onnx.ModelProto) -> None:
        swap_statistics(model)
        constants(model)

    assert (Finding.CLEAN,) == exported(constants).findings
    assert [item for item in exported(swapped).evidence if "bn1.mean of bn1" in item.what]


def test_weights_shared_through_identity_nodes_are_read_like_initialisers() -> None:
    def shared(model: onnx.ModelProto) -> None:
        node = batch_norms(model)[0]
        copies = [helper.make_node("Identity", [name], [f"{name}.shared"]) for name in node.input[1:]]
        node.input[1:] = [f"{name}.shared" for name in node.input[1:]]
        put_first(model, copies)

    def swapped(model: onnx.ModelProto) -> None:
        shared(model)
        swap_statistics(model)

    assert (Finding.CLEAN,) == exported(shared).findings
    assert [item for item in exported(swapped).evidence if "bn1.mean of bn1" in item.what]


@pytest.mark.parametrize("change", [drop_epsilon, unit_scales, swap_statistics])
def test_predictions_of_a_file_are_compared_with_the_oracle(change: Callable[[onnx.ModelProto], None]) -> None:
    errors = [item.value for item in exported(change).evidence if "error of the prediction" in item.what]
    assert [True] == [error is not None and error > CLOSED_FORM.value for error in errors]


def test_an_ignored_scale_must_not_be_exported() -> None:
    """The file has the scale, but the layer used 1."""
    assert (Finding.EXPORT_CHANGED,) == exported(unchanged, unit_scale=True).findings
