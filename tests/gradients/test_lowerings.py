"""Operators that are differentiated by way of others: norms, transforms, samples, and function bodies."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference.ops.op_grid_sample import GridSample as ReferenceGridSample

from crosscheck.cells import Array
from crosscheck.errors import NetworkError
from crosscheck.gradients import differentiate
from tests.gradients.numeric import evaluator, finite_differences, model_of


def drawn(*shape: int, seed: int = 0) -> Array:
    return np.asarray(np.random.default_rng(seed).standard_normal(shape))


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
    monkeypatch.setattr("tests.gradients.numeric.MORE", [GlobalLpPool])
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
    monkeypatch.setattr("tests.gradients.numeric.MORE", [GridSample])
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


@pytest.mark.parametrize("size", [9, 11])
@pytest.mark.parametrize("onesided", [0, 1])
@pytest.mark.parametrize("windowed", [False, True])
def test_short_time_fourier_transforms(size: int, onesided: int, windowed: bool) -> None:
    """Of 9 numbers, the next frame would begin one too late to end with them."""
    window = np.hanning(4) if windowed else np.ones(4)
    constants = {"step": np.array(3), **({"w": window} if windowed else {"n": np.array(4)})}
    inputs = ["x", "step", "w"] if windowed else ["x", "step", "", "n"]
    model = model_of([helper.make_node("STFT", inputs, ["y"], onesided=onesided)], constants, (2, size, 1), 17)

    def transform(signal: Array) -> Array:
        frames = np.stack([signal[:, start : start + 4, 0] * window for start in range(0, size - 3, 3)], axis=1)
        spectrum = np.fft.rfft(frames) if onesided else np.fft.fft(frames)
        return np.stack([spectrum.real, spectrum.imag], axis=-1)

    x, direction = drawn(2, size, 1), drawn(2, size, 1, seed=10)
    cotangent = drawn(*transform(x).shape, seed=9)
    made = differentiate(model)
    made.graph.node.remove(next(node for node in made.graph.node if node.op_type == "STFT"))
    del made.graph.output[0]
    gradient = evaluator(made)({"x": x, "y.cotangent": cotangent})[0]
    np.testing.assert_allclose(np.sum(transform(direction) * cotangent), np.sum(gradient * direction))


def test_a_function_body_that_onnx_does_not_inline_is_refused() -> None:
    attributes: dict[str, Any] = {"q_num_heads": 2, "kv_num_heads": 2, "softmax_precision": onnx.TensorProto.INT64}
    model = model_of([helper.make_node("Attention", ["x", *KEYS], ["y"], name="a", **attributes)], KEYS, X.shape, 23)
    with pytest.raises(NetworkError, match=r"node 'a' \(Attention\) has a function body that onnx cannot inline"):
        differentiate(model)


def pooled(x: Array, kernel: int, stride: int, pad: int, power: float) -> Array:
    """LpPool along the last axis."""
    wide = np.pad(x, ((0, 0), (0, 0), (pad, pad)))
    starts = range(0, wide.shape[2] - kernel + 1, stride)
    return np.stack([(np.abs(wide[..., at : at + kernel]) ** power).sum(-1) ** (1 / power) for at in starts], -1)


@pytest.mark.parametrize("power", [None, 1, 2, 3])
@pytest.mark.parametrize(("kernel", "stride", "pad"), [(2, 1, 0), (3, 2, 1)])
def test_norms_over_windows(kernel: int, stride: int, pad: int, power: int | None) -> None:
    """Without a power, the Euclidean norm; onnx's evaluator is not asked."""
    attributes: dict[str, Any] = {"kernel_shape": [kernel], "strides": [stride], "pads": [pad, pad]}
    attributes |= {} if power is None else {"p": power}
    x, direction = drawn(2, 3, 6), drawn(2, 3, 6, seed=10)
    up, down = (pooled(x + sign * 1e-6 * direction, kernel, stride, pad, power or 2) for sign in (1, -1))
    cotangent = drawn(*up.shape, seed=9)
    made = differentiate(model_of([helper.make_node("LpPool", ["x"], ["y"], **attributes)], {}, x.shape, 18))
    made.graph.node.remove(next(node for node in made.graph.node if node.op_type == "LpPool"))
    del made.graph.output[0]
    gradient = evaluator(made)({"x": x, "y.cotangent": cotangent})[0]
    expected = np.sum((up - down) * cotangent) / 2e-6
    np.testing.assert_allclose(expected, np.sum(gradient * direction), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("power", [None, 1, 2, 3])
def test_norms_of_whole_images(power: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.gradients.numeric.MORE", [GlobalLpPool])
    attributes: dict[str, Any] = {} if power is None else {"p": power}
    model = model_of([helper.make_node("GlobalLpPool", ["x"], ["y"], **attributes)], {}, (2, 4, 6), 18)
    cotangent = drawn(2, 4, 1, seed=9)
    gradient = evaluator(differentiate(model))({"x": X, "y.cotangent": cotangent})[1]
    np.testing.assert_allclose(finite_differences(model, X, cotangent), gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("attributes", [{}, {"p": 1}, {"p": 2, "axis": 1}, {"axis": -2}])
def test_a_norm_of_zero_divides_by_one(attributes: dict[str, Any]) -> None:
    x = np.zeros((2, 3, 4))
    made = differentiate(model_of([helper.make_node("LpNormalization", ["x"], ["y"], **attributes)], {}, x.shape, 15))
    made.graph.node.remove(next(node for node in made.graph.node if node.op_type == "LpNormalization"))
    del made.graph.output[0]
    cotangent = drawn(2, 3, 4)
    gradient = evaluator(made)({"x": x, "y.cotangent": cotangent})[0]
    np.testing.assert_allclose(cotangent, gradient)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("exclusive", [0, 1])
def test_cumulative_products_with_a_zero_among_them(axis: int, reverse: int, exclusive: int) -> None:
    x, direction = drawn(2, 3, 4), drawn(2, 3, 4, seed=10)
    x[1, 1, 1] = 0.0
    node = helper.make_node("CumProd", ["x", "a"], ["y"], reverse=reverse, exclusive=exclusive)
    model = model_of([node], {"a": np.array(axis)}, x.shape, 26)

    def products(values: Array) -> Array:
        turned = np.moveaxis(values, axis, 0)[:: -1 if reverse else 1]
        if exclusive:
            turned = np.concatenate([np.ones_like(turned[:1]), turned[:-1]])
        return np.moveaxis(np.cumprod(turned, 0)[:: -1 if reverse else 1], 0, axis)

    made = differentiate(model)
    made.graph.node.remove(next(node for node in made.graph.node if node.op_type == "CumProd"))
    del made.graph.output[0]
    cotangent = drawn(2, 3, 4, seed=9)
    gradient = evaluator(made)({"x": x, "y.cotangent": cotangent})[0]
    up, down = (products(x + sign * 1e-6 * direction) for sign in (1, -1))
    np.testing.assert_allclose(
        np.sum((up - down) * cotangent) / 2e-6, np.sum(gradient * direction), rtol=1e-6, atol=1e-8
    )


@pytest.mark.parametrize(("opset", "axis"), [(17, 1), (20, 2)])
def test_transforms_run_along_the_second_axis_or_since_opset_20_the_last_but_one(opset: int, axis: int) -> None:
    x, direction = drawn(2, 4, 3, 1), drawn(2, 4, 3, 1, seed=10)
    made = differentiate(model_of([helper.make_node("DFT", ["x"], ["y"])], {}, x.shape, opset))
    made.graph.node.remove(next(node for node in made.graph.node if node.op_type == "DFT"))
    del made.graph.output[0]
    cotangent = drawn(2, 4, 3, 2, seed=9)
    change = np.fft.fft(direction[..., 0], axis=axis)
    expected = np.sum(change.real * cotangent[..., 0] + change.imag * cotangent[..., 1])
    gradient = evaluator(made)({"x": x, "y.cotangent": cotangent})[0]
    np.testing.assert_allclose(expected, np.sum(gradient * direction))
