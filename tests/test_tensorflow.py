"""TensorFlow and Keras, installed by crosscheck: predictions of every network, and side effects of each mode.

Large: several GB of environments, one of them for CPython 3.7 and one for CPython 3.6. The ordinary tests measure Keras
on torch, whose wheel they have anyway.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from crosscheck.job import Job, run
from crosscheck.networks import names
from crosscheck.runtimes.catalog import catalog
from tests.conftest import Cells, SilentProgress, cells_by_mode, read_cells

RELEASES = [
    "tensorflow@2.21.0",
    "tensorflow@2.15.1",
    "tensorflow@1.15.5",
    "tensorflow@1.4.1",
    "keras@3.15.1",
    "keras@2.3.1",
]
#: A prediction mode in each release and on each backend, so that every network writer is tested.
PREDICTION = {
    "tensorflow@2.21.0": "call.eval",
    "tensorflow@2.15.1": "graph.predict",
    "tensorflow@1.15.5": "contrib.predict",
    "tensorflow@1.4.1": "keras-session.predict",
    "keras@3.15.1": "model.call.eval",
    "keras@3.15.1+jax": "model.predict",
    "keras@3.15.1+torch": "model.call.eval",
    "keras@2.3.1": "session.predict",
}
ASKED = [
    "tape.*",
    "trainable-false.train",
    "recompute.train",
    "inside.train",
    "graph.train*",
    "contrib-in-place.train",
    "k-function.train*",
    "tape-renorm.*",
    "graph-renorm.*",
    "contrib-renorm.train*",
    "k-function.eval.updates",
    "tf.tape.*",
    "jax.grad.*",
    "torch.grad.*",
]


@pytest.mark.parametrize("runtime", ["tensorflow", "keras"])
def test_modes_refer_to_modes_of_their_release(runtime: str) -> None:
    modes = {mode.name: mode for mode in catalog()[runtime].modes}
    for release in catalog()[runtime].releases:
        for mode in modes.values():
            named = {mode.inference, mode.training} - {None}
            if release.has(mode):
                assert {name for name in named if not release.has(modes[name or ""])} == set(), (release, mode)


@pytest.mark.parametrize(("version", "python"), [("2.21.0", "3.11"), ("2.15.1", "3.11")])
def test_the_cpu_build_replaces_the_package(version: str, python: str) -> None:
    runtime = catalog()["tensorflow"]
    release = next(release for release in runtime.releases if release.version == version)
    lock = runtime.lock(release, release.variants[0]).read_text()
    assert f"\ntensorflow-cpu=={version} " in lock
    assert "\ntensorflow==" not in lock
    assert python in release.python


def test_keras_3_on_torch_trains_a_nested_network_called_for_inference(tmp_path: Path) -> None:
    findings = {"torch.grad.train": ["leak"], "torch.grad.inside.train": ["leak", "mode-ignored"]}
    target = "keras@3.15.1+torch"
    job = Job([target], networks=["seed-batch"], modes=[*findings], scenarios=["gradient"], trials=1, out=tmp_path)
    run(job, SilentProgress())
    assert findings == {mode: cell["findings"] for mode, cell in cells_by_mode(tmp_path).items()}


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    """`seed` and `seed-batch` in the modes above."""
    folder = tmp_path_factory.mktemp("tensorflow")
    targets = [*RELEASES, "keras@3.15.1+jax", "keras@3.15.1+torch", "keras@2.3.1+theano"]
    run(
        Job(targets, networks=["seed", "seed-batch"], modes=ASKED, scenarios=["gradient"], out=folder), SilentProgress()
    )
    return read_cells(folder)


@pytest.mark.large
@pytest.mark.parametrize("target", PREDICTION)
def test_every_network_predicts_like_the_oracle(target: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("predictions")
    mode = PREDICTION[target]
    job = Job([target], networks=["*"], modes=[mode], scenarios=["predict-only"], trials=1, out=folder)
    run(job, SilentProgress())
    result = {cell["network"]: (cell["status"], cell["findings"]) for cell in read_cells(folder).values()}
    assert {name: ("ok", ["clean"]) for name in names()} == result


@pytest.mark.large
def test_smaller_networks_on_theano_predict_like_the_oracle(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without a compiler, convolutions of the other networks exceed the time limit."""
    folder = tmp_path_factory.mktemp("theano")
    networks = ["seed", "seed-batch", "conv", "digits"]
    job = Job(
        ["keras@2.3.1+theano"], networks=networks, modes=["session.predict"], scenarios=["predict-only"], out=folder
    )
    run(job, SilentProgress())
    result = {cell["network"]: (cell["status"], cell["findings"]) for cell in read_cells(folder).values()}
    assert dict.fromkeys(networks, ("ok", ["clean"])) == result


@pytest.mark.large
@pytest.mark.parametrize(
    "mode",
    [
        "tensorflow@2.21.0/tape.train",
        "tensorflow@2.15.1/tape.train",
        "tensorflow@2.15.1/graph.train.update-ops",
        "tensorflow@1.15.5/contrib-in-place.train",
        "tensorflow@1.4.1/graph.train.update-ops",
        "keras@3.15.1/tf.tape.train",
        "keras@3.15.1+jax/jax.grad.stateless.train.adopted",
        "keras@3.15.1+torch/torch.grad.train",
        "keras@2.3.1/k-function.train.updates",
    ],
)
def test_the_example_of_2017_has_its_six_digits(cells: Cells, mode: str) -> None:
    cell = cells[f"{mode}/seed/gradient"]
    assert ["0.29985", "0.3998"] == [f"{number:.6g}" for number in cell["prediction_before"][0]]
    assert ["0.284447", "0.379263"] == [f"{number:.6g}" for number in cell["prediction_after"][0]]
    assert ["clean" if mode.endswith("adopted") else "leak"] == cell["findings"]
    assert 1 == cell["update"]["count"]


@pytest.mark.large
@pytest.mark.parametrize(
    "mode",
    [
        "tensorflow@2.21.0/tape.unset",
        "tensorflow@2.21.0/trainable-false.train",
        "tensorflow@2.15.1/inside.train",
        "tensorflow@1.15.5/graph.train",
        "tensorflow@1.4.1/k-function.train",
        "keras@3.15.1/tf.tape.stateless.train.dropped",
        "keras@3.15.1+jax/jax.grad.stateless.train.dropped",
        "keras@3.15.1+torch/torch.grad.trainable-false.train",
        "keras@2.3.1/k-function.train",
    ],
)
def test_modes_that_leave_the_network_unchanged(cells: Cells, mode: str) -> None:
    assert ["clean"] == cells[f"{mode}/seed-batch/gradient"]["findings"]


@pytest.mark.large
@pytest.mark.parametrize("release", ["2.15.1", "2.21.0"])
def test_recomputation_updates_twice_forward_and_backward(cells: Cells, release: str) -> None:
    update = cells[f"tensorflow@{release}/recompute.train/seed-batch/gradient"]["update"]
    assert ("both", 2) == (update["when"], update["count"])


@pytest.mark.large
@pytest.mark.parametrize(
    "mode",
    [
        "tensorflow@2.21.0/inside.train",
        "keras@3.15.1/tf.tape.inside.train",
        "keras@3.15.1+torch/torch.grad.inside.train",
    ],
)
def test_keras_3_trains_a_nested_network_called_for_inference(cells: Cells, mode: str) -> None:
    assert ["leak", "mode-ignored"] == cells[f"{mode}/seed-batch/gradient"]["findings"]


@pytest.mark.large
def test_a_training_call_under_jax_grad_poisons_the_network(cells: Cells) -> None:
    assert "poisoned" in cells["keras@3.15.1+jax/jax.grad.train/seed-batch/gradient"]["findings"]


@pytest.mark.large
def test_the_torch_modules_mode_does_not_set_the_networks_mode(cells: Cells) -> None:
    assert ["mode-ignored"] == cells["keras@3.15.1+torch/torch.grad.module-train/seed-batch/gradient"]["findings"]


@pytest.mark.large
@pytest.mark.parametrize("mode", ["train.updates", "eval.updates"])
def test_keras_2_has_its_own_variance_correction(cells: Cells, mode: str) -> None:
    cell = cells[f"keras@2.3.1/k-function.{mode}/seed-batch/gradient"]
    assert ["leak"] == cell["findings"]
    assert ("keras-2", 1) == (cell["update"]["variance"], cell["update"]["count"])


@pytest.mark.large
def test_keras_2_on_theano_has_a_negative_variance_for_one_row(cells: Cells) -> None:
    batch, row = (
        cells[f"keras@2.3.1+theano/k-function.train.updates/{network}/gradient"] for network in ("seed-batch", "seed")
    )
    assert ["keras-2-theano"] * 2 == [batch["update"]["variance"], row["update"]["variance"]]
    assert [0.8, 0.8] == pytest.approx(row["tensors"]["bn.variance"]["after"], abs=1e-5)


@pytest.mark.large
@pytest.mark.parametrize(
    ("mode", "average"),
    [
        ("tensorflow@2.21.0/tape-renorm.train", "renormalized"),
        ("tensorflow@2.15.1/tape-renorm.train", "renormalized"),
        ("tensorflow@2.15.1/graph-renorm.train.update-ops", "renormalized"),
        ("tensorflow@1.15.5/contrib-renorm.train.update-ops", "renormalized"),
        ("tensorflow@1.4.1/graph-renorm.train.update-ops", "renormalized-twice"),
        ("tensorflow@1.4.1/contrib-renorm.train.update-ops", "renormalized-twice"),
        ("keras@3.15.1/tf.tape.renorm.train", "renormalized"),
        ("keras@3.15.1+jax/jax.grad.stateless.renorm.train.adopted", "renormalized"),
        ("keras@3.15.1+torch/torch.grad.renorm.train", "renormalized"),
    ],
)
def test_batch_renormalization_has_a_law_and_a_gradient(cells: Cells, mode: str, average: str) -> None:
    cell = cells[f"{mode}/seed-batch/gradient"]
    assert ["clean" if mode.endswith("adopted") else "leak"] == cell["findings"]
    assert (average, 1) == (cell["update"]["average"], cell["update"]["count"])
    assert any(name.partition(":")[0].endswith("renorm_stddev") for name in cell["tensors"])  # bn/renorm_stddev:0


@pytest.mark.large
@pytest.mark.parametrize(
    "mode", ["tensorflow@2.21.0/tape-renorm.eval", "tensorflow@1.4.1/graph-renorm.eval.update-ops"]
)
def test_batch_renormalization_predicts_like_batch_normalization(cells: Cells, mode: str) -> None:
    assert ["clean"] == cells[f"{mode}/seed-batch/gradient"]["findings"]


#: Export mode -> its findings, for `conv` and for `seed-batch`.
ONNX: dict[str, tuple[list[str], list[str]]] = {
    "tensorflow@2.21.0+tf2onnx/export.onnx.function.eval": ([], []),
    "tensorflow@2.21.0+tf2onnx/export.onnx.function.train": ([], []),
    "tensorflow@2.21.0+tf2onnx/export.onnx.keras": ([], []),
    "tensorflow@2.21.0+tf2onnx/export.onnx.method": ([], []),
    "tensorflow@2.15.1+tf2onnx/export.onnx.function.eval": ([], []),
    # tf2onnx warns of fused batch normalizations in training mode, and writes them as in inference mode.
    "tensorflow@2.15.1+tf2onnx/export.onnx.function.train": (["export-changed"], []),
    "tensorflow@2.15.1+tf2onnx/export.onnx.keras": ([], []),
    "tensorflow@1.15.5+tf2onnx/export.onnx.graph.eval": ([], []),
    "tensorflow@1.15.5+tf2onnx/export.onnx.graph.train": ([], []),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    """Exports by tf2onnx, imported by ONNX Runtime."""
    folder = tmp_path_factory.mktemp("tf2onnx")
    targets = [
        "tensorflow@2.21.0+tf2onnx",
        "tensorflow@2.15.1+tf2onnx",
        "tensorflow@1.15.5+tf2onnx",
        "onnxruntime@newest",
    ]
    modes = ["export.onnx.*", "file*"]
    run(Job(targets, networks=["conv", "seed-batch"], modes=modes, trials=1, out=folder), SilentProgress())
    return read_cells(folder)


@pytest.mark.large
@pytest.mark.parametrize("mode", ONNX)
def test_tf2onnx_writes_the_requested_mode_unless_it_warns(exported: Cells, mode: str) -> None:
    result = [exported[f"{mode}/{network}/export"] for network in ("conv", "seed-batch")]
    assert [findings or ["clean"] for findings in ONNX[mode]] == [cell["findings"] for cell in result]
    assert all(cell["exported"]["file"] and not cell["exported"]["foreign"] for cell in result)


@pytest.mark.large
def test_every_file_of_tf2onnx_is_read(exported: Cells) -> None:
    read = [cell for cell in exported.values() if cell["runtime"] == "onnxruntime" and cell["asks"] == "prediction"]
    assert {("ok", "clean")} == {(cell["status"], *cell["findings"]) for cell in read}
    assert len({cell["network"] for cell in read}) >= len(ONNX)
