"""MXNet's modes and releases, read by the host without MXNet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crosscheck import networks
from crosscheck.probe.adapter import Network
from crosscheck.runtimes.catalog import Runtime, catalog, variant_has
from crosscheck.runtimes.mode import Mode
from crosscheck.runtimes.mxnet.adapter import MXNet
from crosscheck.runtimes.program import Subject, source_of


@pytest.fixture(name="mxnet")
def _mxnet() -> Runtime:
    return catalog()["mxnet"]


def modes_of(mxnet: Runtime, version: str) -> Sequence[Mode]:
    release = next(release for release in mxnet.releases if release.version == version)
    return [mode for mode in mxnet.modes if release.has(mode)]


def test_all_pypi_releases_are_listed_and_locked(mxnet: Runtime) -> None:
    assert len(mxnet.releases) == 34
    locks = {mxnet.lock(release, variant) for release in mxnet.releases for variant in release.variants}
    assert {lock for lock in locks if not lock.exists()} == set()
    assert len([lock for lock in locks if "+mxnet-mkl" in lock.name]) == 25


@pytest.mark.parametrize("version", ["0.9.5.post2", "0.10.0", "0.11.0", "1.0.0.post4", "1.2.0", "1.9.1"])
def test_modes_refer_to_compatible_modes_of_their_release(mxnet: Runtime, version: str) -> None:
    having = {mode.name: mode for mode in modes_of(mxnet, version)}
    for mode in having.values():
        for intent, other in (("inference", mode.inference), ("training", mode.training)):
            if other is not None:
                assert having[other].intent == intent
                assert having[other].asks == "gradient"
                assert other.split(".")[0] == mode.name.split(".")[0]


def test_the_first_release_has_one_backward_and_no_imperative_gradient(mxnet: Runtime) -> None:
    names = {mode.name for mode in modes_of(mxnet, "0.9.5.post2") if mode.asks == "gradient"}
    assert names == {
        "executor.train.default",
        "executor.eval.default",
        "executor.global-stats",
        "executor.fix-gamma.train.default",
        "executor.fix-gamma.eval.default",
        "executor.fix-gamma.global-stats",
        "executor.output-mean-var.train.default",
        "executor.output-mean-var.eval.default",
        "module.train",
        "module.eval",
        "module.fix-gamma.train",
        "module.fix-gamma.eval",
    }


def test_inference_gradients_name_a_training_gradient(mxnet: Runtime) -> None:
    """Except modes that read exported files, which scenario `order` does not include."""
    assert [
        mode.name
        for mode in mxnet.modes
        if mode.asks == "gradient" and mode.intent == "inference" and mode.training is None and not mode.file
    ] == []


def programs(mxnet: Runtime, version: str, variant: str = "plain") -> dict[str, str]:
    """Mode name -> its program: imports, source of `seed`, and the mode's text."""
    release = next(release for release in mxnet.releases if release.version == version)
    with_it = next(one for one in release.variants if one.name == variant)
    seed = networks.load("seed")
    subject = Subject(seed.graph, seed.weights, 1)
    shown = {}
    for mode in modes_of(mxnet, version):
        if variant_has(with_it, mode):
            source = source_of(mxnet, release, with_it, mode, subject)
            shown[mode.name] = source.imports + source.text + source.predict + mode.in_release(version).call
    return shown


@pytest.mark.parametrize(
    ("version", "variant"),
    [("0.9.5.post2", "plain"), ("0.11.0", "plain"), ("1.2.0", "imported-6"), ("1.3.1", "onnx"), ("1.9.1", "plain")],
)
def test_programs_of_modes_are_distinct(mxnet: Runtime, version: str, variant: str) -> None:
    shown = programs(mxnet, version, variant)
    assert len(shown) == len(set(shown.values()))
    for name, program in shown.items():
        compile(program, name, "exec")


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("executor.train.default", "net.forward(is_train=True)\nnet.backward([cotangent])\n"),
        ("executor.eval.eval", "net.forward(is_train=False)\nnet.backward([cotangent], is_train=False)\n"),
        ("executor.global-stats", "fix_gamma=False, use_global_stats=True"),
        ("executor.fix-gamma.train.default", 'eps=0.001, momentum=0.9, name="bn")'),
        ("executor.output-mean-var.eval.eval", 'fix_gamma=False, output_mean_var=True, name="bn")[0]'),
        ("executor.batch-norm-v1.eval.eval", "mx.sym.BatchNorm_v1("),
        ("gluon.sync.eval.eval", "gluon.contrib.nn.SyncBatchNorm("),
        ("gluon.scale-false.eval.eval", "scale=False"),
        ("gluon.eval.eval", "y.backward(cotangent, train_mode=False)\n"),
        ("gluon.global-stats", "scale=True, use_global_stats=True"),
        ("hybrid.predict", "net.hybridize()\n"),
        ("static.predict", "net.hybridize(static_alloc=True, static_shape=True)\n"),
    ],
)
def test_arguments_of_layers_and_passes_are_in_the_program(mxnet: Runtime, mode: str, words: str) -> None:
    assert words in programs(mxnet, "1.9.1")[mode]


def test_texts_use_the_calls_of_their_release(mxnet: Runtime) -> None:
    assert "y = net(x)[0]\n" in programs(mxnet, "0.11.0")["symbolblock.predict"]
    assert "y = net(x)\n" in programs(mxnet, "1.9.1")["symbolblock.predict"]
    assert "onnx_mxnet.export_model(" in programs(mxnet, "1.8.0.post0", "onnx")["export.onnx"]
    assert "mx.onnx.export_model(" in programs(mxnet, "1.9.0", "onnx")["export.onnx"]
    assert 'onnx_mxnet.import_model("opset-7.onnx")' in programs(mxnet, "1.3.0", "imported")["module.train"]


#: A block with a parameter and a statistic, of which no gradient is asked.
BLOCK = """\
class Parameter:
    def __init__(self, grad_req):
        self.grad_req, self.sum = grad_req, weights["scale"] * 0

    data = lambda self: weights["scale"]
    grad = lambda self: self.sum

class net:
    parameters = {"net0_gamma": Parameter("write"), "net0_running_mean": Parameter("null")}
    collect_params = lambda: net.parameters
"""
ADDS_UP = 'net.parameters["net0_gamma"].grad_req = "add"\n'
BACKWARD = 'net.parameters["net0_gamma"].sum += 1\n'


def backward(parameter: Any) -> None:
    parameter.sum += 1


def asks(grad_req: str) -> Callable[[Any], None]:
    return lambda parameter: setattr(parameter, "grad_req", grad_req)


@pytest.mark.parametrize(
    ("user", "toolkit", "before", "after"),
    [
        ("", backward, {}, {}),
        (ADDS_UP + BACKWARD, backward, {"scale.grad": [1, 1]}, {"scale.grad": [2, 2]}),
        (ADDS_UP + BACKWARD, asks("write"), {"scale.grad": [1, 1]}, {}),
        ("", asks("null"), {}, {"scale.grad_req": True}),
    ],
    ids=["overwritten by the next pass", "added to", "lost", "frozen"],
)
def test_gradients_that_add_up_and_what_is_asked_of_them_are_looked_at(
    tmp_path: Path, user: str, toolkit: Callable[[Any], None], before: dict[str, object], after: dict[str, object]
) -> None:
    source = dict.fromkeys(("imports", "tensor", "array"), "{}") | {
        "imports": "",
        "text": BLOCK,
        "tensors": {"scale": ('net.parameters["net0_gamma"].data()', None)},
        "leaves": ("", ""),
        "carried": (),
        "files": {},
    }
    graph: dict[str, list[object]] = {"nodes": [], "inputs": [], "outputs": []}
    adapter = MXNet()
    network = Network(graph, {"scale": np.ones(2)}, {}, 1, str(tmp_path), str(tmp_path), source=source)
    model = adapter.build(network, "mode")
    model.run(user, "mode")
    assert before == {name: np.asarray(value).tolist() for name, value in adapter.left(model).items()}
    toolkit(model.names["net"].parameters["net0_gamma"])
    assert after == {name: np.asarray(value).tolist() for name, value in adapter.left(model).items()}
