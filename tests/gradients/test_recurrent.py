"""Recurrent layers: gradients by every input, of every output, with every option that has a rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from crosscheck.cells import Array
from crosscheck.errors import NetworkError
from crosscheck.gradients import differentiate
from tests.gradients.numeric import evaluator

STEPS, BATCH, INPUTS, HIDDEN = 3, 2, 4, 3
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
ORDER = ("x", "w", "r", "b", "n", "h", "c", "p")
OUTPUTS = {"RNN": ("y", "y_h"), "GRU": ("y", "y_h"), "LSTM": ("y", "y_h", "y_c")}
#: The axes of x, states and outputs for layout 1, of those for layout 0.
BATCH_FIRST = {
    "x": (1, 0, 2), "h": (1, 0, 2), "c": (1, 0, 2), "y": (2, 0, 1, 3), "y_h": (1, 0, 2), "y_c": (1, 0, 2),
}  # fmt: skip

Activation = Callable[[Array], Array]
FUNCTIONS: dict[str, Activation] = {
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.log(1 + np.exp(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "tanh": np.tanh,
}
USUAL = {"RNN": ("tanh",), "GRU": ("sigmoid", "tanh"), "LSTM": ("sigmoid", "tanh", "tanh")}


def drawn(*shape: int, seed: int = 0) -> Array:
    return np.asarray(np.random.default_rng(seed).standard_normal(shape))


def activations(op: str, attributes: Mapping[str, Any], number: int) -> list[Activation]:
    """Those of one direction; each clips what it takes, if the layer does."""
    names = attributes.get("activations", USUAL[op] * 2)
    clip = attributes.get("clip", np.inf)
    here = names[number * len(USUAL[op]) :][: len(USUAL[op])]
    return [lambda x, name=name: FUNCTIONS[name.lower()](np.clip(x, -clip, clip)) for name in here]  # type: ignore[misc]


def recurrent(op: str, attributes: Mapping[str, Any], feeds: Mapping[str, Array]) -> dict[str, Array]:
    """The equations of the specification in NumPy; arrays as in layout 0."""
    x, ys, hs, cs = feeds["x"], [], [], []
    kind = attributes.get("direction", "forward")
    for number, reverse in enumerate({"forward": [False], "reverse": [True], "bidirectional": [False, True]}[kind]):
        w, r = feeds["w"][number], feeds["r"][number]
        b = feeds["b"][number] if "b" in feeds else np.zeros(2 * len(w))
        wb, rb = b[: len(w)], b[len(w) :]
        h = feeds["h"][number] if "h" in feeds else np.zeros((BATCH, HIDDEN))
        c = feeds["c"][number] if "c" in feeds else np.zeros((BATCH, HIDDEN))
        pi, po, pf = np.split(feeds["p"][number] if "p" in feeds else np.zeros(3 * HIDDEN), 3)
        f, *others = activations(op, attributes, number)
        states = []
        for step in reversed(range(len(x))) if reverse else range(len(x)):
            u, v = x[step] @ w.T + wb, h @ r.T + rb
            if op == "RNN":
                h = f(u + v)
            elif op == "GRU":
                (uz, ur, uh), (vz, vr, vh) = np.split(u, 3, 1), np.split(v, 3, 1)
                z, g = f(uz + vz), f(ur + vr)
                before = attributes.get("linear_before_reset", 0)
                inner = g * vh if before else (g * h) @ r[2 * HIDDEN :].T + rb[2 * HIDDEN :]
                h = (1 - z) * others[0](uh + inner) + z * h
            else:
                ui, uo, uf, uc = np.split(u + v, 4, 1)
                i = f(ui + pi * c)
                kept = 1 - i if attributes.get("input_forget", 0) else f(uf + pf * c)
                c = kept * c + i * others[0](uc)
                h = f(uo + po * c) * others[1](c)
            states.append(h)
        ys.append(states[::-1] if reverse else states)
        hs.append(h)
        cs.append(c)
    return {"y": np.moveaxis(np.array(ys), 0, 1), "y_h": np.array(hs), "y_c": np.array(cs)}


def parameters(op: str, directions: int = 1, states: bool = True) -> dict[str, Array]:
    """Without `states`: no bias, no initial states and no peepholes either."""
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
    op: str,
    feeds: Mapping[str, Array],
    attributes: Mapping[str, Any],
    lengths: Sequence[int] = (),
    opset: int = 14,
    batch: int | str = BATCH,
    steps: int | str = STEPS,
) -> onnx.ModelProto:
    """Every tensor but the sequence lengths is an input; all outputs of the layer are outputs of the graph."""
    inputs = [name if name in feeds or (name == "n" and lengths) else "" for name in ORDER]
    while not inputs[-1]:
        inputs.pop()
    value, kind = helper.make_tensor_value_info, onnx.TensorProto.DOUBLE
    sizes: dict[str, list[Any]] = {name: list(array.shape) for name, array in feeds.items()}
    if not attributes.get("layout", 0):
        sizes["x"][:2] = steps, batch
    ranks = {"y": 4, "y_h": 3, "y_c": 3}
    graph = helper.make_graph(
        [helper.make_node(op, inputs, OUTPUTS[op], hidden_size=HIDDEN, name="cell", **attributes)],
        "g",
        [value(name, kind, sizes[name]) for name in feeds],
        [value(name, kind, [None] * ranks[name]) for name in OUTPUTS[op]],
        [onnx.numpy_helper.from_array(np.array(lengths, np.int32), "n")] if lengths else [],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def turned(name: str, array: Array, layout: int) -> Array:
    """An array of layout 0, in a layout."""
    return array.transpose(BATCH_FIRST[name]) if layout and name in BATCH_FIRST else array


def gradients(op: str, model: onnx.ModelProto, output: str, wrt: Sequence[str] = ()) -> onnx.ModelProto:
    """The gradients alone, without the layer's own node: they need none of its outputs."""
    made = differentiate(model, wrt=wrt, output=output)
    made.graph.node.remove(next(node for node in made.graph.node if node.op_type == op))
    kept = [item for item in made.graph.output if item.name.endswith(".gradient")]
    del made.graph.output[:]
    made.graph.output.extend(kept)
    return made


def check(
    op: str,
    attributes: Mapping[str, Any],
    feeds: Mapping[str, Array],
    output: str = "y",
    lengths: Sequence[int] = (),
    opset: int = 14,
) -> None:
    """Compares the gradients of an output by every input with finite differences of the equations."""
    layout = attributes.get("layout", 0)
    here = {name: turned(name, array, layout) for name, array in feeds.items()}
    made = gradients(op, layer(op, here, attributes, lengths, opset), output)
    cotangent = drawn(*recurrent(op, attributes, feeds)[output].shape, seed=9)
    results = evaluator(made)({**here, f"{output}.cotangent": turned(output, cotangent, layout)})
    assert [f"{name}.gradient" for name in feeds] == [item.name for item in made.graph.output]
    for name, gradient in zip(feeds, results, strict=True):
        direction = drawn(*feeds[name].shape, seed=10)
        moved = ({**feeds, name: feeds[name] + sign * 1e-6 * direction} for sign in (1, -1))
        up, down = (np.sum(recurrent(op, attributes, fed)[output] * cotangent) for fed in moved)
        assert here[name].shape == gradient.shape
        slope = np.sum(gradient * turned(name, direction, layout))
        np.testing.assert_allclose((up - down) / 2e-6, slope, rtol=1e-5, atol=1e-7)


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


@pytest.mark.parametrize("opset", [9, 14])
@pytest.mark.parametrize("states", [False, True])
@pytest.mark.parametrize(("op", "attributes", "output"), [(*kind, name) for kind in KINDS for name in OUTPUTS[kind[0]]])
def test_gradients_of_every_output(op: str, attributes: dict[str, Any], output: str, states: bool, opset: int) -> None:
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    check(op, attributes, parameters(op, directions, states), output, opset=opset)


@pytest.mark.parametrize("op", GATES)
def test_layers_with_an_open_batch(op: str) -> None:
    feeds = parameters(op, states=False)
    fed = {**feeds, "y.cotangent": drawn(STEPS, 1, BATCH, HIDDEN, seed=9)}
    fixed, opened = (gradients(op, layer(op, feeds, {}, batch=batch), "y", ["x"]) for batch in (BATCH, "N"))
    np.testing.assert_allclose(evaluator(fixed)(fed)[0], evaluator(opened)(fed)[0])


@pytest.mark.parametrize("states", [False, True])
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize(("op", "output"), [(op, output) for op, outputs in OUTPUTS.items() for output in outputs])
def test_layers_with_the_batch_first(op: str, output: str, direction: str, states: bool) -> None:
    feeds = parameters(op, 2 if direction == "bidirectional" else 1, states)
    check(op, {"layout": 1, "direction": direction}, feeds, output)


@pytest.mark.parametrize(
    ("op", "names"),
    [
        ("RNN", ["Relu", "Softsign"]),
        ("RNN", ["sigmoid", "TANH"]),
        ("GRU", ["Softsign", "Softplus", "Sigmoid", "Relu"]),
        ("LSTM", ["Sigmoid", "Softsign", "Softplus", "Tanh", "Sigmoid", "Softsign"]),
    ],
)
def test_each_direction_has_its_own_activations_whatever_the_case_of_their_names(op: str, names: list[str]) -> None:
    check(op, {"direction": "bidirectional", "activations": names}, parameters(op, 2))


@pytest.mark.parametrize("op", GATES)
def test_what_activations_take_is_clipped_on_both_sides(op: str) -> None:
    feeds = parameters(op)
    assert not np.allclose(recurrent(op, {}, feeds)["y"], recurrent(op, {"clip": 0.75}, feeds)["y"])
    check(op, {"clip": 0.75}, feeds)


def test_an_lstm_may_forget_as_much_as_it_takes_in() -> None:
    check("LSTM", {"input_forget": 1}, parameters("LSTM"))


@pytest.mark.parametrize("layout", [0, 1])
def test_sequences_of_all_steps_have_the_rule_of_those_without_lengths(layout: int) -> None:
    check("RNN", {"layout": layout}, parameters("RNN"), lengths=[STEPS] * BATCH)


@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("lengths", [[STEPS, STEPS - 1], [BATCH, BATCH]])
def test_shorter_sequences_have_no_rule(lengths: list[int], layout: int) -> None:
    feeds = {name: turned(name, array, layout) for name, array in parameters("RNN").items()}
    with pytest.raises(NetworkError, match=r"node 'cell' \(RNN\) has sequences of several lengths"):
        differentiate(layer("RNN", feeds, {"layout": layout}, lengths))


def test_other_activations_have_no_rule() -> None:
    with pytest.raises(NetworkError, match=r"node 'cell' \(RNN\) has the activation Affine"):
        differentiate(layer("RNN", parameters("RNN"), {"activations": ["Affine"]}))


def test_an_unknown_number_of_steps_has_no_rule() -> None:
    with pytest.raises(NetworkError, match=r"node 'cell' \(RNN\) runs an unknown number of steps; fix it with --shape"):
        differentiate(layer("RNN", parameters("RNN"), {}, steps="T"))
