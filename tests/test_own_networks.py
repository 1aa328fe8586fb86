"""Users' files: what `load` makes of ordinary ONNX files, and its messages for the others."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from crosscheck.cells import Array
from crosscheck.errors import NetworkError, UsageError
from crosscheck.gradients.api import gradient
from crosscheck.job import Result
from crosscheck.networks import FileOptions, Network, load
from crosscheck.networks.own_file import READERS
from crosscheck.oracle import predict
from tests.conftest import SilentProgress, read_cells

Shape = Sequence[int | str | None]

#: An opset of today's exporters.
OPSET = 15


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def integers(*values: int) -> Array:
    return np.array(values, np.int64)


def layer(name: str, channels: int, seed: int = 1) -> dict[str, Array]:
    """Scale, bias, mean and variance of a batch normalization, drawn by `seed`."""
    random = np.random.default_rng(seed)
    values = {
        "scale": random.uniform(0.5, 1.5, channels),
        "bias": random.normal(0, 0.3, channels),
        "mean": random.normal(0, 0.3, channels),
        "var": random.uniform(0.5, 1.5, channels),
    }
    return {f"{name}.{key}": value.astype(np.float32) for key, value in values.items()}


def norm(x: str, y: str, name: str = "b", **attributes: Any) -> onnx.NodeProto:
    inputs = [f"{name}.{key}" for key in ("scale", "bias", "mean", "var")]
    return helper.make_node("BatchNormalization", [x, *inputs], [y], **attributes)


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    weights: Mapping[str, Array],
    shape: Shape,
    outputs: Sequence[str] = ("y",),
    opset: int = OPSET,
    ir: int = 8,
) -> onnx.ModelProto:
    """A model of the input x, float32; until IR 3 weights are inputs, too."""
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    if ir < 4:
        inputs += [helper.make_tensor_value_info(key, TensorProto.FLOAT, value.shape) for key, value in weights.items()]
    graph = helper.make_graph(
        nodes,
        "g",
        inputs,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, key) for key, value in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
    inferred = {item.name: item for item in onnx.shape_inference.infer_shapes(made).graph.output}
    for output in made.graph.output:  # the checker wants a shape; here, if none is inferred, of the input's rank
        if not inferred[output.name].type.tensor_type.HasField("shape"):
            inferred[output.name] = helper.make_tensor_value_info(output.name, TensorProto.FLOAT, [None] * len(shape))
        output.CopyFrom(inferred[output.name])
    return made


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[..., Network]:
    """Loads a model from the file mine.onnx."""

    def load_it(made: onnx.ModelProto, **sizes: Any) -> Network:
        onnx.save(made, tmp_path / "mine.onnx")
        return load(str(tmp_path / "mine.onnx"), FileOptions(**sizes))

    return load_it


Loaded = Callable[..., Network]


def said(network: Network) -> list[str]:
    assert network.own is not None
    return [sentence.partition("mine.onnx: ")[2] for sentence in network.own.said]


# Attributes


def test_a_tiny_variance_is_normalized_with_the_epsilon_of_the_file(loaded: Loaded) -> None:
    weights = layer("b", 2) | {"b.var": np.full(2, -9e-6, np.float32)}
    network = loaded(model([norm("x", "y")], weights, ["N", 2]))
    epsilon = float(np.float32(1e-5))
    scale, bias, mean, var = (weights[f"b.{key}"].astype(np.float64) for key in ("scale", "bias", "mean", "var"))
    expected = (network.x - mean) / np.sqrt(var + epsilon) * scale + bias
    np.testing.assert_allclose(predict(network.graph, network.weights, network.x), expected, rtol=1e-12)


def test_shipped_networks_keep_the_decimals_of_their_script() -> None:
    (layer_of_2017,) = load("seed").batch_norms
    assert (0.001, 0.9) == (layer_of_2017.epsilon, layer_of_2017.momentum)
    network = load("seed")
    assert "0.29985 0.3998" == " ".join(
        f"{value:.6g}" for value in predict(network.graph, network.weights, network.x)[0]
    )


# Names


def test_a_name_is_the_stem_and_the_content(tmp_path: Path) -> None:
    first, second = (
        model([norm("x", "y")], layer("b", 3), ["N", 3]),
        model([norm("x", "y")], layer("b", 3, 2), ["N", 3]),
    )
    for folder, made in (("a", first), ("b", second), ("c", first)):
        (tmp_path / folder).mkdir()
        onnx.save(made, tmp_path / folder / "model.onnx")
    names = [load(str(tmp_path / folder / "model.onnx")).name for folder in "abc"]
    assert names[0] == names[2] != names[1]
    assert all(re.fullmatch("model-[0-9a-f]{8}", name) for name in names)


def test_a_name_covers_weights_beside_the_file(tmp_path: Path) -> None:
    names = []
    for seed in (1, 2):
        made = model([norm("x", "y")], layer("b", 300, seed), ["N", 300])
        onnx.save(made, tmp_path / "model.onnx", save_as_external_data=True, location="w.data", size_threshold=0)
        names.append(load(str(tmp_path / "model.onnx")).name)
        (tmp_path / "w.data").unlink()
    assert len(set(names)) == 2


@pytest.mark.parametrize("stem", ["a b<script>:c", "n" * 200, "ü", ".."])
def test_a_name_has_no_characters_of_its_own_meaning(tmp_path: Path, stem: str) -> None:
    path = tmp_path / f"{stem}.onnx"
    onnx.save(model([norm("x", "y")], layer("b", 3), ["N", 3]), path)
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,40}-[0-9a-f]{8}", load(str(path)).name)


def test_two_files_of_one_name_are_measured_as_alone(
    run_toy: Callable[..., Result], tmp_path: Path, progress: SilentProgress
) -> None:
    paths = {}
    for seed, folder in enumerate(("a", "b")):
        (tmp_path / folder).mkdir()
        paths[folder] = str(tmp_path / folder / "model.onnx")
        onnx.save(model([norm("x", "y")], layer("b", 3, seed), ["N", 3]), paths[folder])
    modes = ["inference", "leak-backward"]
    asked: dict[str, Any] = {"modes": modes, "scenarios": ["gradient", "order"]}
    cells: list[dict[str, Any]] = []
    for networks in ([paths["a"]], [paths["b"]], list(paths.values())):
        run_toy("toy@1.7.0", networks=networks, **asked)
        cells.append(read_cells(tmp_path))
    facts = ("findings", "prediction_before", "prediction_after")
    alone, together = cells[0] | cells[1], cells[2]
    assert alone.keys() == together.keys()
    for name, cell in together.items():
        assert [alone[name][fact] for fact in facts] == [cell[fact] for fact in facts]
    for folder, path in paths.items():
        network = load(path)
        right = predict(network.graph, network.weights, network.x)
        rows = [cell for cell in together.values() if cell["network"] == network.name]
        assert {
            ("inference", "gradient"): ["clean"],
            ("inference", "order"): ["clean"],
            ("leak-backward", "gradient"): ["leak"],
        } == {(cell["mode"], cell["scenario"]): cell["findings"] for cell in rows}
        assert {str(path) in cell["reproduce"] for cell in rows} == {True}, folder
        for cell in (cell for cell in rows if cell["scenario"] == "gradient"):
            np.testing.assert_allclose(cell["prediction_before"], right, rtol=1e-5)
    run = json.loads((tmp_path / "run.json").read_text())
    assert ["model", "model"] == [facts["short"] for facts in run["networks"].values()]


def test_the_page_shows_the_short_name_where_it_is_unambiguous(run_toy: Callable[..., Result], tmp_path: Path) -> None:
    for seed, stem in enumerate(("mine", "other")):
        onnx.save(model([norm("x", "y")], layer("b", 3, seed), ["N", 3]), tmp_path / f"{stem}.onnx")
    networks = [str(tmp_path / f"{stem}.onnx") for stem in ("mine", "other")]
    run_toy("toy@1.7.0", networks=networks, modes=["inference"], scenarios=["gradient"])
    page = (tmp_path / "report.html").read_text()
    assert ["mine", "other"] == re.findall(r"gradient, <code>(.*?)</code>", page)
    assert [load(path).name for path in networks] == re.findall(r'<option value="([^"]+-[0-9a-f]{8})">', page)


# FileOptions


CONV = {"w": normal(4, 3, 3, 3)} | layer("b", 4)
HEAD = {"f": normal(2, 4 * 6 * 6), "c": normal(2)}


def convolution(*more: onnx.NodeProto) -> list[onnx.NodeProto]:
    return [node("Conv", "x w", "c", pads=[1] * 4), norm("c", "n"), *more]


def test_an_open_batch_is_four_rows_and_is_said(loaded: Loaded) -> None:
    network = loaded(model(convolution(node("Relu", "n", "y")), CONV, ["N", 3, 6, 6]))
    assert (4, 3, 6, 6) == network.x.shape
    assert [
        "input 'x' is taken as 4,3,6,6, as the file leaves axis 0 open; --batch N or --shape x=4,3,6,6 changes it."
    ] == said(network)


def test_a_batch_that_the_file_fixes_stays_and_is_not_said(loaded: Loaded) -> None:
    network = loaded(model(convolution(node("Relu", "n", "y")), CONV, [1, 3, 6, 6]))
    assert ((1, 3, 6, 6), []) == (network.x.shape, said(network))


def test_the_batch_of_the_user_goes_before_the_one_of_the_file(loaded: Loaded) -> None:
    made = model(convolution(node("Relu", "n", "y")), CONV, [1, 3, 6, 6])
    assert (2, 3, 6, 6) == loaded(made, batch=2).x.shape


@pytest.mark.parametrize("shape", [["N", 3, "H", "W"], [None, None, None, None], ["N", 3, "H", 224]])
def test_open_sizes_of_images_are_224(loaded: Loaded, shape: Shape) -> None:
    pool = [node("GlobalAveragePool", "n", "p"), node("Flatten", "p", "y")]
    network = loaded(model(convolution(*pool), CONV, shape))
    assert (4, 3, 224, 224) == network.x.shape
    assert (4, 4) == predict(network.graph, network.weights, network.x[:, :, :8, :8]).shape


def test_open_sizes_are_the_smallest_that_the_layers_take_where_224_does_not_fit(loaded: Loaded) -> None:
    head = [node("Flatten", "n", "l"), node("Gemm", "l f c2", "y", transB=1)]
    weights = CONV | {"f": HEAD["f"], "c2": HEAD["c"]}
    assert (4, 3, 6, 6) == loaded(model(convolution(*head), weights, ["N", 3, "H", "W"])).x.shape


def test_the_user_gives_sizes(loaded: Loaded) -> None:
    made = model(convolution(node("Relu", "n", "y")), CONV, ["N", 3, "H", "W"])
    network = loaded(made, shapes={"x": (2, 3, 5, 7)})
    assert ((2, 3, 5, 7), (2, 4, 5, 7), []) == (network.x.shape, network.cotangent.shape, said(network))
    assert ("--shape", "x=2,3,5,7") == network.words[2:]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 5), "has 4 axes; --shape x=1,3,5 has 3"),
        ((1, 1, 5, 5), "has the size 3 in axis 1; --shape x=1,1,5,5 has 1"),
    ],
)
def test_sizes_that_contradict_the_file_are_refused(loaded: Loaded, shape: tuple[int, ...], message: str) -> None:
    made = model(convolution(node("Relu", "n", "y")), CONV, ["N", 3, "H", "W"])
    with pytest.raises(NetworkError, match=f"mine.onnx: input 'x' {message}"):
        loaded(made, shapes={"x": shape})


def test_sizes_that_the_layers_do_not_take_are_refused(loaded: Loaded) -> None:
    head = [node("Flatten", "n", "l"), node("Gemm", "l f c2", "y", transB=1)]
    made = model(convolution(*head), CONV | {"f": HEAD["f"], "c2": HEAD["c"]}, ["N", 3, "H", "W"])
    with pytest.raises(NetworkError, match="does not take --shape x=1,3,7,7"):
        loaded(made, shapes={"x": (1, 3, 7, 7)})


def test_a_size_that_nothing_decides_is_named_with_its_axis_and_the_option(loaded: Loaded) -> None:
    head = [node("Flatten", "x", "l"), node("Gemm", "l f c", "y", transB=1)]
    made = model(head, {"f": normal(2, 7), "c": normal(2)}, ["N", 2, "H"])
    with pytest.raises(NetworkError, match=r"in axis 2 \(H\), and no size .* --shape x=4,2,SIZE"):
        loaded(made)


@pytest.mark.parametrize("text", ["x", "x=", "=1", "x=1,a", "x=1,0", "x=1.5"])
def test_a_shape_that_cannot_be_read_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="--shape takes an input and its sizes"):
        FileOptions.parsed([text], None)


def test_one_class_is_differentiated_in_every_row(loaded: Loaded) -> None:
    network = loaded(model(convolution(), CONV, ["N", 3, 6, 6], outputs=["n"]), cotangent=None)
    assert np.unique(network.cotangent).size > 1
    head = [node("Gemm", "x f c", "y", transB=1)]
    dense = model(head, {"f": normal(3, 2), "c": normal(3)}, ["N", 2])
    one = loaded(dense, batch=2, cotangent=1)
    np.testing.assert_array_equal([[0, 1, 0], [0, 1, 0]], one.cotangent)
    assert one.own is not None
    assert ("--batch", "2", "--cotangent", "1") == one.own.words[2:]
    with pytest.raises(
        NetworkError, match=r"--cotangent 3 does not fit the output \(4, 3\); it takes a number below 3"
    ):
        loaded(dense, cotangent=3)
    with pytest.raises(NetworkError, match=r"--cotangent 0 .* it takes numbers of outputs \(rows, classes\) alone"):
        loaded(model(convolution(), CONV, ["N", 3, 6, 6], outputs=["n"]), cotangent=0)


def test_a_cotangent_is_given_once(loaded: Loaded, tmp_path: Path) -> None:
    np.savez(tmp_path / "values.npz", cotangent=normal(4, 3))
    sample = (str(tmp_path / "values.npz"),)
    with pytest.raises(NetworkError, match="a file of values has a cotangent, so --cotangent cannot choose another"):
        loaded(model([norm("x", "y")], layer("b", 3), ["N", 3]), samples=sample, cotangent=0)
    with pytest.raises(UsageError, match="--cotangent takes the number of an output, from 0 on"):
        FileOptions.parsed([], cotangent=-1)


# Ordinary files


def test_computed_constants_are_folded(loaded: Loaded) -> None:
    weights = layer("b", 4)
    scale = weights.pop("b.scale")
    weights |= {"g": scale / 2, "two": np.array([2], np.float32), "shape": integers(-1)}
    nodes = [node("Mul", "g two", "g2"), node("Reshape", "g2 shape", "b.scale"), norm("x", "y")]
    network = loaded(model(nodes, weights, ["N", 4]))
    assert ["BatchNormalization"] == [item["op"] for item in network.graph["nodes"]]
    assert np.array_equal(scale, network.weights["b.scale"])


def test_shapes_of_tensors_are_constants(loaded: Loaded) -> None:
    """A bias of zeros as long as the features, which the file computes from the shape of a tensor."""
    weights = {"f": normal(3, 2), "one": integers(1), "two": integers(2)}
    nodes = [
        node("Gemm", "x f", "l", transB=1),
        node("Shape", "l", "s"),
        node("Slice", "s one two", "features"),
        node("ConstantOfShape", "features", "bias"),
        node("Gemm", "x f bias", "y", transB=1),
    ]
    network = loaded(model(nodes, weights, ["N", 2]))
    assert ["Gemm"] == [item["op"] for item in network.graph["nodes"]]
    np.testing.assert_allclose(
        network.x @ weights["f"].T, predict(network.graph, network.weights, network.x), rtol=1e-5
    )


def test_weights_that_a_node_makes_are_constants_before_ir_4_too(loaded: Loaded) -> None:
    value = numpy_helper.from_array(np.array([0.5], np.float32))
    nodes = [
        node("ConstantOfShape", "s", "w", value=value),
        node("Conv", "x w", "a", name="one"),
        node("Conv", "x w", "b", name="two"),
        node("Concat", "a b", "y", axis=1),
    ]
    made = model(nodes, {"s": integers(2, 3, 1, 1)}, [1, 3, 4, 4], opset=9, ir=4)
    made.graph.input.append(helper.make_tensor_value_info("s", TensorProto.INT64, [4]))
    made.ir_version = 3
    network = loaded(made)
    right = np.repeat(network.x.astype(np.float64).sum(axis=1, keepdims=True) / 2, 4, axis=1)
    np.testing.assert_allclose(predict(network.graph, network.weights, network.x), right, rtol=1e-6, atol=1e-12)


def test_nodes_beside_the_path_are_left_out_with_their_inputs_and_outputs(loaded: Loaded) -> None:
    made = model(
        [norm("x", "scores"), node("TopK", "scores k", "values places"), node("Sin", "other", "unread")],
        layer("b", 4) | {"k": integers(2)},
        ["N", 4],
        outputs=("scores", "values"),
    )
    made.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, [1]))
    network = loaded(made, batch=2)
    assert ["BatchNormalization"] == [item["op"] for item in network.graph["nodes"]]
    assert "output 'scores' is taken, the first; --output takes one of values." == said(network)[0]


def test_one_layer_used_twice_and_equal_parameters_stored_once_become_layers_of_their_own(loaded: Loaded) -> None:
    twice = loaded(model([norm("x", "h"), norm("h", "y")], layer("b", 3), ["N", 3]))
    weights = layer("b", 3)
    apart = {f"{name}.{key}": weights[f"b.{key}"] for name in "bd" for key in ("scale", "bias", "mean", "var")}
    reference = loaded(model([norm("x", "h"), norm("h", "y", "d")], apart, ["N", 3]))
    assert 8 == len(twice.weights)
    assert np.array_equal(
        predict(reference.graph, reference.weights, reference.x), predict(twice.graph, twice.weights, twice.x)
    )


def test_identities_hand_parameters_on(loaded: Loaded) -> None:
    weights = layer("b", 3) | {f"d.{key}": layer("d", 3, 2)[f"d.{key}"] for key in ("mean", "var")}
    nodes = [
        node("Identity", "b.scale", "d.scale"),
        node("Identity", "b.bias", "d.bias"),
        norm("x", "h"),
        norm("h", "y", "d"),
    ]
    network = loaded(model(nodes, weights, ["N", 3]))
    first, second = network.batch_norms
    assert first.scale != second.scale
    assert np.array_equal(network.weights[first.scale], network.weights[second.scale])


def test_an_input_with_one_axis_is_rows_of_one_channel(loaded: Loaded) -> None:
    weights = layer("b", 1)
    network = loaded(model([norm("x", "y")], weights, [10]))
    assert (10, 1) == network.x.shape
    assert ["input 'x' has one axis, taken as rows of one channel."] == said(network)
    other = loaded(model([norm("x", "h"), node("Softmax", "h", "y", axis=0)], weights, [10]))
    assert "input 'x' has no batch axis, needed by Softmax; add one." == not_lowered(other)


def with_function() -> onnx.ModelProto:
    """A convolution, then a batch normalization inside a function of the model."""
    inner = ["X", "scale", "bias", "mean", "var"]
    function = helper.make_function(
        "pkg.torch",
        "aten_batch_norm",
        inner,
        ["Y"],
        [helper.make_node("BatchNormalization", inner, ["Y"], epsilon=0.01)],
        [helper.make_opsetid("", OPSET)],
    )
    made = model(convolution(node("Relu", "n", "y")), CONV, ["N", 3, 6, 6])
    made.graph.node[1].op_type, made.graph.node[1].domain = "aten_batch_norm", "pkg.torch"
    made.opset_import.append(helper.make_opsetid("pkg.torch", 1))
    made.functions.append(function)
    return made


def test_functions_are_inlined(loaded: Loaded, tmp_path: Path) -> None:
    network = loaded(with_function())
    assert [float(np.float32(0.01))] == [item.epsilon for item in network.batch_norms]
    assert "x.gradient" in [item.name for item in gradient(tmp_path / "mine.onnx").graph.output]


@pytest.mark.parametrize(("opset", "extra"), [(1, {"consumed_inputs": [0, 0, 0, 1, 1]}), (6, {})])
def test_old_opsets_are_converted(loaded: Loaded, tmp_path: Path, opset: int, extra: dict[str, Any]) -> None:
    nodes = [node("Conv", "x w", "c", pads=[1] * 4), norm("c", "y", is_test=1, epsilon=0.01, **extra)]
    network = loaded(model(nodes, CONV, [4, 3, 6, 6], opset=opset, ir=3))
    same = loaded(model([nodes[0], norm("c", "y", epsilon=0.01)], CONV, [4, 3, 6, 6]))
    assert np.array_equal(predict(same.graph, same.weights, same.x), predict(network.graph, network.weights, network.x))
    onnx.save(model(nodes, CONV, [4, 3, 6, 6], opset=opset, ir=3), tmp_path / "mine.onnx")
    assert "x.gradient" in [item.name for item in gradient(tmp_path / "mine.onnx").graph.output]


# Messages


def not_lowered(network: Network) -> str:
    """Why only readers of ONNX get the network."""
    assert network.file is not None
    *_, last = said(network)
    reason, told, rest = last.partition(f" {READERS}")
    assert ("", f" {READERS}") == (rest, told)
    return reason


def refusal(loaded: Loaded, made: onnx.ModelProto) -> str:
    with pytest.raises(NetworkError) as problem:
        loaded(made)
    message = str(problem.value)
    assert "\n" not in message
    return message.partition("mine.onnx: ")[2]


def test_all_blocking_nodes_are_named_by_operator(loaded: Loaded) -> None:
    nodes = [
        node("Sinh", "x", "a", name="squash"),
        node("Cosh", "a", "b"),
        *(node("Sinh", f"{'b' if i == 0 else f's{i}'}", f"s{i + 1}", name=f"s{i}") for i in range(3)),
        node("Relu", "s3", "y"),
    ]
    assert (
        "Sinh (nodes 'squash', 's0', 's1' and 1 more) is not supported; Cosh (node 1) is not supported."
    ) == not_lowered(loaded(model(nodes, {}, ["N", 2])))


def test_all_nodes_with_unsupported_attributes_are_named(loaded: Loaded) -> None:
    nodes = [
        node("MaxPool", "x", "a", name="pool", kernel_shape=[2, 2], dilations=[2, 1]),
        node("Transpose", "a", "y", perm=[1, 0, 2, 3]),
    ]
    assert (
        "MaxPool (node 'pool') is dilated; only pools without dilation are supported; "
        "Transpose (node 1) moves the batch axis; only the other axes may move."
    ) == not_lowered(loaded(model(nodes, {}, ["N", 2, 4, 4])))


def external(tmp_path: Path) -> onnx.ModelProto:
    """A model of 48 bytes of weights in w.data, as a proto without them."""
    onnx.save(
        model([norm("x", "y")], layer("b", 3), ["N", 3]),
        tmp_path / "mine.onnx",
        save_as_external_data=True,
        location="w.data",
        size_threshold=0,
    )
    return onnx.load(tmp_path / "mine.onnx", load_external_data=False)


@pytest.mark.parametrize(
    ("location", "bytes_left", "message"),
    [
        ("w.data", None, "its weights are in 'w.data', which is missing; copy that file beside the model, too."),
        ("w.data", 40, "its weights are in 'w.data', which has 40 bytes instead of 48; copy that file again."),
        (
            "/w.data",
            48,
            "its weights are in '/w.data', an absolute path; save the model again with its weights beside it.",
        ),
        (
            "../w.data",
            48,
            "its weights are in '../w.data', outside the model's folder; "
            "save the model again with its weights beside it.",
        ),
    ],
)
def test_weights_in_another_file_are_named_if_they_cannot_be_read(
    tmp_path: Path, location: str, bytes_left: int | None, message: str
) -> None:
    made = external(tmp_path)
    content = (tmp_path / "w.data").read_bytes()
    assert 48 == len(content)
    assert load(str(tmp_path / "mine.onnx")).weights["b.scale"].shape == (3,)
    (tmp_path / "w.data").unlink()
    if bytes_left is not None:
        (tmp_path / "w.data").write_bytes(content[:bytes_left])
    for tensor in made.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    onnx.save(made, tmp_path / "mine.onnx")
    for door in (load, gradient):
        with pytest.raises(NetworkError) as problem:
            door(str(tmp_path / "mine.onnx"))
        assert message == str(problem.value).partition("mine.onnx: ")[2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "a pointer of Git LFS; run `git lfs"),
        (b"<!DOCTYPE html>\n<html></html>", "is a web page; download the file itself"),
        (b"", "has no ONNX graph in it"),
    ],
)
def test_files_that_stand_for_a_model_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "mine.onnx").write_bytes(content)
    with pytest.raises(NetworkError, match=message):
        load(str(tmp_path / "mine.onnx"))


def test_an_opset_that_is_newer_than_onnx_is_refused(loaded: Loaded) -> None:
    made = model([norm("x", "y")], layer("b", 3), ["N", 3])
    made.opset_import[0].version = 999
    assert "is written in opset 999; export it in an opset from 7 to" in refusal(loaded, made)


def test_a_shape_is_for_the_files_that_have_the_input(run_toy: Callable[..., Result], tmp_path: Path) -> None:
    """The second file has an input of another name, and keeps its own sizes."""
    first, second = (model(convolution(node("Relu", "n", "y")), CONV, ["N", 3, "H", "W"]) for _ in "ab")
    second.graph.input[0].name = second.graph.node[0].input[0] = "image"
    for made, stem in ((first, "one"), (second, "two")):
        onnx.save(made, tmp_path / f"{stem}.onnx")
    networks = [str(tmp_path / f"{stem}.onnx") for stem in ("one", "two")]
    options = FileOptions(shapes={"x": (1, 3, 5, 5)})
    assert [(1, 3, 5, 5), (4, 3, 224, 224)] == [load(path, options).x.shape for path in networks]
    with pytest.raises(UsageError, match=r"no network file has an input 'z'\. They have image, x"):
        run_toy("toy@1.7.0", networks=networks, modes=["inference"], options=FileOptions(shapes={"z": (1,)}))


def test_laws_allow_the_rounding_of_the_layers_before(run_toy: Callable[..., Result], tmp_path: Path) -> None:
    """The layer's batch is a small difference of large numbers, which float32 rounds."""
    nodes = [node("Add", "x large", "sum"), node("Sub", "sum large", "z"), norm("z", "y")]
    weights = layer("b", 3) | {"large": np.array(3e4, np.float32)}
    onnx.save(model(nodes, weights, [4, 3]), tmp_path / "mine.onnx")
    run_toy("toy@1.8.0", networks=[str(tmp_path / "mine.onnx")], modes=["leak-backward"], scenarios=["gradient"])
    (cell,) = read_cells(tmp_path).values()
    assert ["leak"] == cell["findings"]


def test_a_batch_that_does_not_reach_the_output_leaves_the_file_to_readers(loaded: Loaded) -> None:
    nodes = [node("Conv", "x w", "c"), node("Reshape", "c shape", "f"), node("Gemm", "f g", "y")]
    weights = {"w": normal(4, 3, 1, 1), "shape": integers(1, 144), "g": normal(144, 5)}
    network = loaded(model(nodes, weights, [1, 3, 6, 6]), batch=2)
    assert not_lowered(network) == "has 2 rows of input and 1 of output."


def test_shapes_that_do_not_fit_the_batch_name_the_file(loaded: Loaded) -> None:
    with pytest.raises(NetworkError, match=r"mine\.onnx: its shapes do not fit together"):
        loaded(model([node("Mul", "x c", "y")], {"c": normal(3, 2)}, [3, 2]), batch=2)


def test_an_output_without_rows_leaves_the_file_to_readers(loaded: Loaded) -> None:
    network = loaded(model([node("ReduceMean", "x", "y", keepdims=0)], {}, [4, 3], opset=13))
    assert network.cotangent.shape == ()
    assert not_lowered(network)
