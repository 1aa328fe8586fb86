"""Parts of networks, and smaller networks: valid, and equal to the whole where they should be."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from crosscheck import oracle
from crosscheck.cells import Array
from crosscheck.errors import NetworkError
from crosscheck.networks import Network, load, names
from crosscheck.networks.graph import Graph
from crosscheck.networks.lowering import lower
from crosscheck.networks.network import fixed_cotangent
from crosscheck.subnetworks.parts import built, prefix, renamed, suffix, values, without
from crosscheck.subnetworks.smaller import (
    differentiable,
    with_channels,
    with_digits,
    with_integers,
    with_pixels,
    with_rows,
)

NETWORKS = {name: load(name) for name in names()}


def made(nodes: list[onnx.NodeProto], weights: dict[str, Array], shape: tuple[int, ...], output: str = "y") -> Network:
    """A network of four rows, from ONNX nodes that read `x`."""
    random = np.random.default_rng(1)
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "made",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", *shape])],
            [helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
        ),
        ir_version=4,
        opset_imports=[helper.make_opsetid("", 9)],
    )
    graph, lowered = lower(model, "made", "made")
    x = random.standard_normal((4, *shape)).astype(np.float32)
    y = oracle.predict(graph, lowered, x)
    return Network("made", "made", "", model, graph, lowered, x, fixed_cotangent(y.shape))


def branched() -> Network:
    """A depthwise and a grouped convolution beside a plain one, joined by Concat, a Softmax at the end."""
    random = np.random.default_rng(0)
    return made(
        [
            helper.make_node("Conv", ["x", "deep.weight"], ["a"], name="depthwise", group=4, pads=[1, 1, 1, 1]),
            helper.make_node("Conv", ["x", "grouped.weight"], ["b"], name="grouped", group=2),
            helper.make_node("Conv", ["x", "plain.weight"], ["c"], name="plain", strides=[1, 1]),
            helper.make_node("Add", ["a", "x"], ["d"], name="add"),
            helper.make_node("Concat", ["d", "b", "c"], ["e"], name="concat", axis=1),
            helper.make_node("MaxPool", ["e"], ["f"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
            helper.make_node("Flatten", ["f"], ["g"], name="flatten"),
            helper.make_node("Gemm", ["g", "dense.weight", "bias"], ["h"], name="dense", transB=1),
            helper.make_node("Softmax", ["h"], ["y"], name="softmax", axis=1),
        ],
        {
            "deep.weight": random.standard_normal((4, 1, 3, 3)),
            "grouped.weight": random.standard_normal((6, 2, 1, 1)),
            "plain.weight": random.standard_normal((5, 4, 1, 1)),
            "dense.weight": random.standard_normal((3, 15 * 9)),
            "bias": random.standard_normal(3),
        },
        (4, 6, 6),
    )


NETWORKS["branched"] = branched()


def as_in_a_file(graph: Graph) -> Graph:
    """The graph with the float32 attributes of a file, where shipped networks have decimals."""
    copy = deepcopy(graph)
    for node in copy["nodes"]:
        if node["op"] == "BatchNormalization":
            node["attributes"] = {key: float(np.float32(value)) for key, value in node["attributes"].items()}
    return copy


def check(part: Network) -> None:
    """A valid network: onnx accepts it, lowering gives the same graph, and the oracle evaluates it."""
    onnx.checker.check_model(part.model, full_check=True)
    graph, weights = lower(part.model, part.name, part.name)
    assert graph == as_in_a_file(part.graph)
    assert weights.keys() == part.weights.keys()
    assert all(np.array_equal(weights[name], part.weights[name]) for name in weights)
    y = oracle.predict(part.graph, part.weights, part.x)
    assert y.shape == part.cotangent.shape
    assert np.isfinite(y).all()
    assert part.x.shape == oracle.gradient(part.graph, part.weights, part.x, part.cotangent).shape
    assert not any(array.flags.writeable for array in (part.x, part.cotangent, *part.weights.values()))
    assert {np.dtype(np.float32)} == {array.dtype for array in (part.x, part.cotangent, *part.weights.values())}


def nodes(*networks: str) -> Iterator[tuple[str, str]]:
    for name in networks or NETWORKS:
        for node in NETWORKS[name].graph["nodes"]:
            yield name, node["name"]


@pytest.mark.parametrize(("name", "node"), list(nodes()))
def test_a_prefix_has_the_networks_inner_value(name: str, node: str) -> None:
    network = NETWORKS[name]
    part = prefix(network, node)
    check(part)
    assert f"{network.name}:{node}" == part.name
    output = part.graph["outputs"][0]["name"]
    expected = oracle.layers(network.graph, network.weights, network.x)[output]
    assert np.array_equal(expected, oracle.predict(part.graph, part.weights, part.x))
    assert np.array_equal(network.x, part.x)
    assert node == part.graph["nodes"][-1]["name"]


@pytest.mark.parametrize(("name", "node"), list(nodes()))
def test_a_suffix_continues_from_the_networks_inner_value(name: str, node: str) -> None:
    network = NETWORKS[name]
    part = suffix(network, node)
    if part is None:
        return
    check(part)
    assert np.allclose(
        oracle.predict(network.graph, network.weights, network.x),
        oracle.predict(part.graph, part.weights, part.x),
        rtol=1e-5,
        atol=1e-5,
    )
    assert np.array_equal(network.cotangent, part.cotangent)
    assert network.graph["inputs"][0]["name"] == part.graph["inputs"][0]["name"]


def test_a_suffix_needs_no_other_way_to_the_input() -> None:
    assert suffix(NETWORKS["residual"], "block1.a.bn") is None
    assert suffix(NETWORKS["branched"], "add") is None
    assert suffix(NETWORKS["residual"], "block2.relu") is not None


@pytest.mark.parametrize(("name", "node"), list(nodes()))
def test_a_node_is_left_out_where_its_shapes_are_equal(name: str, node: str) -> None:
    network = NETWORKS[name]
    shapes = {tensor: value.shape for tensor, value in values(network).items()}
    (found,) = [item for item in network.graph["nodes"] if item["name"] == node]
    part = without(network, [node])
    if part is None:
        assert shapes[found["inputs"][0]] != shapes[found["outputs"][0]] or len(network.graph["nodes"]) == 1
        return
    check(part)
    assert node not in [item["name"] for item in part.graph["nodes"]]


def test_what_only_a_removed_branch_needs_goes_with_it() -> None:
    part = without(NETWORKS["residual"], ["block2.add"])
    assert part is not None
    names_left = [item["name"] for item in part.graph["nodes"]]
    assert not [name for name in names_left if name.startswith("block2.shortcut")]
    assert not [name for name in part.weights if name.startswith("block2.shortcut")]


def test_several_nodes_are_left_out_at_once() -> None:
    part = without(NETWORKS["conv"], ["bn1", "relu1", "bn2", "relu2"])
    assert part is not None
    check(part)
    assert ["conv1", "conv2", "pool", "flatten", "dense"] == [item["name"] for item in part.graph["nodes"]]
    assert without(NETWORKS["seed"], ["bn"]) is None


def test_a_part_of_a_part_and_identity_by_content() -> None:
    network = NETWORKS["conv"]
    one = suffix(prefix(network, "pool"), "relu2")
    assert one is not None
    check(one)
    assert ["relu2", "pool"] == [item["name"] for item in one.graph["nodes"]]
    again = suffix(prefix(load("conv"), "pool"), "relu2")
    assert again is not None
    assert one.digest == again.digest
    halved = built(one, one.name, one.title, x=one.x / 2)
    assert halved.digest != one.digest
    assert "other" == renamed(one, "other", "Other").graph["name"]


def test_a_part_of_a_node_with_a_long_name_has_a_short_one() -> None:
    long = ["layer/" + letter * 300 for letter in "ab"]
    network = made(
        [helper.make_node("Relu", ["x"], ["a"], long[0]), helper.make_node("Relu", ["a"], ["y"], long[1])], {}, (2,)
    )
    first, second = network.graph["nodes"]
    parts = [prefix(network, first["name"]), prefix(network, second["name"]), suffix(network, second["name"])]
    assert all(part is not None and len(part.name) < 80 for part in parts)
    assert 3 == len({part.name for part in parts if part is not None})


def test_unknown_nodes_are_named() -> None:
    for part in (prefix, suffix):
        with pytest.raises(NetworkError, match=r"has no node 'pol'\. There are: conv1"):
            part(NETWORKS["conv"], "pol")


@pytest.mark.parametrize("name", NETWORKS)
def test_fewer_rows(name: str) -> None:
    network = NETWORKS[name]
    part = with_rows(network, [len(network.x) - 1])
    assert part is not None
    check(part)
    whole = oracle.predict(network.graph, network.weights, network.x)
    assert np.allclose(whole[-1:], oracle.predict(part.graph, part.weights, part.x), rtol=1e-12, atol=1e-12)
    assert np.array_equal(network.cotangent[-1:], part.cotangent)
    assert with_rows(network, []) is None


@settings(max_examples=60, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(NETWORKS)))
def test_fewer_channels_of_any_tensor(data: st.DataObject, name: str) -> None:
    network = NETWORKS[name]
    tensor, value = data.draw(st.sampled_from(sorted(values(network).items(), key=lambda item: item[0])))
    kept = data.draw(st.sets(st.integers(0, value.shape[1] - 1)))
    part = with_channels(network, tensor, sorted(kept))
    if part is None:
        assert len(kept) < value.shape[1]
        return
    check(part)
    left = values(part)
    if tensor in left and network.graph["nodes"][-1]["op"] != "Flatten":
        assert left[tensor].shape[1] <= max(len(kept), 1)


def test_a_removed_channel_counts_as_zero_for_its_consumers() -> None:
    network = NETWORKS["conv"]
    part = with_channels(network, "relu1.out", [1, 4, 6])
    assert part is not None
    assert {"conv1.weight": (3, 3, 3, 3), "bn1.mean": (3,), "conv2.weight": (5, 3, 3, 3)}.items() <= {
        name: value.shape for name, value in part.weights.items()
    }.items()
    weight = np.array(network.weights["conv2.weight"])
    weight[:, [0, 2, 3, 5, 7]] = 0
    expected = oracle.predict(network.graph, {**network.weights, "conv2.weight": weight}, network.x)
    assert np.allclose(expected, oracle.predict(part.graph, part.weights, part.x))


def test_channels_before_a_dense_layer_take_their_columns_along() -> None:
    network = NETWORKS["conv-plain"]
    part = with_channels(network, "pool.out", [0, 3])
    assert part is not None
    assert (6, 2 * 16) == part.weights["dense.weight"].shape
    weight = np.array(network.weights["dense.weight"]).reshape(6, 5, 16)
    weight[:, [1, 2, 4]] = 0
    expected = oracle.predict(network.graph, {**network.weights, "dense.weight": weight.reshape(6, -1)}, network.x)
    assert np.allclose(expected, oracle.predict(part.graph, part.weights, part.x))


def test_a_branch_without_channels_leaves_its_concat() -> None:
    network = NETWORKS["inception"]
    part = with_channels(network, "three.b.conv.out", [])
    assert part is not None
    check(part)
    assert not [node for node in part.graph["nodes"] if node["name"].startswith("three")]


def test_groups_of_a_convolution_are_removed_as_a_whole() -> None:
    part = with_channels(NETWORKS["branched"], "x", [0, 1, 2])
    assert part is not None
    check(part)
    groups = {node["name"]: node["attributes"].get("group") for node in part.graph["nodes"]}
    assert (2, 1) == (groups["depthwise"], groups["grouped"])


IMAGES = {name: network for name, network in NETWORKS.items() if network.x.ndim == 4}


@pytest.mark.parametrize("name", sorted(NETWORKS.keys() - IMAGES.keys()))
def test_a_network_without_pixels_has_no_fewer(name: str) -> None:
    assert with_pixels(NETWORKS[name], [range(1)] * 2) is None


@pytest.mark.parametrize(
    ("name", "size"),
    [(name, size) for name in IMAGES for size in (1, 2, 3, 4, 6, 7) if size < min(IMAGES[name].x.shape[2:])],
)
def test_fewer_pixels(name: str, size: int) -> None:
    part = with_pixels(IMAGES[name], [range(1, 1 + size)] * 2)
    if part is not None:
        check(part)
        assert (size, size) == part.x.shape[2:]
    if size in (4, 6) and name != "branched":
        assert part is not None


def test_cropped_pixels_take_the_columns_of_a_dense_layer_along() -> None:
    random = np.random.default_rng(0)
    network = made(
        [
            helper.make_node("MaxPool", ["x"], ["p"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
            helper.make_node("Flatten", ["p"], ["f"], name="flatten"),
            helper.make_node("Gemm", ["f", "w", "b"], ["y"], name="dense", transB=1),
        ],
        {"w": random.standard_normal((3, 2 * 16)), "b": random.standard_normal(3)},
        (2, 8, 8),
    )
    part = with_pixels(network, [range(2, 6), range(4, 8)])
    assert part is not None
    mask = np.zeros((2, 4, 4), np.float32)
    mask[:, 1:3, 2:4] = 1
    weight = network.weights["w"] * mask.ravel()
    expected = oracle.predict(network.graph, {**network.weights, "w": weight}, network.x)
    assert np.allclose(expected, oracle.predict(part.graph, part.weights, part.x))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("digits", [3, 2, 1])
def test_fewer_digits(name: str, digits: int) -> None:
    part = with_digits(NETWORKS[name], digits)
    check(part)
    numbers = np.concatenate([array.ravel() for array in (part.x, part.cotangent, *part.weights.values())])
    assert all(np.float32(f"{number:.{digits - 1}e}") == number for number in numbers)


@pytest.mark.parametrize("name", NETWORKS)
def test_small_integers(name: str) -> None:
    network, part = NETWORKS[name], with_integers(NETWORKS[name])
    check(part)
    for array in (part.x, part.cotangent, *part.weights.values()):
        assert np.array_equal(np.rint(array), array)
    assert np.array_equal(np.argsort(network.x, axis=None), np.argsort(part.x, axis=None))
    assert all((part.weights[norm.variance] > 0).all() for norm in part.batch_norms)
    part = with_integers(network, new_norms=True)
    check(part)
    for norm in part.batch_norms:
        parameters = [part.weights[tensor] for tensor in (norm.scale, norm.bias, norm.mean, norm.variance)]
        assert [{1.0}, {0.0}, {0.0}, {1.0}] == [set(value.tolist()) for value in parameters]


def test_a_network_is_not_differentiable_at_a_tie() -> None:
    assert all(differentiable(NETWORKS[name]) for name in ("seed", "seed-batch", "conv", "conv-plain", "residual"))
    pool = suffix(prefix(NETWORKS["conv-plain"], "pool"), "pool")
    assert pool is not None
    assert not differentiable(pool)
    distinct = np.random.default_rng(0).permutation(pool.x.size).reshape(pool.x.shape)
    assert differentiable(built(pool, "pool", "pool", x=distinct))
