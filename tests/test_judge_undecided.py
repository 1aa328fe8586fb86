"""What the judge says where float32 cannot tell: rounding, kinks, gradients of zero, leaks that cannot be seen."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from crosscheck import oracle
from crosscheck.cells import Array, Asks, Finding, Intent, Observation, Scenario, Status
from crosscheck.judge import FileTruth, Truth, judge
from crosscheck.networks import Network, fixed_cotangent, load, write
from crosscheck.networks.graph import GEMM, Graph
from crosscheck.networks.onnx_files import written_network
from crosscheck.oracle.laws import TOLERANCE
from tests.synthetic import NETWORKS, STAYS, TRUTHS, Blind, Runtime, Training, judged, subject

NORM = {"epsilon": 1e-5, "momentum": 0.9}
CONV = {"dilations": [1, 1], "group": 1, "kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [1, 1]}
POOL = {"kernel_shape": [2, 2], "pads": [0, 0, 0, 0], "strides": [2, 2]}


class Layers:
    """Writes a graph node by node, and draws its weights."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.nodes, self.weights = shape, [], {}  # type: ignore[var-annotated]
        self.random = np.random.default_rng(3)

    def add(self, op: str, attributes: dict[str, Any], *inputs: str, **weights: Array) -> str:
        name = f"{op.lower()}{len(self.nodes)}"
        names = [f"{name}.{key}" for key in weights]
        self.weights |= {f"{name}.{key}": np.asarray(value, np.float32) for key, value in weights.items()}
        self.nodes.append(
            {"op": op, "name": name, "inputs": [*inputs, *names], "outputs": [name], "attributes": attributes}
        )
        return name

    def conv(self, x: str, into: int, out: int) -> str:
        weight = self.random.standard_normal((out, into, 3, 3)) / np.sqrt(9 * into / 2)
        return self.add("Conv", CONV, x, weight=weight, bias=np.zeros(out))

    def norm(self, x: str, channels: int, **statistics: Array) -> str:
        drawn: dict[str, Array] = {
            "scale": self.random.uniform(0.5, 1.5, channels),
            "bias": self.random.standard_normal(channels) / 2,
            "mean": self.random.standard_normal(channels) / 4,
            "variance": self.random.uniform(0.5, 1.5, channels),
        }
        return self.add("BatchNormalization", dict(NORM), x, **{**drawn, **statistics})

    def network(self, name: str, x: Array, cotangent: Array | None = None, output: str = "") -> str:
        """Adds the network to `NETWORKS` and `TRUTHS`."""
        last = output or self.nodes[-1]["name"]
        graph = Graph(
            name=name,
            inputs=[{"name": "x", "shape": ["N", *self.shape]}],
            outputs=[{"name": last, "shape": ["N"]}],
            nodes=self.nodes,
        )
        y = oracle.predict(graph, self.weights, x)
        graph["outputs"][0]["shape"] += y.shape[1:]
        if cotangent is None:
            cotangent = fixed_cotangent(y.shape)
        x = x.astype(np.float32)
        NETWORKS[name] = replace(
            NETWORKS["conv"], name=name, graph=graph, weights=self.weights, x=x, cotangent=cotangent, target=None
        )
        TRUTHS[name] = Truth.of(NETWORKS[name])
        return name


def drawn(*shape: int) -> Array:
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


def deep(blocks: int = 12, channels: int = 8) -> str:
    """A residual network of two convolutions a block."""
    name = f"deep-{blocks}"
    if name in NETWORKS:
        return name
    layers = Layers((3, 12, 12))
    y = layers.add("Relu", {}, layers.norm(layers.conv("x", 3, channels), channels))
    for _ in range(blocks):
        inner = layers.add("Relu", {}, layers.norm(layers.conv(y, channels, channels), channels))
        inner = layers.norm(layers.conv(inner, channels, channels), channels)
        y = layers.add("Relu", {}, layers.add("Add", {}, inner, y))
    pooled = layers.add("Flatten", {"axis": 1}, layers.add("GlobalAveragePool", {}, y))
    layers.add("Gemm", dict(GEMM), pooled, weight=drawn(5, channels), bias=np.zeros(5))
    return layers.network(name, drawn(4, 3, 12, 12))


def asked(network: str, training: bool, weights: Any = None, graph: Any = None, x: Any = None) -> Array:
    """A gradient by the float64 oracle, with something changed."""
    here = NETWORKS[network]
    values = oracle.gradient(
        here.graph if graph is None else graph,
        here.weights if weights is None else weights,
        here.x if x is None else x,
        here.cotangent,
        training,
    )
    return values.astype(np.float32)


def answering(gradient: Array, training: bool = False) -> type[Runtime]:
    """A runtime whose gradient in the asked mode is this one."""

    class Answering(Runtime):
        intent = Intent.TRAINING if training else Intent.INFERENCE

        def answer(self) -> Array:
            return gradient

    return Answering


# Rounding.


def large_mean(mean: float) -> str:
    layers = Layers((4,))
    y = layers.add("Gemm", dict(GEMM), "x", weight=np.eye(4), bias=np.full(4, mean))
    layers.norm(y, 4, mean=np.full(4, mean), variance=np.ones(4))
    return layers.network(f"mean {mean}", drawn(6, 4))


def in_float32(network: str) -> Array:
    """The prediction of `large_mean`, step by step in float32."""
    here = NETWORKS[network]
    (_, _, bias), (_, scale, shift, mean, variance) = (node["inputs"] for node in here.graph["nodes"])
    y = here.x + here.weights[bias]
    spread = np.sqrt(here.weights[variance] + np.float32(1e-5))
    value: Array = (y - here.weights[mean]) / spread * here.weights[scale] + here.weights[shift]
    assert value.dtype == np.float32
    return value


@pytest.mark.parametrize("mean", [1.0, 1e3, 1e4])
def test_rounding_of_a_large_mean_is_no_wrong_prediction(mean: float) -> None:
    network = large_mean(mean)

    class Rounds(Runtime):
        def prediction(self) -> Array:
            return in_float32(network)

    assert (Finding.CLEAN,) == judged(Rounds, network).findings


@pytest.mark.parametrize("mean", [1.0, 1e3, 1e4])
def test_a_large_mean_makes_no_law_fit_that_does_not(mean: float) -> None:
    """Rounding of batch statistics is relative to the averaged numbers, whatever their size."""
    network = large_mean(mean)
    (norm,) = NETWORKS[network].batch_norms
    assert TRUTHS[network].law_tolerance(norm) < 1e-4


@pytest.mark.parametrize("size", [0.0, 1e30])
def test_statistics_that_float32_does_not_hold_make_no_law_fit_that_does_not(size: float) -> None:
    """Squares of 1e30 are infinite in float32."""
    layers = Layers((4,))
    layers.norm("x", 4)
    network = layers.network(f"of {size}", np.float32(size) * drawn(6, 4))
    (norm,) = NETWORKS[network].batch_norms
    assert TOLERANCE == TRUTHS[network].law_tolerance(norm)


def test_what_rounding_does_to_statistics_makes_room_for_laws() -> None:
    """A difference of large numbers has few digits in float32."""
    layers = Layers((4,))
    large = np.concatenate([1e5 * np.eye(4), 100001 * np.eye(4)])
    apart = layers.add("Gemm", dict(GEMM), "x", weight=large, bias=np.zeros(8))
    turned = np.concatenate([np.eye(4), -np.eye(4)], axis=1)
    layers.norm(layers.add("Gemm", dict(GEMM), apart, weight=turned, bias=np.zeros(4)), 4)
    network = layers.network("difference", drawn(6, 4))
    (norm,) = NETWORKS[network].batch_norms
    assert 1e-3 < TRUTHS[network].law_tolerance(norm) < 1


def test_rounding_of_a_variance_makes_room_for_laws_where_the_mean_is_exact() -> None:
    """Of rows that are each other's negatives the mean is zero, whatever rounding does."""
    layers = Layers((4,))
    large = np.concatenate([1e5 * np.eye(4), 100001 * np.eye(4)])
    apart = layers.add("Gemm", dict(GEMM), "x", weight=large, bias=np.zeros(8))
    turned = np.concatenate([np.eye(4), -np.eye(4)], axis=1)
    layers.norm(layers.add("Gemm", dict(GEMM), apart, weight=turned, bias=np.zeros(4)), 4)
    rows = drawn(3, 4)
    network = layers.network("difference of opposites", np.concatenate([rows, -rows]))
    (norm,) = NETWORKS[network].batch_norms
    assert 1e-3 < TRUTHS[network].law_tolerance(norm) < 1


@pytest.mark.parametrize("factor", [0.25, 4])
def test_rounding_of_statistics_is_relative_to_the_averaged_numbers_at_any_scale(factor: float) -> None:
    """A power of two multiplies without rounding."""
    tolerances = []
    for scale in (1, factor):
        layers = Layers((4,))
        large = np.concatenate([1e5 * np.eye(4), 100001 * np.eye(4)])
        apart = layers.add("Gemm", dict(GEMM), "x", weight=large, bias=np.zeros(8))
        turned = scale * np.concatenate([np.eye(4), -np.eye(4)], axis=1)
        layers.norm(layers.add("Gemm", dict(GEMM), apart, weight=turned, bias=np.zeros(4)), 4)
        network = layers.network(f"difference times {scale}", 3 + drawn(6, 4))
        tolerances.append(TRUTHS[network].law_tolerance(NETWORKS[network].batch_norms[0]))
    assert tolerances[0] == pytest.approx(tolerances[1], rel=1e-6)
    assert tolerances[0] > TOLERANCE


def test_a_law_of_several_layers_may_miss_by_what_rounding_does_to_the_worst_of_them() -> None:
    layers = Layers((4,))
    large = np.concatenate([1e5 * np.eye(4), 100001 * np.eye(4)])
    apart = layers.add("Gemm", dict(GEMM), layers.norm("x", 4), weight=large, bias=np.zeros(8))
    turned = np.concatenate([np.eye(4), -np.eye(4)], axis=1)
    layers.norm(layers.add("Gemm", dict(GEMM), apart, weight=turned, bias=np.zeros(4)), 4)
    network = layers.network("difference behind a normalization", drawn(6, 4))
    first, second = (TRUTHS[network].law_tolerance(norm) for norm in NETWORKS[network].batch_norms)
    assert first < 1e-4 < second
    told = [item.threshold for item in judged(Leaks, network).evidence if "update law" in item.what]
    assert [second] == told


@pytest.mark.parametrize("mean", [1.0, 1e3, 1e4])
def test_an_error_beyond_that_rounding_is_wrong_and_says_why(mean: float) -> None:
    network = large_mean(mean)

    class Off(Runtime):
        def prediction(self) -> Array:
            return in_float32(network) * np.float32(1.02)

    verdict = judged(Off, network)
    assert (Finding.WRONG_PREDICTION,) == verdict.findings
    (evidence,) = verdict.evidence
    assert (mean > 1) == ("rounding is" in evidence.why)  # float32 has steps of 6e-5 at 1,000


def test_a_prediction_has_the_room_that_rounding_takes_in_inference_mode_and_not_that_of_training_mode() -> None:
    """At a mean of 10,000 that is 0.4 % of its largest entry and not 0.8 %."""
    network = large_mean(1e4)
    inference, training = (TRUTHS[network].rounding(Asks.PREDICTION, mode) for mode in (False, True))
    assert 1.8 < training / inference < 2.2

    def findings(factor: float) -> tuple[Finding, ...]:
        class Off(Runtime):
            def prediction(self) -> Array:
                return in_float32(network) * np.float32(factor)

        return judged(Off, network).findings

    assert [(Finding.CLEAN,), (Finding.WRONG_PREDICTION,)] == [findings(factor) for factor in (1.002, 1.006)]


def test_a_gradient_that_cancels_the_mean_badly_is_wrong() -> None:
    network = large_mean(1e3)
    wrong = asked(network, training=True) * np.float32(1.01)
    assert (Finding.WRONG_GRADIENT,) == judged(answering(wrong, training=True), network).findings


def test_a_second_gradient_that_is_the_other_modes_is_wrong_however_much_float32_rounds() -> None:
    """At a mean of a million that of training mode has one right digit."""
    network = large_mean(1e6)
    assert TRUTHS[network].rounding(Asks.GRADIENT, training=True) > 0.02 * np.abs(asked(network, training=True)).max()

    class Forgets(Runtime):
        def prediction(self) -> Array:
            return in_float32(network)

        def answer(self) -> Array:
            return asked(network, training=self.calls > 0)

    assert (Finding.ORDER_DEPENDENT,) == judged(Forgets, network).findings


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("network", ["seed-batch", "conv", "conv-norm", "residual", "deep"])
def test_another_epsilon_in_one_batch_normalization_is_a_wrong_gradient(network: str, training: bool) -> None:
    name = deep() if network == "deep" else network
    norms = [place for place, node in enumerate(NETWORKS[name].graph["nodes"]) if node["op"] == "BatchNormalization"]
    for place in sorted({norms[0], norms[len(norms) // 2], norms[-1]}):
        graph = copy.deepcopy(NETWORKS[name].graph)
        graph["nodes"][place]["attributes"]["epsilon"] *= 100
        wrong = asked(name, training, graph=graph)
        assert (Finding.WRONG_GRADIENT,) == judged(answering(wrong, training), name).findings, place


def half_file(folder: Path) -> Network:
    """A batch normalization in float16, read as it is."""
    rng = np.random.default_rng(2)
    weights = {name: rng.uniform(0.5, 1.5, 4).astype(np.float16) for name in ("scale", "bias", "mean", "variance")}
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("BatchNormalization", ["x", *weights], ["y"])],
        "half",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT16, [5, 4])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT16, [5, 4])],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 15)], ir_version=8)
    onnx.save(model, folder / "half.onnx")
    return load(str(folder / "half.onnx"))


@pytest.mark.parametrize("error", [0.0, 0.05])
def test_a_file_in_float16_is_allowed_the_rounding_of_float16_and_no_more(error: float, tmp_path: Path) -> None:
    network = half_file(tmp_path)
    truth = FileTruth(network)
    exact = {"prediction/before": truth.prediction(), "gradient/first": truth.gradient()}
    arrays = {key: (value * (1 + error)).astype(np.float16) for key, value in exact.items()}
    # What float16 makes of it is far from float64, by the threshold for float32.
    assert all(np.max(np.abs(arrays[key] - value)) > 1e-4 * np.max(np.abs(value)) for key, value in exact.items())
    row = Observation("undisturbed", Status.OK, None, (), arrays, 0.01, 0.01, 0)
    cell, mode = subject(Runtime, network.name, Scenario.GRADIENT, STAYS)
    findings = set(judge(cell, mode, network, truth, [row]).findings)
    assert ({Finding.WRONG_GRADIENT, Finding.WRONG_PREDICTION} if error else {Finding.CLEAN}) == findings


# Kinks.


def kinked(count: int, nearest: float, training: bool) -> tuple[str, dict[str, Array]]:
    """`deep` with inputs of `count` Relus at `nearest`, in different layers, and its weights with these below zero."""
    name = f"kinked {count} {nearest} {training}"
    source = NETWORKS[deep()]
    weights = dict(source.weights)
    nodes = {node["outputs"][0]: node for node in source.graph["nodes"]}
    relus = [node for node in source.graph["nodes"] if node["op"] == "Relu"]
    above: dict[str, Array] = dict(weights)
    for node in [item for item in relus if nodes[item["inputs"][0]]["op"] == "BatchNormalization"][2 : 2 + count]:
        norm = nodes[node["inputs"][0]]
        value = oracle.layers(source.graph, weights, source.x, training)[norm["outputs"][0]][1, :, 5, 5]
        for kept, shift in ((weights, nearest), (above, nearest + 3e-6)):
            # Stored in float64, so that the margin is what it is meant to be.
            bias = np.asarray(kept[norm["inputs"][2]], np.float64).copy()
            bias[0] -= value[0] + shift
            kept[norm["inputs"][2]] = bias
    NETWORKS[name] = replace(source, name=name, weights=weights)
    TRUTHS[name] = Truth.of(NETWORKS[name])
    return name, above


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("count", [1, 4])
def test_a_gradient_on_the_other_sides_of_kinks_within_rounding_is_right(count: int, training: bool) -> None:
    network, other = kinked(count, -1e-8, training)
    gradient = asked(network, training, weights=other)
    verdict = judged(answering(gradient, training), network)
    assert verdict.gradient_error is not None
    error = verdict.gradient_error.training if training else verdict.gradient_error.inference
    assert error is not None
    assert error > 1e-3  # far more than rounding
    assert (Finding.CLEAN,) == verdict.findings
    assert "other sides of kinks" in verdict.evidence[-1].detail


@pytest.mark.parametrize("steps", [0, 1])
def test_a_fit_that_its_steps_are_not_enough_for_decides_nothing_wrong(
    monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    monkeypatch.setattr("crosscheck.oracle.sides.STEPS", steps)
    network, other = kinked(4, -2e-8, training=False)
    verdict = judged(answering(asked(network, training=False, weights=other), training=False), network)
    assert () == tuple(finding for finding in verdict.findings if finding is not Finding.CLEAN)
    assert (verdict.undecided is None) is (verdict.findings == (Finding.CLEAN,))


@pytest.mark.parametrize("training", [False, True])
def test_kinks_within_rounding_do_not_excuse_an_error(training: bool) -> None:
    network, other = kinked(4, -1e-8, training)
    graph = copy.deepcopy(NETWORKS[network].graph)
    next(node for node in graph["nodes"] if node["op"] == "BatchNormalization")["attributes"]["epsilon"] = 1e-3
    for wrong in (asked(network, training, weights=other, graph=graph), asked(network, training) * np.float32(1.001)):
        assert (Finding.WRONG_GRADIENT,) == judged(answering(wrong, training), network).findings


def test_the_other_side_of_a_kink_that_is_not_within_rounding_is_wrong() -> None:
    network, other = kinked(1, -1e-3, training=False)
    moved = {key: value - np.float32(2e-3) * (value != NETWORKS[network].weights[key]) for key, value in other.items()}
    gradient = asked(network, training=False, weights=moved)
    assert (Finding.WRONG_GRADIENT,) == judged(answering(gradient), network).findings


def pooled() -> str:
    """A pool whose windows have two equal entries each."""
    layers = Layers((2, 4, 4))
    layers.norm(layers.add("MaxPool", POOL, "x"), 2)
    x = drawn(3, 2, 4, 4)
    x[..., 1] = x[..., 0] = 4 + drawn(3, 2, 4)
    return layers.network("tie", x)


def test_a_tie_of_a_pool_may_go_to_either_entry() -> None:
    network = pooled()
    x = NETWORKS[network].x
    for column in (0, 1):
        nearer = np.array(x, np.float64)
        nearer[..., column] += 1e-9
        gradient = asked(network, training=False, x=nearer)
        verdict = judged(answering(gradient), network)
        assert (Finding.CLEAN,) == verdict.findings
        assert "other sides of kinks" in verdict.evidence[-1].detail
    nearer = np.array(x, np.float64)
    nearer[..., 2:] += 9  # what no rounding does
    nearer[..., 0, 2] += 9
    wrong = asked(network, training=False, x=nearer)
    assert (Finding.WRONG_GRADIENT,) == judged(answering(wrong), network).findings


def test_at_zero_a_relu_may_have_either_slope() -> None:
    layers = Layers((4,))
    layers.norm(layers.add("Relu", {}, "x"), 4)
    x = drawn(5, 4)
    x[:2] = 0
    network = layers.network("zeros", x)
    for slope in (-1e-9, 1e-9):
        gradient = asked(network, training=False, x=np.where(x == 0, slope, x))
        assert (Finding.CLEAN,) == judged(answering(gradient), network).findings
    wrong = asked(network, training=False, x=np.where(x == 0, 1e-9, x))
    wrong[0] *= 3
    assert (Finding.WRONG_GRADIENT,) == judged(answering(wrong), network).findings


def test_a_gradient_that_is_right_as_it_is_is_not_said_to_have_other_sides_of_kinks() -> None:
    layers = Layers((4,))
    layers.norm(layers.add("Relu", {}, "x"), 4)
    x = drawn(5, 4)
    x[:2] = 0
    network = layers.network("right zeros", x)
    verdict = judged(answering(asked(network, training=False)), network)
    assert (Finding.CLEAN,) == verdict.findings
    assert not any("kinks" in item.detail for item in verdict.evidence)


def test_kinks_explain_a_gradient_in_its_own_mode_alone_whichever_is_asked_about_first() -> None:
    layers = Layers((4,))
    layers.norm(layers.add("Relu", {}, "x"), 4)
    x = drawn(5, 4)
    x[:2] = 0
    network = layers.network("zeros of two modes", x)
    for training in (False, True):
        gradient = asked(network, training, x=np.where(x == 0, 1e-9, x))
        for order in ((training, not training), (not training, training)):
            truth = Truth.of(NETWORKS[network])
            assert {training: "sides", not training: "no"} == {
                mode: truth.explained(gradient, mode, tolerance=1e-4) for mode in order
            }


def test_kinks_explain_a_gradient_at_the_weights_that_it_is_asked_about_alone() -> None:
    layers = Layers((4,))
    layers.norm(layers.add("Relu", {}, "x"), 4)
    x = drawn(5, 4)
    x[:2] = 0
    network = layers.network("zeros at other weights", x)
    truth, own = TRUTHS[network], NETWORKS[network].weights
    (norm,) = NETWORKS[network].batch_norms
    moved = {**own, norm.variance: 2 * own[norm.variance]}
    gradient = asked(network, training=False, weights=moved, x=np.where(x == 0, 1e-9, x))
    assert ["no", "sides", "no"] == [
        truth.explained(gradient, training=False, tolerance=1e-4, weights=weights) for weights in (None, moved, None)
    ]


def test_whether_kinks_explain_a_gradient_depends_on_the_tolerance_asked_for() -> None:
    layers = Layers((4,))
    layers.norm(layers.add("Relu", {}, "x"), 4)
    x = drawn(5, 4)
    x[:2] = 0
    network = layers.network("zeros and tolerances", x)
    gradient = asked(network, training=False, x=np.where(x == 0, 1e-9, x))
    truth = TRUTHS[network]
    assert ["sides", True, "sides"] == [
        truth.explained(gradient, training=False, tolerance=1e-4),
        truth.explained(gradient, training=False, tolerance=1e-12) != "sides",  # it is a float32
        truth.explained(gradient, training=False, tolerance=1e-4),
    ]


@pytest.mark.parametrize("error", [0.0, 0.05])
def test_a_file_in_float32_has_the_kinks_of_its_network(error: float) -> None:
    layers = Layers((4,))
    layers.norm(layers.add("Relu", {}, "x"), 4)
    x = drawn(5, 4)
    x[:2] = 0
    source = layers.network("zeros of a file", x)
    content = write(NETWORKS[source], 15).SerializeToString()
    truth = FileTruth(written_network(content, "zeros.from.here.0", NETWORKS[source]))
    gradient = asked(source, training=False, x=np.where(x == 0, 1e-9, x)) * np.float32(1 + error)
    arrays = {"prediction/before": truth.prediction().astype(np.float32), "gradient/first": gradient}
    row = Observation("undisturbed", Status.OK, None, (), arrays, 0.01, 0.01, 0)
    cell, mode = subject(Runtime, truth.network.name, Scenario.GRADIENT, STAYS)
    expected = Finding.WRONG_GRADIENT if error else Finding.CLEAN
    assert (expected,) == judge(cell, mode, truth.network, truth, [row]).findings


# Gradients that are zero.


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("size", [0.0, 1e-9, None])
def test_a_gradient_that_is_zero_to_rounding_decides_nothing(size: float | None, training: bool) -> None:
    """None: the float64 gradient itself."""
    layers = Layers((4,))
    layers.add("Softmax", {"axis": -1}, layers.norm("x", 4))
    # The rows of a softmax sum to one, whatever x is.
    network = layers.network("sums", drawn(6, 4), np.ones((6, 4), np.float32))
    gradient = asked(network, training) if size is None else (size * drawn(6, 4)).astype(np.float32)
    verdict = judged(answering(gradient, training), network)
    assert () == verdict.findings
    assert verdict.undecided is not None
    assert "zero to rounding" in verdict.undecided
    wrong = judged(answering(drawn(6, 4), training), network)
    assert (Finding.WRONG_GRADIENT,) == wrong.findings


@pytest.mark.parametrize("factor", [1e-7, 1.0, 1e7])
@pytest.mark.parametrize("rows", [1, 5])
def test_an_ignored_mode_is_told_at_any_size_of_the_gradient(factor: float, rows: int) -> None:
    """A batch of one row has no gradient in training mode: an answer that is zero, too, shows no mode."""
    layers = Layers((4,))
    layers.norm("x", 4)
    x = drawn(rows, 4)
    network = layers.network(f"{rows} rows times {factor}", x, np.float32(factor) * fixed_cotangent(x.shape))
    for training in (False, True):
        other = asked(network, training=not training)
        one_sided = rows == 1 and not training
        expected = Finding.NO_GRADIENT if one_sided else Finding.MODE_IGNORED
        assert (expected,) == judged(answering(0 * other if one_sided else other, training), network).findings


# Leaks that could not be seen.


class Leaks(Training):
    """With a momentum of its own."""

    def backward(self) -> None:
        self.update(keep=0.5)


def told(momentum: float = 0.9, **statistics: Array) -> str:
    layers = Layers((3,))
    layers.norm("x", 3, **statistics)
    layers.nodes[0]["attributes"]["momentum"] = momentum
    return layers.network(f"told {momentum} {sorted(statistics)}", drawn(5, 3))


@pytest.mark.parametrize("kind", [Runtime, Training, Blind])
def test_no_leak_can_be_seen_where_old_statistics_are_kept(kind: type[Runtime]) -> None:
    verdict = judged(kind, told(momentum=1.0))
    assert () == verdict.findings
    assert verdict.undecided is not None
    assert verdict.undecided.startswith("a leak cannot be seen in this network: every batch normalization keeps")


@pytest.mark.parametrize("kind", [Runtime, Training, Blind])
def test_a_leak_can_be_seen_where_they_are_replaced(kind: type[Runtime]) -> None:
    verdict = judged(kind, told(momentum=0.0))
    assert (Finding.CLEAN,) == verdict.findings
    assert verdict.undecided is None


def test_of_three_numbers_the_first_two_are_told() -> None:
    network = told()
    (norm,) = NETWORKS[network].batch_norms

    class Lawless(Training):
        def backward(self) -> None:
            self.tensors[norm.mean] = np.array([3, -7, 5], np.float32)

    (detail,) = {item.detail for item in judged(Lawless, network).evidence if item.finding is Finding.CORRUPTED}
    assert f"{norm.mean} " in detail
    assert " became 3 -7 ...; " in detail


def test_a_leak_is_one_where_it_should_not_have_been_possible() -> None:
    verdict = judged(Leaks, told(momentum=1.0))
    assert {Finding.LEAK} == set(verdict.findings)
    assert verdict.undecided is None


@pytest.mark.parametrize("same", ["mean", "variance"])
def test_a_leak_can_be_seen_where_one_statistic_alone_is_the_batchs(same: str) -> None:
    x = np.asarray(drawn(5, 3), np.float64)
    batch = {"mean": x.mean(0), "variance": x.var(0)}
    verdict = judged(Training, told(**{same: batch[same]}))
    assert (Finding.CLEAN,) == verdict.findings
    assert verdict.undecided is None


@pytest.mark.parametrize("same", ["mean", "variance"])
def test_a_change_of_one_statistic_alone_has_a_law(same: str) -> None:
    x = np.asarray(drawn(5, 3), np.float64)
    batch = {"mean": x.mean(0), "variance": x.var(0)}
    update = judged(Leaks, told(**{same: batch[same]})).update
    assert update is not None
    assert 1 == update.count
    assert update.momentum == pytest.approx(0.5)


def test_a_closed_form_that_is_zero_but_for_rounding_is_no_mode() -> None:
    """Sums of a normalized batch are zero in training mode, or 1e-17."""
    layers = Layers((4,))
    layers.norm("x", 4)
    network = layers.network("ones", drawn(6, 4), np.ones((6, 4), np.float32))
    assert 0 < np.abs(TRUTHS[network].gradient(training=True)).max() < 1e-12
    verdict = judged(answering(np.full((6, 4), 1e-9, np.float32)), network)
    assert (Finding.WRONG_GRADIENT,) == verdict.findings
    assert "the other mode's closed form is zero here and proves nothing" in verdict.evidence[0].detail


def test_of_two_layers_one_that_keeps_its_statistics_does_not_keep_the_others() -> None:
    layers = Layers((3,))
    x = np.asarray(drawn(5, 3), np.float64)
    layers.norm(layers.norm("x", 3, mean=x.mean(0), variance=x.var(0)), 3)
    layers.nodes[1]["attributes"]["momentum"] = 1.0
    verdict = judged(Training, layers.network("one of two keeps", drawn(5, 3)))
    assert verdict.undecided is not None
    assert verdict.undecided.endswith("its statistics are the batch's own already")


def test_no_leak_can_be_seen_where_the_statistics_are_the_batchs() -> None:
    x = np.asarray(drawn(5, 3), np.float64)
    verdict = judged(Training, told(mean=x.mean(0), variance=x.var(0)))
    assert () == verdict.findings
    assert verdict.undecided is not None
    assert "the batch's own already" in verdict.undecided


@pytest.mark.parametrize(("factor", "offset", "seen"), [(1e-6, 0.0, True), (1.0, 0.0, True), (1.0, 1e6, False)])
def test_whether_a_leak_can_be_seen_is_a_matter_of_the_size_of_the_predictions(
    factor: float, offset: float, seen: bool
) -> None:
    """Statistics change each of them by the same part of its size, but for an offset of a million."""
    layers = Layers((3,))
    layers.add("Gemm", dict(GEMM), layers.norm("x", 3), weight=factor * drawn(2, 3), bias=np.full(2, offset))
    verdict = judged(Blind, layers.network(f"{factor} x + {offset}", drawn(5, 3)))
    assert ((Finding.CLEAN,) if seen else ()) == verdict.findings
    assert seen or "its prediction does not change by new statistics" in str(verdict.undecided)


@pytest.mark.parametrize(("kind", "seen"), [(Training, True), (Blind, False)])
def test_where_the_output_does_not_depend_on_them_readable_statistics_show_a_leak(
    kind: type[Runtime], seen: bool
) -> None:
    layers = Layers((3,))
    layers.norm("x", 3)
    layers.add("Gemm", dict(GEMM), "x", weight=drawn(2, 3), bias=np.zeros(2))
    verdict = judged(kind, layers.network("beside", drawn(5, 3)))
    assert ((Finding.CLEAN,) if seen else ()) == verdict.findings
    assert seen == (verdict.undecided is None)
