"""The probe's adapter of texts: the namespaces and mode flags of models that share their layers."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crosscheck.probe.adapter import Network
from crosscheck.probe.names import plain_name
from crosscheck.probe.texts import Model, TextAdapter, example

SOURCE: Mapping[str, Any] = {
    "imports": "import math",
    "text": "net = [math.pi]",
    "tensor": "{}",
    "array": "{}",
    "predict": "y = net[0] * x",
    "classify": "",
    "leaves": ("", ""),
    "tensors": {},
    "public": (),
    "view": {},
    "carried": (),
    "files": {},
}
X = np.ones((1, 2), np.float32)


def built(adapter: TextAdapter, folder: Path, leaves: str = "", shares: Model | None = None, **source: Any) -> Model:
    """A model whose mode `tested` leaves its layers in a mode."""
    texts = {"tested": {"once": "", "forward": "y = x", "backward": "", "leaves": leaves}}
    network = Network({}, {}, {}, 1, str(folder), str(folder), source={**SOURCE, **source}, texts=texts)
    return adapter.build(network, "tested", shares)


@pytest.mark.parametrize("leaves", ["train", "eval", "frozen", ""])
def test_models_on_the_same_layers_have_the_flags_that_lines_about_one_of_them_left(
    tmp_path: Path, leaves: str
) -> None:
    adapter = TextAdapter()
    first, alone = built(adapter, tmp_path, leaves), built(adapter, tmp_path)
    adapter.forward(first, X, "tested")
    second = built(adapter, tmp_path, shares=first)
    for norm, expected in ((True, leaves == "train"), (False, leaves in ("train", "frozen"))):
        assert [expected, expected, False] == [model.trains(norm) for model in (first, second, alone)]
    adapter.forward(built(adapter, tmp_path, "eval", shares=second), X, "tested")
    assert ["eval", "eval", ""] == [model.left for model in (first, second, alone)]


def test_a_model_on_shared_layers_has_their_names_and_binds_its_own(tmp_path: Path) -> None:
    adapter = TextAdapter()
    first = built(adapter, tmp_path)
    second = built(adapter, tmp_path, shares=first, imports="raise ImportError", text="net = [2 * net[0]]")
    np.testing.assert_allclose(np.pi * X, adapter.predict(first, X))
    np.testing.assert_allclose(2 * np.pi * X, adapter.predict(second, X))


@pytest.mark.parametrize("flag", [True, False])
def test_a_mode_flag_is_a_number_whatever_a_tensor_has_to_be_asked(tmp_path: Path, flag: bool) -> None:
    adapter = TextAdapter()
    built(adapter, tmp_path, array="{}.detach().numpy()")
    assert flag == adapter.numpy(flag)


def test_variables_that_models_on_the_same_layers_carry_are_the_last_ones_set(tmp_path: Path) -> None:
    adapter = TextAdapter()
    first = built(adapter, tmp_path, carried=("state",))
    second = built(
        adapter, tmp_path, shares=first, carried=("state",), text="state = net[0]", predict="y, state = x, 7"
    )
    assert first.names["state"] == np.pi
    adapter.predict(second, X)
    assert 7 == first.names["state"]


def asking(adapter: TextAdapter, folder: Path, **texts: str) -> Model:
    """A model with a mode `tested` of these texts."""
    mode = {"once": "", "forward": "", "backward": "", "leaves": "", **texts}
    network = Network({}, {}, {}, 1, str(folder), str(folder), source=SOURCE, texts={"tested": mode})
    return adapter.build(network, "tested")


def test_a_gradient_of_two_parts_is_that_after_the_second_and_is_looked_at_between(tmp_path: Path) -> None:
    adapter = TextAdapter()
    model = asking(adapter, tmp_path, forward="seen = x + 1", backward="dx = seen * cotangent")
    between: list[bool] = []
    dx = adapter.gradient(model, X, 3 * X, "tested", lambda: between.append("dx" in model.names))
    np.testing.assert_array_equal(6 * X, dx)
    assert [False] == between


def test_a_gradient_of_one_part_is_not_looked_at_between(tmp_path: Path) -> None:
    adapter = TextAdapter()
    model = asking(adapter, tmp_path, forward="dx = 2 * cotangent")
    between: list[None] = []
    np.testing.assert_array_equal(2 * X, adapter.gradient(model, X, X, "tested", lambda: between.append(None)))
    assert [] == between


def test_what_a_mode_does_once_is_done_once_a_model(tmp_path: Path) -> None:
    adapter = TextAdapter()
    model = asking(adapter, tmp_path, once="net.append(0)", forward="y = x")
    for _ in range(2):
        adapter.forward(model, X, "tested")
    assert 2 == len(model.names["net"])


def test_the_public_view_has_the_tensors_that_it_names_and_views_of_its_own(tmp_path: Path) -> None:
    where = {"w": ("net[0] + 1", None), "hidden": ("net[0]", None)}
    adapter = TextAdapter()
    text = "import numpy\nnet = [numpy.arange(6).reshape(2, 3)]"
    model = built(adapter, tmp_path, text=text, tensors=where, public=("w",), view={"turned": ("net[0]", (1, 0))})
    values = np.arange(6).reshape(2, 3)
    assert where.keys() == adapter.state(model).keys()
    shown = adapter.parameters(model)
    assert {"w", "turned"} == shown.keys()
    np.testing.assert_array_equal(values + 1, shown["w"])
    np.testing.assert_array_equal(values.T, shown["turned"])


def test_what_a_text_says_is_asked_of_the_texts_that_were_executed(tmp_path: Path) -> None:
    adapter = TextAdapter()
    first, other = (asking(adapter, tmp_path, forward="y = x  # freezes") for _ in range(2))
    adapter.forward(first, X, "tested")
    assert [True, False] == [model.says("thaws", "freezes") for model in (first, other)]
    assert not first.says("thaws")


def test_files_lie_under_the_names_that_the_texts_use_in_a_folder_for_each_graph(tmp_path: Path) -> None:
    (tmp_path / "plain.onnx").write_text("a network")
    adapter, source = TextAdapter(), {**SOURCE, "files": {"net.onnx": "plain"}}
    forms = {"plain": str(tmp_path / "plain.onnx")}
    network = Network({}, {}, forms, 1, str(tmp_path), str(tmp_path), source=source, texts={})
    first = adapter.build(network, "tested")
    adapter.build(network, "tested", first)
    assert {"plain.onnx", "files"} == {path.name for path in tmp_path.iterdir()}
    adapter.build(network._replace(graph={"nodes": []}), "tested", first)
    assert ["a network"] * 2 == [(tmp_path / name / "net.onnx").read_text() for name in ("files", "readout")]


def test_namespaces_of_two_models_are_two_modules(tmp_path: Path) -> None:
    adapter = TextAdapter()
    first, second = (built(adapter, tmp_path).names["__name__"] for _ in range(2))
    assert first != second
    assert {first, second} <= sys.modules.keys()


def test_an_example_has_the_networks_shape_and_numbers_from_zero_below_one() -> None:
    network = Network({"inputs": [{"shape": ["N", 3, 1]}]}, {}, {}, 2, "", "", source=SOURCE, texts={})
    np.testing.assert_array_equal((np.arange(6) / np.float32(6)).reshape(2, 3, 1).astype(np.float32), example(network))


def test_a_tensor_that_the_source_does_not_name_keeps_its_name_where_others_have_one(tmp_path: Path) -> None:
    adapter = TextAdapter()
    named = built(adapter, tmp_path, tensors={"w": ("net[0]", None)})
    assert "net/bn:0" == adapter.called(named, "net/bn:0")
    assert plain_name("net/bn:0") == adapter.called(built(adapter, tmp_path), "net/bn:0") != "net/bn:0"
