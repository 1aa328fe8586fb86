"""Networks: load, check and lower ONNX, write other forms, and prepare the probe's input."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from crosscheck.cells import Array
from crosscheck.errors import NetworkError
from crosscheck.networks import (
    FORMS,
    OPERATORS,
    FileOptions,
    Form,
    fixed_cotangent,
    load,
    names,
    prepared,
    readout,
    running_name,
    write,
)
from crosscheck.networks.forms import build_model
from crosscheck.oracle import batch_statistics, gradient, predict, updated
from crosscheck.oracle.laws import Statistics

SHIPPED = (
    "conv",
    "conv-norm",
    "conv-norm-odd",
    "conv-norm-plain",
    "conv-plain",
    "dense",
    "digits",
    "digits-plain",
    "inception",
    "residual",
    "seed",
    "seed-batch",
)
CLASSIFIERS = ("digits", "digits-plain")
Save = Callable[..., str]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Returns a function that writes a model with one input to a file and returns its path."""

    def to_file(
        nodes: list[onnx.NodeProto],
        weights: dict[str, Any],
        shape: list[int | str | None],
        output: str = "y",
        opset: int = 13,
        name: str = "mine",
    ) -> str:
        graph = helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None)],
            [onnx.numpy_helper.from_array(np.asarray(value), key) for key, value in weights.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)
        inferred = onnx.shape_inference.infer_shapes(model).graph.output[0].type.tensor_type
        # The checker needs a shape of any rank, even if none can be inferred.
        model.graph.output[0].type.tensor_type.shape.CopyFrom(inferred.shape)
        path = tmp_path / f"{name}.onnx"
        onnx.save(model, path)
        return str(path)

    return to_file


def normal(*shape: int) -> Array:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def batch_norm_nodes(count: int = 1, **attributes: Any) -> list[onnx.NodeProto]:
    return [
        helper.make_node("BatchNormalization", ["x" if i == 0 else f"h{i}", *"gbmv"], [f"h{i + 1}"], **attributes)
        for i in range(count)
    ]


BATCH_NORM_WEIGHTS = {key: np.ones(2, np.float32) for key in "gbmv"}


# Shipped networks


def test_twelve_networks_ship() -> None:
    assert names() == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_networks_are_opset_9_in_ir_4_and_have_an_origin(name: str) -> None:
    network = load(name)
    assert (9, 4) == (network.model.opset_import[0].version, network.model.ir_version)
    assert "models/" in network.description
    assert network.x.dtype == network.cotangent.dtype == np.float32


@pytest.mark.parametrize("name", SHIPPED)
def test_graphs_satisfy_the_invariants(name: str) -> None:
    network = load(name)
    assert json.loads(json.dumps(network.graph)) == network.graph
    known = {network.graph["inputs"][0]["name"], *network.weights}
    for node in network.graph["nodes"]:
        assert sorted(OPERATORS[node["op"]]) == sorted(node["attributes"])
        assert set(node["inputs"]) <= known
        known.update(node["outputs"])
    assert network.graph["outputs"][0]["name"] in known
    assert network.graph["inputs"][0]["shape"] == ["N", *network.x.shape[1:]]
    assert network.graph["outputs"][0]["shape"] == ["N", *network.cotangent.shape[1:]]
    assert {value.dtype for value in network.weights.values()} == {np.dtype(np.float32)}


def test_the_seed_network_is_the_layer_of_2017() -> None:
    network = load("seed")
    (norm,) = network.batch_norms
    assert (0.001, 0.9) == (norm.epsilon, norm.momentum)
    values = [network.weights[key].tolist() for key in (norm.scale, norm.bias, norm.mean, norm.variance)]
    assert [[1, 1], [0, 0], [0, 0], [1, 1]] == values
    assert np.array_equal(np.array([[0.3, 0.4]], np.float32), network.x)


def test_channel_counts_include_multiples_of_eight_and_others() -> None:
    counts = {len(network.weights[norm.mean]) for network in map(load, SHIPPED) for norm in network.batch_norms}
    assert {count % 8 == 0 for count in counts} == {True, False}
    assert {count % 2 == 0 for count in counts} == {True, False}


@pytest.mark.parametrize("name", ["conv-norm", "conv-norm-odd"])
def test_one_normalization_stands_alone_between_convolutions(name: str) -> None:
    network = load(name)
    operators = [node["op"] for node in network.graph["nodes"]]
    assert ["Conv", "BatchNormalization", "Relu", "Conv", "Flatten"] == operators
    rows, _, height, width = network.x.shape
    channels = len(network.weights["bn.mean"])
    assert (3, name.endswith("odd")) == (rows, channels % 8 != 0)
    assert height != width
    assert {name.endswith("odd")} == {bool(size % 2) for size in (height, width)}


def test_the_control_of_the_pool_free_networks_has_the_same_convolutions() -> None:
    network, control = load("conv-norm"), load("conv-norm-plain")
    left_out = {key for key in network.weights if key.startswith("bn.")}
    assert network.weights.keys() - left_out == control.weights.keys()
    assert all(np.array_equal(network.weights[key], value) for key, value in control.weights.items())
    assert np.array_equal(network.x, control.x)
    assert np.array_equal(network.cotangent, control.cotangent)
    operators = [node["op"] for node in network.graph["nodes"] if node["op"] != "BatchNormalization"]
    assert operators == [node["op"] for node in control.graph["nodes"]]


def test_a_dense_layer_is_square_and_not_symmetric() -> None:
    weight = load("dense").weights["dense.weight"]
    assert weight.shape == (5, 5)
    assert not np.allclose(weight, weight.T)


@pytest.mark.parametrize("name", ["conv-norm-plain", "conv-plain", "dense", "digits-plain"])
def test_controls_have_no_batch_normalization(name: str) -> None:
    assert load(name).batch_norms == ()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_classify_at_least_97_percent_of_the_held_out_images(name: str) -> None:
    network = load(name)
    assert network.images is not None
    assert network.labels is not None
    assert network.classes == 10
    assert len(network.images) == len(network.labels) >= 300
    assert (0, 1) == (network.images.min(), network.images.max())
    right = predict(network.graph, network.weights, network.images).argmax(axis=1) == network.labels
    assert right.mean() >= 0.97


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_probe_is_a_held_out_image_classified_correctly_and_the_target_its_runner_up(name: str) -> None:
    network = load(name)
    assert network.images is not None
    assert network.labels is not None
    index = next(i for i, image in enumerate(network.images) if np.array_equal(image, network.x[0]))
    logits = predict(network.graph, network.weights, network.x)[0]
    assert network.labels[index] == logits.argmax()
    assert network.target == np.argsort(logits)[-2]


def test_cotangents_are_nonzero_with_distinct_neighbours() -> None:
    values = fixed_cotangent((4, 10))
    assert values.shape == (4, 10)
    assert np.abs(values).min() >= 1 / 64
    assert np.abs(values).max() < 1
    assert np.abs(np.diff(values.ravel())).min() > 0.1
    assert values.std(axis=0).min() > 0.1


def test_the_digest_is_stable_and_depends_on_every_input() -> None:
    network = load("conv")
    code = "from crosscheck.networks import load; print(load('conv').digest)"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert network.digest == other.stdout.strip()
    changed = {key: value + np.float32(1) if key == "bn1.mean" else value for key, value in network.weights.items()}
    digests = {network.digest, load("conv-plain").digest}
    digests.add(replace(network, weights=changed).digest)
    digests.add(replace(network, x=network.x * 2).digest)
    assert len(digests) == 4


# Users' files


def test_a_users_file_gets_a_seeded_probe_of_four_rows(save: Save) -> None:
    path = save(batch_norm_nodes(), BATCH_NORM_WEIGHTS, ["batch", 2], "h1")
    network = load(path)
    assert re.fullmatch("mine-[0-9a-f]{8}", network.name)
    assert network.x.shape == network.cotangent.shape == (4, 2)
    assert network.images is None
    assert network.classes is None
    assert np.array_equal(network.x, load(path).x)


def test_defaults_are_filled_in_and_attributes_are_the_float32_of_the_file(save: Save) -> None:
    nodes = batch_norm_nodes(momentum=0.95)
    (norm,) = load(save(nodes, BATCH_NORM_WEIGHTS, [1, 2, 3], "h1")).batch_norms
    assert (9.999999747378752e-06, 0.949999988079071) == (norm.epsilon, norm.momentum)


def test_identities_dropouts_and_constants_are_removed(save: Save) -> None:
    nodes = [
        helper.make_node("Identity", ["x"], ["a"]),
        helper.make_node("Constant", [], ["w"], value=onnx.numpy_helper.from_array(normal(2, 3))),
        helper.make_node("Identity", ["w"], ["w2"]),
        helper.make_node("Gemm", ["a", "w2"], ["b"]),
        helper.make_node("Dropout", ["b"], ["y"]),
    ]
    network = load(save(nodes, {}, ["N", 2]))
    assert [node["op"] for node in network.graph["nodes"]] == ["Gemm"]
    assert np.allclose(network.x @ normal(2, 3), predict(network.graph, network.weights, network.x))


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm_is_normalised(save: Save, transposed: int) -> None:
    weight, bias = normal(3, 2), normal(1, 3)
    node = helper.make_node("Gemm", ["x", "w", "c"], ["y"], alpha=2.0, beta=3.0, transB=transposed)
    network = load(save([node], {"w": weight if transposed else weight.T, "c": bias}, ["N", 2]))
    (gemm,) = network.graph["nodes"]
    assert gemm["attributes"] == {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}
    assert np.allclose(2 * weight, network.weights[gemm["inputs"][1]])
    assert np.allclose(3 * bias[0], network.weights[gemm["inputs"][2]])


@pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_auto_pad_becomes_explicit(save: Save, auto: str, stride: int) -> None:
    weight = normal(3, 2, 4, 3)
    node = helper.make_node("Conv", ["x", "w"], ["y"], auto_pad=auto, strides=[stride, stride])
    path = save([node], {"w": weight}, ["N", 2, 7, 8])
    network = load(path)
    (result,) = ReferenceEvaluator(onnx.load(path)).run(None, {"x": network.x})
    expected = np.asarray(result)
    assert network.graph["outputs"][0]["shape"] == ["N", *expected.shape[1:]]
    assert np.allclose(expected, predict(network.graph, network.weights, network.x), atol=1e-5)


def test_invalid_names_are_replaced_and_stay_unique(save: Save) -> None:
    nodes = [
        helper.make_node("Gemm", ["x", "/fc/w"], ["/fc/y"], name="/fc/Gemm"),
        helper.make_node("Gemm", ["/fc/y", "_fc_w"], ["12"], name="/fc/Gemm"),
    ]
    network = load(save(nodes, {"/fc/w": normal(2, 2), "_fc_w": 2 * normal(2, 2)}, ["N", 2], "12"))
    used = [name for node in network.graph["nodes"] for name in (node["name"], *node["inputs"][1:])]
    assert len(used) == len(set(used)) == 6
    assert all(name.replace("_", "").replace(".", "").isalnum() for name in used)
    assert np.allclose(
        2 * network.x @ normal(2, 2) @ normal(2, 2), predict(network.graph, network.weights, network.x), atol=1e-5
    )


# Refusals


def test_a_misspelt_name_suggests_the_nearest() -> None:
    with pytest.raises(NetworkError, match=r"'digit'.*digits"):
        load("digit")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=r"nowhere\.onnx.*missing"):
        load(str(tmp_path / "nowhere.onnx"))


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x04"])
def test_a_file_that_is_not_onnx_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(NetworkError, match=r"broken\.onnx: .*export the network again"):
        load(str(path))


def test_a_model_rejected_by_the_checker(save: Save) -> None:
    with pytest.raises(NetworkError, match="checker"):
        load(save([helper.make_node("Relu", ["nothing"], ["y"])], {}, ["N", 2]))


RELU = [helper.make_node("Relu", ["x"], ["y"])]
WRONG: dict[str, tuple[list[onnx.NodeProto], dict[str, Any], list[int | str | None], str]] = {
    "ceil_mode with counted pads": (
        [
            helper.make_node(
                "AveragePool", ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1, count_include_pad=1
            )
        ],
        {},
        ["N", 2, 3, 3],
        "ceil_mode",
    ),
    "indices of a maximum pool": (
        [helper.make_node("MaxPool", ["x"], ["y", "where"], kernel_shape=[2, 2])],
        {},
        ["N", 2, 3, 3],
        "more than one output",
    ),
    "softmax over rows": (
        [helper.make_node("Softmax", ["x"], ["y"], axis=0)],
        {},
        ["N", 2, 3, 3],
        "last axis",
    ),
    "an output that is declared with another type": (
        [helper.make_node("Cast", ["x"], ["y"], to=onnx.TensorProto.FLOAT16)],
        {},
        ["N", 2],
        r"its shapes do not fit together: .*\(op_type:Cast\)",
    ),
    "a computed weight": (
        [helper.make_node("Relu", ["x"], ["w"]), helper.make_node("Gemm", ["x", "w"], ["y"])],
        {},
        [2, 2],
        "depends on the input",
    ),
    "constants only": (
        [helper.make_node("Relu", ["w"], ["y"])],
        {"w": normal(2)},
        ["N", 2],
        "depends on no input",
    ),
}


def not_lowered(path: str) -> str:
    """Why only readers of ONNX get the network in a file."""
    network = load(path)
    assert network.file is not None
    assert network.own is not None
    return network.own.said[-1]


@pytest.mark.parametrize("what", sorted(WRONG))
def test_unsupported_models_are_refused(save: Save, what: str) -> None:
    nodes, weights, shape, message = WRONG[what]
    try:
        said = not_lowered(save(nodes, weights, shape))
    except NetworkError as problem:
        said = str(problem)
    assert re.search(message, said)


def test_the_training_form_is_refused_as_a_source(tmp_path: Path) -> None:
    onnx.save(write(load("seed"), 15, training=True), tmp_path / "training.onnx")
    assert "export the model in inference mode" in not_lowered(str(tmp_path / "training.onnx"))


def test_further_inputs_are_held_at_values(tmp_path: Path) -> None:
    """A bias that is fed: drawn, unless a file has a value for it."""
    model = write(load("seed"), 15)
    (bias,) = [item for item in model.graph.initializer if item.name == "bn.beta"]
    model.graph.initializer.remove(bias)
    model.graph.input.append(helper.make_tensor_value_info("bn.beta", onnx.TensorProto.FLOAT, bias.dims))
    onnx.save(model, tmp_path / "two.onnx")
    value = np.array([0.25, -4], np.float32)
    np.savez(tmp_path / "bias.npz", allow_pickle=False, **{"bn.beta": value})
    options = FileOptions(samples=(str(tmp_path / "bias.npz"),))
    drawn, given = load(str(tmp_path / "two.onnx")), load(str(tmp_path / "two.onnx"), options)
    for network in (drawn, given):
        assert network.as_it_is is not None
        held = network.as_it_is.weights["bn.beta"]
        seed = load("seed")
        expected = predict(seed.graph, {**seed.weights, "bn.beta": held}, network.x)
        np.testing.assert_allclose(predict(network.graph, network.weights, network.x), expected, rtol=1e-7)
    assert np.array_equal(value, held)
    assert drawn.own is not None
    assert "input 'bn.beta' is drawn; --input FILE.npz sets it." in drawn.own.said[-1]
    assert drawn.digest != given.digest


# Forms


def test_forms_cover_opset_7_to_the_newest_of_onnx() -> None:
    assert {form.opset for form in FORMS.values()} == set(range(7, onnx.defs.onnx_opset_version() + 1))
    assert {"opset-9", "opset-9-no-momentum", "opset-14-training", "opset-15-training"} <= set(FORMS)
    assert "opset-13-training" not in FORMS


@pytest.mark.parametrize(("opset", "ir"), [(7, 3), (8, 3), (9, 4), (10, 5), (13, 7), (14, 7), (15, 8)])
def test_forms_use_the_lowest_ir_version(opset: int, ir: int) -> None:
    assert ir == write(load("seed"), opset).ir_version


INFERENCE_FORMS = [form for form in FORMS.values() if form == Form(form.opset, momentum=form.momentum)]
#: The first opset with gradients, the first with fixed training outputs, and the newest.
TURNING_POINTS = (9, 15, onnx.defs.onnx_opset_version())


@pytest.mark.parametrize("opset", TURNING_POINTS)
def test_every_form_can_be_written(opset: int) -> None:
    network = load("conv")
    for form in FORMS.values():
        if form.opset == opset:
            model = build_model(network.graph, network.weights, form)
            inputs, outputs = ([item.name for item in part] for part in (model.graph.input, model.graph.output))
            assert network.graph["outputs"][0]["name"] == outputs[0]
            assert form.fed is ("bn1.mean" in inputs)
            assert form.gradient is ("x.gradient" in outputs)
            assert form.exposed is ("conv1.out" in outputs)
            assert (form.batch or (form.training and form.read)) is (running_name("bn1.mean") in outputs)


@pytest.mark.parametrize("name", ["conv", "inception", "seed"])
@pytest.mark.parametrize("form", INFERENCE_FORMS, ids=lambda form: form.name)
def test_every_inference_form_lowers_to_the_same_graph(name: str, form: Any, tmp_path: Path) -> None:
    network = load(name)
    path = tmp_path / "again.onnx"
    onnx.save(write(network, form.opset, momentum=form.momentum), path)
    again = load(str(path))
    expected = []
    for node in network.graph["nodes"]:
        attributes = dict(node["attributes"])
        if node["op"] == "BatchNormalization":
            momentum = attributes["momentum"] if form.momentum else 0.9
            attributes |= {
                key: float(np.float32(value)) for key, value in (attributes | {"momentum": momentum}).items()
            }
        expected.append(node | {"attributes": attributes})
    assert expected == again.graph["nodes"]
    assert network.weights.keys() == again.weights.keys()
    assert all(np.array_equal(value, again.weights[key]) for key, value in network.weights.items())


@pytest.mark.parametrize("name", [name for name in SHIPPED if name not in CLASSIFIERS])
def test_the_training_form_outputs_the_statistics_after_one_update(name: str) -> None:
    network = load(name)
    model = write(network, 15, training=True)
    values = dict(
        zip(
            [output.name for output in model.graph.output],
            ReferenceEvaluator(model).run(None, {"x": network.x}),
            strict=True,
        )
    )
    expected = predict(network.graph, network.weights, network.x, training=True)
    assert np.allclose(expected, values.pop(network.graph["outputs"][0]["name"]), atol=1e-4)
    batch = batch_statistics(network.graph, network.weights, network.x)
    for norm in network.batch_norms:
        before = Statistics(network.weights[norm.mean], network.weights[norm.variance])
        after = updated(before, batch[norm.node], norm.momentum)
        assert np.allclose(after.mean, values.pop(running_name(norm.mean)), atol=1e-5)
        assert np.allclose(after.variance, values.pop(running_name(norm.variance)), atol=1e-5)
    assert values == {}


def test_weights_are_inputs_only_before_ir_4() -> None:
    network = load("seed")
    assert {"x", *network.weights} == {item.name for item in write(network, 8).graph.input}
    assert {"x"} == {item.name for item in write(network, 9).graph.input}


# Readout


def test_the_readout_is_the_score_of_one_class_and_shares_all_weights() -> None:
    network = load("digits")
    assert network.target is not None
    second = readout(network, network.target)
    logits = predict(network.graph, network.weights, network.x)
    assert np.allclose(logits[:, [network.target]], predict(second.graph, second.weights, second.x))
    assert all(np.array_equal(value, second.weights[key]) for key, value in network.weights.items())
    one_hot = np.eye(10)[[network.target]]
    assert np.allclose(
        gradient(network.graph, network.weights, network.x, one_hot),
        gradient(second.graph, second.weights, second.x, second.cotangent),
    )


def test_a_readout_needs_an_existing_class() -> None:
    with pytest.raises(NetworkError, match="class 10"):
        readout(load("digits"), 10)


# Input of the probe


@pytest.mark.parametrize("name", ["seed-batch", "digits"])
def test_a_prepared_network_equals_the_loaded_one(name: str, tmp_path: Path) -> None:
    network = load(name)
    prepared(network, tmp_path / "n", ["opset-9", "opset-15-training"])
    assert network.graph == json.loads((tmp_path / "n" / "graph.json").read_text())
    with np.load(tmp_path / "n" / "weights.npz", allow_pickle=False) as weights:
        assert set(weights.files) == set(network.weights)
        assert all(np.array_equal(network.weights[key], weights[key]) for key in weights.files)
    with np.load(tmp_path / "n" / "inputs.npz", allow_pickle=False) as inputs:
        assert np.array_equal(network.x, inputs["x"])
        assert np.array_equal(network.cotangent, inputs["cotangent"])
    assert {"opset-9.onnx", "opset-15-training.onnx"} == {path.name for path in (tmp_path / "n").glob("*.onnx")}


def test_a_prepared_classifier_has_noise_images_and_a_readout(tmp_path: Path) -> None:
    network = load("digits")
    prepared(network, tmp_path, ["opset-9"])
    with np.load(tmp_path / "inputs.npz", allow_pickle=False) as inputs:
        noise = inputs["noise"] - network.x
        assert inputs["noise"].dtype == np.float32
        assert noise.shape == (20, *network.x.shape)
        assert noise.min() >= 0
        assert 0.99 < noise.max() <= 1
        assert network.images is not None
        assert np.array_equal(network.images, inputs["images"])
    second = json.loads((tmp_path / "readout" / "graph.json").read_text())
    assert second["outputs"] == [{"name": "readout", "shape": ["N", 1]}]
    assert {"graph.json", "weights.npz", "inputs.npz", "opset-9.onnx"} == {
        path.name for path in (tmp_path / "readout").iterdir()
    }


def test_only_classifiers_get_a_readout(tmp_path: Path) -> None:
    prepared(load("conv"), tmp_path)
    assert {"graph.json", "weights.npz", "inputs.npz"} == {path.name for path in tmp_path.iterdir()}


def test_preparing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        prepared(load("digits"), tmp_path / folder, ["opset-9"])
    first = {path.relative_to(tmp_path / "a"): path for path in (tmp_path / "a").rglob("*.*")}
    assert len(first) == 8
    assert all(path.read_bytes() == (tmp_path / "b" / key).read_bytes() for key, path in first.items())


# Defects


def test_defect_files_and_the_readme_table_match() -> None:
    folder = Path(__file__).parents[1] / "models" / "defects"
    listed = set(re.findall(r"^\| `([^`]+\.onnx)` \|", (folder / "README.md").read_text(), re.MULTILINE))
    assert listed == {path.name for path in folder.glob("*.onnx")}


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[1] / "models" / "defects").glob("*.onnx")), ids=str)
def test_defect_files_are_valid(path: Path) -> None:
    onnx.checker.check_model(onnx.load(path), full_check=path.name != "training-one-output.onnx")
