"""TensorFlow's adapter on a network that is a function, carried out without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crosscheck.probe.adapter import Network
from crosscheck.runtimes.tensorflow.adapter import TensorFlow

#: As `tf.layers` are written: `net` is a function, and variables are read in a session.
FUNCTION = """\
class session:
    run = staticmethod(lambda value: value)

def net(x, training):
    return x * variables["bn/gamma"]

variables = {"bn/gamma": weights["scale"], "bn/renorm_mean": weights["scale"] + 1}
"""
#: As Keras's models are: layers have flags.
MODEL = """\
class layer:
    name, weights, trainable, activation = "bn", [weights["scale"]], True, abs

class net:
    layers = [layer]
"""
TENSOR = 'session.run(variables["bn/gamma"])'


def built(text: str, folder: str, tensors: Mapping[str, Any]) -> tuple[TensorFlow, Any]:
    source = dict.fromkeys(("imports", "predict", "classify", "layers"), "") | {
        "text": text,
        "tensor": "{}",
        "array": "{}",
        "tensors": tensors,
        "public": (),
        "view": {},
        "leaves": ("", ""),
        "carried": (),
        "files": {},
    }
    graph = {"nodes": [], "inputs": [{"name": "x", "shape": ["N", 2]}], "outputs": []}
    adapter = TensorFlow()
    network = Network(graph, {"scale": np.ones(2, np.float32)}, {}, 1, folder, folder, source=source)
    return adapter, adapter.build(network, "mode")


def test_a_function_of_layers_has_variables_and_no_layers_to_switch(tmp_path: Path) -> None:
    adapter, model = built(FUNCTION, str(tmp_path), {"bn.gamma": (TENSOR, None)})
    assert {} == adapter.switched(model)
    assert {"bn.gamma": [1, 1], "bn/renorm_mean": [2, 2]} == {
        name: value.tolist() for name, value in adapter.state(model).items()
    }


@pytest.mark.parametrize(("left", "switched"), [("", {"bn": False}), ("frozen", {})])
def test_a_layer_of_a_model_is_switched_unless_the_users_lines_did_it(
    tmp_path: Path, left: str, switched: Mapping[str, bool]
) -> None:
    adapter, model = built(MODEL, str(tmp_path), {})
    assert {} == adapter.switched(model)
    model.names["layer"].trainable = False
    model.leave(left)
    assert switched == adapter.switched(model)


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ("layer.call = print", ["bn.call.attribute"]),
        ("layer.activation = print", ["bn.activation"]),
        ("layer._private = print", []),
        ("net.layers = [type('Other', (), {'name': 'bn', 'weights': []})]", ["bn.layer"]),
        ("net.layers = [*net.layers, type('More', (), {'name': 'more', 'weights': []})]", ["more.layer"]),
    ],
)
def test_layers_that_have_become_others_are_left(tmp_path: Path, change: str, left: list[str]) -> None:
    adapter, model = built(MODEL, str(tmp_path), {})
    assert {} == adapter.left(model)
    model.run(change, "change")
    assert left == list(adapter.left(model))


def test_a_function_of_layers_has_no_layers_that_become_others(tmp_path: Path) -> None:
    adapter, model = built(FUNCTION, str(tmp_path), {})
    assert {} == adapter.left(model)
