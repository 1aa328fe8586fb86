"""Users' files of other formats than ONNX: exported by their runtime, asked about as they are, or refused in a line."""

from __future__ import annotations

import io
import pickle
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from crosscheck.cells import Array
from crosscheck.commands.inspect import inspect
from crosscheck.conversion import load
from crosscheck.errors import NetworkError, UsageError
from crosscheck.job import Job, run
from crosscheck.matrix.plan import planned_cell
from crosscheck.matrix.selection import targets
from crosscheck.networks import FileOptions, Network
from crosscheck.oracle import predict
from crosscheck.records.versions import cell_of
from crosscheck.reduce import Request, reduce
from crosscheck.runtimes.catalog import catalog
from crosscheck.script.writer import NoScript, composed
from tests.conftest import Cells, SilentProgress, read_cells

FILES = Path(__file__).parent / "own_formats"
GLUON, CHECKPOINT = FILES / "gluon-symbol.json", FILES / "checkpoint-symbol.json"
GLUON_SIZES = FileOptions({"data": (4, 2, 4, 4)})
CHECKPOINT_SIZES = FileOptions({"data": (4, 5)})
#: One thread: whether work that nobody waits for is late is another question.
MXNET = "mxnet@1.9.1+naive-engine"


def measured(
    what: Sequence[str], file: Path, options: FileOptions, out: Path, modes: Sequence[str] = ("own.*",)
) -> Cells:
    """The cells of a run about a file, by runtime and mode."""
    job = Job(what=what, networks=[str(file)], modes=modes, trials=1, out=out, options=options)
    run(job, SilentProgress())
    return {f"{cell['runtime']} {cell['mode']}": cell for cell in read_cells(out).values()}


def found(cells: Cells) -> dict[str, list[str]]:
    """The findings of each cell. One that was not measured fails."""
    assert {} == {name: cell["reason"] for name, cell in cells.items() if cell["status"] != "ok"}
    return {name: cell["findings"] for name, cell in cells.items()}


def said(network: Network) -> list[str]:
    assert network.own is not None
    return [sentence.partition(": ")[2] for sentence in network.own.said]


def prediction(network: Network) -> Array:
    return predict(network.graph, network.weights, network.x)


# MXNet


def test_what_gluon_exports_is_a_network_and_a_file() -> None:
    network = load(str(GLUON), GLUON_SIZES)
    (norm,) = network.batch_norms
    assert network.name.startswith("gluon-")
    assert ("data", (4, 2, 4, 4)) == (network.graph["inputs"][0]["name"], network.x.shape)
    assert (float(np.float32(1e-3)), float(np.float32(0.9))) == (norm.epsilon, norm.momentum)
    assert ["Apache MXNet 1.9.1 exports it to ONNX, which other runtimes get."] == said(network)
    assert ("--network", str(GLUON), "--shape", "data=4,2,4,4") == network.words


def test_gluons_network_leaks_in_training_mode_and_in_no_other(tmp_path: Path) -> None:
    cells = measured(
        [MXNET, "onnxruntime@newest"],
        GLUON,
        GLUON_SIZES,
        tmp_path,
        ["own.*.predict", "own.*.train.default", "own.*.eval.eval", "file", "file-batch-gradient"],
    )
    assert {
        "mxnet own.executor.predict": ["clean"],
        "mxnet own.executor.train.default": ["leak"],
        "mxnet own.executor.eval.eval": ["clean"],
        "mxnet own.gluon.predict": ["clean"],
        "mxnet own.gluon.train.default": ["leak"],
        "mxnet own.gluon.eval.eval": ["clean"],
        "onnxruntime file": ["clean"],
        "onnxruntime file-batch-gradient": ["clean"],
    } == found(cells)
    trained = cells["mxnet own.gluon.train.default"]
    assert ("backward", pytest.approx(0.9)) == (trained["update"]["when"], trained["update"]["momentum"])
    assert trained["call"].startswith('sym, arg_params, aux_params = mx.model.load_checkpoint("network", 0)\n')


def test_a_checkpoint_is_taken_without_its_loss_and_with_gamma_fixed_to_one(tmp_path: Path) -> None:
    network = load(str(CHECKPOINT), CHECKPOINT_SIZES)
    (norm,) = network.batch_norms
    np.testing.assert_array_equal(np.ones(4), network.weights[norm.scale])
    np.testing.assert_allclose(prediction(network).sum(axis=1), 1, rtol=1e-6)
    cells = measured(
        [MXNET],
        CHECKPOINT,
        CHECKPOINT_SIZES,
        tmp_path,
        ["own.gluon.predict", "own.gluon.train.default", "own.gluon.eval.eval"],
    )
    assert {
        "mxnet own.gluon.predict": ["clean"],
        "mxnet own.gluon.train.default": ["leak"],
        "mxnet own.gluon.eval.eval": ["clean"],
    } == found(cells)


def test_parameters_name_their_symbol_and_a_copy_is_the_same_network(tmp_path: Path) -> None:
    for part in ("symbol.json", "0003.params"):
        shutil.copy(FILES / f"checkpoint-{part}", tmp_path / f"other-{part}")
    shutil.copy(FILES / "checkpoint-0003.params", tmp_path / "other-0001.params")
    one, other = (load(str(path), CHECKPOINT_SIZES) for path in (CHECKPOINT, tmp_path / "other-0001.params"))
    assert one.name.partition("-")[2] == other.name.partition("-")[2]
    symbol = load(str(tmp_path / "other-symbol.json"), CHECKPOINT_SIZES)
    first = f"other-0003.params is taken; --network {tmp_path / 'other-0001.params'} takes another."
    assert [first, "Apache MXNet 1.9.1 exports it to ONNX, which other runtimes get."] == said(symbol)


def test_a_symbol_without_parameters_or_sizes_is_a_line(tmp_path: Path) -> None:
    with pytest.raises(NetworkError) as sizes:
        load(str(GLUON))
    assert f"{GLUON}: input 'data' has no sizes in the file; give them by --shape data=1,3,224,224." == str(sizes.value)
    alone = tmp_path / "alone-symbol.json"
    shutil.copy(GLUON, alone)
    with pytest.raises(NetworkError) as parameters:
        load(str(alone))
    assert f"{alone}: alone-0000.params is missing beside it; an MXNet network needs both." == str(parameters.value)


def test_a_file_that_its_runtime_cannot_export_is_a_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken-symbol.json"
    broken.write_text('{"nodes": []}')
    shutil.copy(FILES / "gluon-0000.params", tmp_path / "broken-0000.params")
    with pytest.raises(NetworkError, match=r"broken-symbol.json: mxnet@1.9.1\+onnx cannot export it to ONNX \(.*\)\.$"):
        load(str(broken), GLUON_SIZES)


def test_a_file_as_it_is_has_no_script_and_is_not_reduced(tmp_path: Path) -> None:
    cells = measured([MXNET], GLUON, GLUON_SIZES, tmp_path, ["own.gluon.predict"])
    (cell,) = cells.values()
    with pytest.raises(NoScript, match="was read from a file of your own as it is"):
        composed(cell_of(cell), load(str(GLUON), GLUON_SIZES))
    from rich.console import Console

    request = Request(cell["id"], tmp_path / "reduced", run=tmp_path, network=str(GLUON), options=GLUON_SIZES)
    with pytest.raises(UsageError, match="is about a file as it is"):
        reduce(Console(file=io.StringIO()), request)


def test_inspect_counts_the_ways_of_asking_about_the_file_as_it_is() -> None:
    lines = {line[:24].strip(): line[24:] for line in inspect(str(GLUON), GLUON_SIZES)}
    (target,) = targets(["mxnet@newest"], catalog(), everything=False)
    network = load(str(GLUON), GLUON_SIZES)
    asked = [mode for mode in target.runtime.modes if mode.native and mode.default]
    assert 8 == len(asked)
    assert {""} == {
        planned_cell(target, mode, network, "gradient", (), trials=1).refused or ""  # type: ignore[arg-type]
        for mode in asked
    }
    assert lines["mxnet"].startswith("1.9.1: ")
    assert " not, " not in lines["mxnet"]


# Refusals


class Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.write_text, (self.path, "ran")


@pytest.mark.parametrize("ending", [".pt", ".pth"])
def test_a_pickle_is_refused_and_not_opened(ending: str, tmp_path: Path) -> None:
    file, written = tmp_path / f"net{ending}", tmp_path / "written"
    file.write_bytes(pickle.dumps(Runs(written)))
    with pytest.raises(NetworkError) as refused:
        load(str(file))
    assert (
        f"{file}: is pickled, and code in it runs when it is opened; give --trust if you know where it comes from. "
        "PyTorch alone opens it, in a process of its own." == str(refused.value)
    )
    assert not written.exists()


def archive(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        for name, content in files.items():
            made.writestr(name, content)
    return path


def test_lambda_layers_and_objects_in_programs_are_refused(tmp_path: Path) -> None:
    layer = '{"class_name": "Lambda", "config": {}}'
    hdf5 = tmp_path / "net.h5"
    hdf5.write_bytes(b"\x89HDF\r\n" + layer.encode())
    files = {
        archive(tmp_path / "net.keras", {"config.json": layer}): "has a Lambda layer, whose code runs",
        hdf5: "has a Lambda layer, whose code runs",
        archive(tmp_path / "net.pt2", {"net/data/constants/opaque_obj_0": ""}): "has pickled objects in it, and code",
    }
    for file, reason in files.items():
        with pytest.raises(NetworkError) as refused:
            load(str(file))
        assert str(refused.value).startswith(f"{file}: {reason}")
        assert "give --trust" in str(refused.value)


def test_other_files_and_folders_are_told_what_is_taken(tmp_path: Path) -> None:
    taken = (
        "it takes ONNX (*.onnx), an MXNet network (*-symbol.json), a Keras network (*.keras), a Keras network in HDF5 "
        "(*.h5), a SavedModel (a folder), a program of torch.export (*.pt2), a pickled torch module (*.pth)."
    )
    file = tmp_path / "net.bin"
    file.write_text("")
    for path, kind in ((tmp_path, "folder"), (file, "file")):
        with pytest.raises(NetworkError) as refused:
            run(Job(what=["onnx@newest"], networks=[str(path)], out=tmp_path / "out"), SilentProgress())
        assert f"{path}: is no {kind} that crosscheck takes; {taken}" == str(refused.value)


@pytest.mark.parametrize("ending", [".pt2", ".keras", "-symbol.json"])
def test_a_name_that_is_too_long_is_missing(ending: str) -> None:
    name = "n" * 10_000 + ending
    with pytest.raises(NetworkError) as refused:
        load(name)
    assert f"{name}: the file is missing; check the path." == str(refused.value)


def test_trust_is_an_option_of_the_file() -> None:
    assert ("--trust",) == FileOptions.parsed((), trust=True).words


def test_a_mode_that_the_release_lacks_needs_no_program_of_the_network() -> None:
    """A file as it is has no lowered graph that such a mode's source could be written of."""
    (target,) = targets(["tensorflow@newest"], catalog(), everything=False)
    mode = next(mode for mode in target.runtime.modes if mode.name == "graph.train")
    network = load(str(GLUON), GLUON_SIZES)
    planned = planned_cell(target, mode, network, "gradient", (), trials=1)  # type: ignore[arg-type]
    assert "graph.train is there until 2.15.1" == planned.lacking


# Large runtimes


@pytest.mark.large
def test_a_program_of_torch(tmp_path: Path) -> None:
    file = FILES / "program.pt2"
    assert 1 == len(load(str(file)).batch_norms)
    assert {
        "torch own.program.predict": ["clean"],
        "torch own.program.grad": ["clean"],
        "torch own.program.train": ["leak"],
    } == found(measured(["torch@2.13.0"], file, FileOptions(), tmp_path))


@pytest.mark.large
def test_what_is_pickled_beside_a_program_is_not_executed(tmp_path: Path) -> None:
    file, written = tmp_path / "net.pt2", tmp_path / "written"
    with zipfile.ZipFile(FILES / "program.pt2") as whole, zipfile.ZipFile(file, "w") as changed:
        for name in whole.namelist():
            samples = name.endswith("sample_inputs/model.pt")
            changed.writestr(name, pickle.dumps(Runs(written)) if samples else whole.read(name))
    with pytest.raises(NetworkError, match="has other pickled objects than tensors in it; give --trust"):
        load(str(file))
    assert not written.exists()


@pytest.mark.large
def test_a_trusted_module_of_torch_is_the_network_of_its_program() -> None:
    options = FileOptions({"input": (4, 5)}, trust=True)
    module, program = load(str(FILES / "module.pt"), options), load(str(FILES / "program.pt2"))
    assert 1 == len(module.batch_norms)
    np.testing.assert_allclose(prediction(module), prediction(program), rtol=1e-12)


@pytest.mark.large
def test_a_keras_network(tmp_path: Path) -> None:
    file = FILES / "network.keras"
    (norm,) = load(str(file)).batch_norms
    assert np.float32(0.9) == norm.momentum
    found_in = found(measured(["tensorflow@2.21.0", "keras@3.15.1"], file, FileOptions(), tmp_path))
    modes = {"predict": ["clean"], "tape.train": ["leak"], "tape.eval": ["clean"], "tape.unset": ["clean"]}
    assert {
        f"{prefix}.{mode}": findings
        for prefix in ("tensorflow own.keras", "keras own.tf")
        for mode, findings in modes.items()
    } == found_in


@pytest.mark.large
def test_a_saved_model(tmp_path: Path) -> None:
    """It has an endpoint for predictions alone, which does not train."""
    file = FILES / "saved"
    assert 1 == len(load(str(file)).batch_norms)
    cells = measured(["tensorflow@2.21.0"], file, FileOptions(), tmp_path)
    assert "refused" == cells.pop("tensorflow own.saved.tape.train")["status"]
    assert {
        "tensorflow own.saved.predict": ["clean"],
        "tensorflow own.saved.tape.serve": ["clean"],
    } == found(cells)
