"""Operators that are differentiated by way of others: recurrent layers, norms, and function bodies."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference.ops.op_grid_sample import GridSample as ReferenceGridSample

from crosscheck.errors import NetworkError
from crosscheck.networks.differentiate import differentiate
from crosscheck.networks.graph import Array
from tests.differentiate.numeric import evaluator, finite_differences, model_of

STEPS, BATCH, INPUTS, HIDDEN = 3, 2, 4, 3
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def drawn(*shape: int, seed: int = 0) -> Array:
    return np.asarray(np.random.default_rng(seed).standard_normal(shape))


def logistic(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def recurrent(op: str, attributes: dict[str, Any], feeds: dict[str, Array]) -> list[Array]:
    """The equations of the specification in NumPy, for layout 0: Y, Y_h and Y_c."""
    x, ys, hs, cs = feeds["x"], [], [], []
    kind = attributes.get("direction", "forward")
    for number, reverse in enumerate({"forward": [False], "reverse": [True], "bidirectional": [False, True]}[kind]):
        w, r = feeds["w"][number], feeds["r"][number]
        b = feeds["b"][number] if "b" in feeds else np.zeros(2 * len(w))
        wb, rb = b[: len(w)], b[len(w) :]
        h = feeds["h"][number] if "h" in feeds else np.zeros((x.shape[1], HIDDEN))
        c = feeds["c"][number] if "c" in feeds else np.zeros((x.shape[1], HIDDEN))
        pi, po, pf = np.split(feeds["p"][number] if "p" in feeds else np.zeros(3 * HIDDEN), 3)
        states = []
        for step in reversed(range(len(x))) if reverse else range(len(x)):
            u, v = x[step] @ w.T + wb, h @ r.T + rb
            if op == "RNN":
                h = np.tanh(u + v)
            elif op == "GRU":
                (uz, ur, uh), (vz, vr, vh) = np.split(u, 3, 1), np.split(v, 3, 1)
                z, g = logistic(uz + vz), logistic(ur + vr)
                before = attributes.get("linear_before_reset", 0)
                inner = g * vh if before else (g * h) @ r[2 * HIDDEN :].T + rb[2 * HIDDEN :]
                h = (1 - z) * np.tanh(uh + inner) + z * h
            else:
                ui, uo, uf, uc = np.split(u + v, 4, 1)
                i, f = logistic(ui + pi * c), logistic(uf + pf * c)
                c = f * c + i * np.tanh(uc)
                h = logistic(uo + po * c) * np.tanh(c)
            states.append(h)
        ys.append(states[::-1] if reverse else states)
        hs.append(h)
        cs.append(c)
    return [np.moveaxis(np.array(ys), 0, 1), np.array(hs), np.array(cs)]


def parameters(op: str, directions: int, states: bool) -> dict[str, Array]:
    """Named as in the specification's order; inputs between them may be left out."""
    gates = GATES[op]
    feeds = {
        "x": drawn(STEPS, BATCH, INPUTS),
        "w": drawn(directions, gates * HIDDEN, INPUTS, seed=1),
        "r": drawn(directions, gates * HIDDEN, HIDDEN, seed=2),
    }
    if states:
        feeds["b"] = drawn(directions, 2 * gates * HIDDEN, seed=3)
        feeds["h"] = drawn(directions, BATCH, HIDDEN, seed=4)
        if op == "LSTM":
            feeds["c"] = drawn(directions, BATCH, HIDDEN, seed=5)
            feeds["p"] = drawn(directions, 3 * HIDDEN, seed=6)
    return feeds


def layer(
    op: str, feeds: dict[str, Array], attributes: dict[str, Any], opset: int, fixed: bool = True
) -> onnx.ModelProto:
    """Every tensor is an input; all outputs of the layer are outputs of the graph."""
    order = ["x", "w", "r", "b", "", "h", "c", "p"]
    inputs = [name if name in feeds else "" for name in order]
    while not inputs[-1]:
        inputs.pop()
    outputs = ["y", "y_h", *(["y_c"] if op == "LSTM" else [])]
    directions = len(feeds["w"])
    shapes = {
        "y": [STEPS, directions, None, HIDDEN],
        "y_h": [directions, None, HIDDEN],
        "y_c": [directions, None, HIDDEN],
    }
    value, kind = helper.make_tensor_value_info, onnx.TensorProto.DOUBLE
    sizes: dict[str, list[Any]] = {name: list(array.shape) for name, array in feeds.items()}
    if not fixed:
        sizes["x"][1] = "N"
    graph = helper.make_graph(
        [helper.make_node(op, inputs, outputs, hidden_size=HIDDEN, name="cell", **attributes)],
        "g",
        [value(name, kind, sizes[name]) for name in feeds],
        [value(name, kind, shapes[name]) for name in outputs],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


KINDS: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {}),
    ("RNN", {"direction": "bidirectional"}),
    ("GRU", {}),
    ("GRU", {"linear_before_reset": 1, "direction": "reverse"}),
    ("GRU", {"direction": "bidirectional"}),
    ("LSTM", {}),
    ("LSTM", {"direction": "reverse"}),
    ("LSTM", {"direction": "bidirectional"}),
]


@pytest.mark.parametrize(("op", "attributes"), KINDS)
@pytest.mark.parametrize("states", [False, True])
@pytest.mark.parametrize("output", ["y", "y_h", "y_c"])
@pytest.mark.parametrize("opset", [9, 14])
def test_recurrent_layers(op: str, attributes: dict[str, Any], states: bool, output: str, opset: int) -> None:
    """The gradients by every input, of every output. The layer's own node is not evaluated: the gradient needs none."""
    if output == "y_c" and op != "LSTM":
        return
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    feeds = parameters(op, directions, states)
    place = ["y", "y_h", "y_c"].index(output)
    made = differentiate(layer(op, feeds, attributes, opset), output=output)
    made.graph.node.remove(next(node for node in made.graph.node if node.op_type == op))
    kept = [item for item in made.graph.output if item.name.endswith(".gradient")]
    del made.graph.output[:]
    made.graph.output.extend(kept)
    cotangent = drawn(*recurrent(op, attributes, feeds)[place].shape, seed=9)
    results = evaluator(made)({**feeds, f"{output}.cotangent": cotangent})
    assert [f"{name}.gradient" for name in feeds] == [item.name for item in kept]
    for name, gradient in zip(feeds, results, strict=True):
        direction = drawn(*feeds[name].shape, seed=10)
        up, down = (
            np.sum(recurrent(op, attributes, {**feeds, name: feeds[name] + sign * 1e-6 * direction})[place] * cotangent)
            for sign in (1, -1)
        )
        assert feeds[name].shape == gradient.shape
        np.testing.assert_allclose((up - down) / 2e-6, np.sum(gradient * direction), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("op", GATES)
def test_recurrent_layers_with_an_open_batch(op: str) -> None:
    feeds = parameters(op, 1, False)
    results = []
    for fixed in (True, False):
        made = differentiate(layer(op, feeds, {}, 14, fixed), wrt=["x"])
        made.graph.node.remove(next(node for node in made.graph.node if node.op_type == op))
        kept = [item for item in made.graph.output if item.name.endswith(".gradient")]
        del made.graph.output[:]
        made.graph.output.extend(kept)
        results.append(evaluator(made)({**feeds, "y.cotangent": drawn(STEPS, 1, BATCH, HIDDEN, seed=9)})[0])
    np.testing.assert_allclose(results[0], results[1])


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"activations": ["Affine"]}, "has the activation Affine"),
        ({}, "runs an unknown number of steps; fix it with --shape"),
    ],
)
def test_recurrent_layers_that_have_no_rule(attributes: dict[str, Any], reason: str) -> None:
    model = layer("RNN", parameters("RNN", 1, False), attributes, 14)
    if not attributes:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "T"
        model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "T"
    with pytest.raises(NetworkError, match=rf"node 'cell' \(RNN\) {reason}"):
        differentiate(model)


# Norms, and what the specification defines by others

X = np.asarray(np.random.default_rng(0).uniform(0.5, 2, (2, 4, 6)))
KEYS = {"k": drawn(2, 3, 6, seed=1), "v": drawn(2, 3, 6, seed=2)}
GROUP = {"s": drawn(4, seed=1), "b": drawn(4, seed=2)}
BODIES: dict[str, tuple[str, dict[str, Array], dict[str, Any], int]] = {
    "LpNormalization-1": ("LpNormalization", {}, {"p": 1, "axis": 1}, 9),
    "LpNormalization-2": ("LpNormalization", {}, {}, 9),
    "LpPool": ("LpPool", {}, {"kernel_shape": [3], "strides": [2], "p": 3}, 11),
    "GlobalLpPool": ("GlobalLpPool", {}, {"p": 2}, 9),
    "CumProd": ("CumProd", {"a": np.array(1)}, {}, 26),
    "CumProd-reverse": ("CumProd", {"a": np.array(2)}, {"reverse": 1, "exclusive": 1}, 26),
    "GroupNormalization": ("GroupNormalization", GROUP, {"num_groups": 2, "stash_type": 11}, 21),
    "RMSNormalization": ("RMSNormalization", {"s": drawn(6, seed=1)}, {"axis": -1}, 23),
    "SoftmaxCrossEntropyLoss": ("SoftmaxCrossEntropyLoss", {"l": np.array([[0, 3, 1, 2, 0, 1]] * 2)}, {}, 18),
    "NegativeLogLikelihoodLoss": ("NegativeLogLikelihoodLoss", {"l": np.array([[0, 3, 1, 2, 0, 1]] * 2)}, {}, 18),
    "CenterCropPad": ("CenterCropPad", {"t": np.array([3, 8])}, {"axes": [1, 2]}, 18),
    "Attention": (
        "Attention",
        {"k": drawn(2, 3, 6, seed=1), "v": drawn(2, 3, 6, seed=2)},
        {"q_num_heads": 2, "kv_num_heads": 2},
        23,
    ),
}


class GlobalLpPool(onnx.reference.op_run.OpRun):
    """onnx's evaluator lacks it."""

    op_domain = ""

    def _run(self, x: Array, p: int = 2) -> tuple[Array]:
        return (np.sum(np.abs(x) ** p, axis=tuple(range(2, x.ndim)), keepdims=True) ** (1 / p),)


@pytest.mark.parametrize("what", BODIES)
def test_gradients_of_lowered_operators(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    op, constants, attributes, opset = BODIES[what]
    monkeypatch.setattr("tests.differentiate.numeric.MORE", [GlobalLpPool])
    node = helper.make_node(op, ["x", *constants], ["y"], **attributes)
    model = model_of([node], constants, X.shape, opset)
    made = differentiate(model)
    y = evaluator(model)({"x": X})[0]
    cotangent = np.asarray(np.random.default_rng(9).standard_normal(y.shape))
    gradient = evaluator(made)({"x": X, "y.cotangent": cotangent})[1]
    np.testing.assert_allclose(finite_differences(model, X, cotangent), gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("parts", "attributes"), [(1, {}), (1, {"onesided": 1}), (2, {}), (2, {"inverse": 1})])
@pytest.mark.parametrize("length", [None, 4, 7])
@pytest.mark.parametrize("opset", [17, 20])
def test_discrete_fourier_transforms(parts: int, attributes: dict[str, Any], length: int | None, opset: int) -> None:
    x = drawn(2, 5, 3, parts)
    constants = {"n": np.array(length)} if length else {}
    axis: dict[str, Any] = {"axis": 1} if opset == 17 else {}
    inputs = ["x", "n" if length else "", *(["a"] if opset == 20 else [])]
    if opset == 20:
        constants["a"] = np.array(1)
    while not inputs[-1]:
        inputs.pop()
    model = model_of([helper.make_node("DFT", inputs, ["y"], **attributes, **axis)], constants, x.shape, opset)
    count = length or 5
    signal = x[..., 0] + (1j * x[..., 1] if parts == 2 else 0)
    if "inverse" in attributes:
        truth = np.fft.ifft(signal, count, 1)
    else:
        truth = np.fft.fft(signal, count, 1)[:, : count // 2 + 1 if "onesided" in attributes else count]
    cotangent = drawn(*truth.shape, 2, seed=9)
    made = differentiate(model)
    made.graph.node.remove(next(node for node in made.graph.node if node.op_type == "DFT"))
    del made.graph.output[0]
    gradient = evaluator(made)({"x": x, "y.cotangent": cotangent})[0]
    direction = drawn(*x.shape, seed=10)
    moved = direction[..., 0] + (1j * direction[..., 1] if parts == 2 else 0)
    change = (np.fft.ifft if "inverse" in attributes else np.fft.fft)(moved, count, 1)[:, : truth.shape[1]]
    expected = np.sum(change.real * cotangent[..., 0] + change.imag * cotangent[..., 1])
    np.testing.assert_allclose(expected, np.sum(gradient * direction))


class GridSample(ReferenceGridSample):
    """Positions in float64; onnx's rounds to float32."""

    op_domain = ""

    def _gs_denormalize_coordinates(self, n: Array, dims: tuple[int, ...], align_corners: bool) -> Array:
        pairs = zip(n, dims, strict=True)
        return np.array([self._gs_denormalize(n=v, length=size, align_corners=align_corners) for v, size in pairs])


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("mode", ["linear", "nearest"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align", [0, 1])
def test_grid_samples(axes: int, mode: str, padding: str, align: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradients by the image and by the grid, some points of which are outside; nearest has none by the grid."""
    monkeypatch.setattr("tests.differentiate.numeric.MORE", [GridSample])
    grid = np.random.default_rng(1).uniform(-1.6, 1.6, (2, *(2, 5, 3)[:axes], axes))
    feeds = {"x": drawn(2, 3, *(4, 3, 2)[:axes]), "g": grid}
    options = {"padding_mode": padding, "align_corners": align}
    model = grid_sample(feeds, 20, mode=mode, **options)
    cotangent = drawn(*evaluator(model)(feeds)[0].shape, seed=9)
    results = evaluator(differentiate(model))({**feeds, "y.cotangent": cotangent})[1:]
    assert (1 if mode == "nearest" else 2) == len(results)
    for name, gradient in zip(feeds, results, strict=False):
        direction = drawn(*feeds[name].shape, seed=10)
        up, down = (
            np.sum(evaluator(model)({**feeds, name: feeds[name] + sign * 1e-6 * direction})[0] * cotangent)
            for sign in (1, -1)
        )
        np.testing.assert_allclose((up - down) / 2e-6, np.sum(gradient * direction), rtol=1e-5, atol=1e-7)
    if axes == 2:  # two spatial axes until opset 19, where linear had another name
        made = differentiate(grid_sample(feeds, 16, mode="bilinear" if mode == "linear" else mode, **options))
        made.graph.node.remove(next(node for node in made.graph.node if node.op_type == "GridSample"))
        del made.graph.output[0]
        older = evaluator(made)({**feeds, "y.cotangent": cotangent})
        assert all(np.array_equal(one, other) for one, other in zip(results, older, strict=True))


def grid_sample(feeds: dict[str, Array], opset: int, **attributes: Any) -> onnx.ModelProto:
    value, kind = helper.make_tensor_value_info, onnx.TensorProto.DOUBLE
    shape = [*feeds["x"].shape[:2], *feeds["g"].shape[1:-1]]
    graph = helper.make_graph(
        [helper.make_node("GridSample", ["x", "g"], ["y"], **attributes)],
        "g",
        [value(name, kind, array.shape) for name, array in feeds.items()],
        [value("y", kind, shape)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.mark.parametrize("onesided", [0, 1])
@pytest.mark.parametrize("windowed", [False, True])
def test_short_time_fourier_transforms(onesided: int, windowed: bool) -> None:
    window = np.hanning(4) if windowed else np.ones(4)
    constants = {"step": np.array(3), **({"w": window} if windowed else {"n": np.array(4)})}
    inputs = ["x", "step", "w"] if windowed else ["x", "step", "", "n"]
    model = model_of([helper.make_node("STFT", inputs, ["y"], onesided=onesided)], constants, (2, 11, 1), 17)

    def transform(signal: Array) -> Array:
        frames = np.stack([signal[:, start : start + 4, 0] * window for start in range(0, 8, 3)], axis=1)
        spectrum = np.fft.rfft(frames) if onesided else np.fft.fft(frames)
        return np.stack([spectrum.real, spectrum.imag], axis=-1)

    x, direction = drawn(2, 11, 1), drawn(2, 11, 1, seed=10)
    cotangent = drawn(*transform(x).shape, seed=9)
    made = differentiate(model)
    made.graph.node.remove(next(node for node in made.graph.node if node.op_type == "STFT"))
    del made.graph.output[0]
    gradient = evaluator(made)({"x": x, "y.cotangent": cotangent})[0]
    np.testing.assert_allclose(np.sum(transform(direction) * cotangent), np.sum(gradient * direction))
