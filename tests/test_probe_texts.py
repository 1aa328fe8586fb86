"""The probe's adapter of texts: the namespaces and mode flags of models that share their layers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crosscheck.probe.adapter import Network
from crosscheck.probe.texts import Model, TextAdapter

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


def test_variables_that_models_on_the_same_layers_carry_are_the_last_ones_set(tmp_path: Path) -> None:
    adapter = TextAdapter()
    first = built(adapter, tmp_path, carried=("state",))
    second = built(
        adapter, tmp_path, shares=first, carried=("state",), text="state = net[0]", predict="y, state = x, 7"
    )
    assert first.names["state"] == np.pi
    adapter.predict(second, X)
    assert 7 == first.names["state"]
