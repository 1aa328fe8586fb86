"""LiteRT, whose networks are files that TensorFlow made: they ship with the networks of which they were made."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from crosscheck.job import Job, run
from crosscheck.matrix.plan import Wanted, expand
from crosscheck.matrix.selection import targets
from crosscheck.networks import load, names
from crosscheck.runtimes.catalog import catalog
from crosscheck.runtimes.litert.signatures import FILE, READOUT, SIGNATURES, STATE
from tests.conftest import Cells, SilentProgress, read_cells

LITERT = "litert@2.3.0"
#: Bytes of a file of a shipped network, at most.
LARGEST = 300_000


@pytest.mark.parametrize("name", names())
def test_every_shipped_network_has_a_small_file_with_the_signatures_that_are_called(name: str) -> None:
    network = load(name)
    content = network.shipped[FILE].read_bytes()
    assert b"TFL3" == content[4:8]
    assert len(content) <= LARGEST
    called = [*SIGNATURES, *(STATE if network.batch_norms else ())]
    called += [READOUT + signature for signature in SIGNATURES] if network.target is not None else []
    assert [signature for signature in called if signature.encode() not in content] == []


def test_a_network_of_ones_own_is_refused_in_a_sentence_that_says_what_to_do() -> None:
    own = load(str(Path(__file__).parents[1] / "models" / "seed-batch" / "network.onnx"))
    cells = expand(
        targets([LITERT], catalog(), everything=False), [own], Wanted(modes=["train.gradient"], scenarios=["gradient"])
    )
    assert cells
    for cell in cells:
        assert cell.refused is not None
        assert "takes TensorFlow's converter" in cell.refused
        assert "models/make_tflite.py" in cell.refused
        assert () == cell.trials


def measured(folder: Path, what: str, networks: list[str], scenario: str, modes: list[str]) -> Cells:
    """Every cell of these modes."""
    job = Job([what], networks=networks, modes=modes, scenarios=[scenario], everything=True, trials=1, out=folder)
    run(job, SilentProgress())
    return read_cells(folder)


@pytest.fixture(scope="module")
def litert(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    networks = ["seed", "seed-batch", "conv-norm", "conv-norm-plain"]
    return measured(tmp_path_factory.mktemp("litert"), LITERT, networks, "gradient", ["*"])


@pytest.mark.parametrize("mode", ["train.gradient", "train.gradient-reset", "compiled.train.gradient"])
@pytest.mark.parametrize("network", ["seed-batch", "conv-norm"])
def test_a_training_signature_moves_the_statistics_that_other_signatures_read(
    litert: Cells, mode: str, network: str
) -> None:
    cell = litert[f"{LITERT}/{mode}/{network}/gradient"]
    assert ["leak"] == cell["findings"]
    assert (1, "biased") == (cell["update"]["count"], cell["update"]["variance"])
    assert cell["update"]["momentum"] == pytest.approx(0.9, abs=1e-5)


def test_a_training_signature_reproduces_the_example_of_2017(litert: Cells) -> None:
    cell = litert[f"{LITERT}/train.gradient/seed/gradient"]
    assert [pytest.approx([0.284447, 0.379263], abs=1e-6)] == cell["prediction_after"]


@pytest.mark.parametrize("mode", ["gradient", "compiled.gradient", "train.gradient-restored", "train.gradient-apart"])
@pytest.mark.parametrize("network", ["seed", "seed-batch", "conv-norm"])
def test_inference_signatures_own_interpreters_and_assigned_statistics_are_clean(
    litert: Cells, mode: str, network: str
) -> None:
    assert ["clean"] == litert[f"{LITERT}/{mode}/{network}/gradient"]["findings"]


def test_nothing_moves_without_batch_normalization(litert: Cells) -> None:
    controls = {
        name: cell["findings"] for name, cell in litert.items() if f"{LITERT}/" in name and "/conv-norm-plain/" in name
    }
    assert len(controls) == 7
    assert {("clean",)} == {tuple(findings) for findings in controls.values()}


def test_a_second_interpreter_has_variables_of_its_own(tmp_path: Path) -> None:
    cells = measured(tmp_path, LITERT, ["seed-batch"], "sibling", ["train.gradient"])
    assert ["clean"] == cells[f"{LITERT}/train.gradient/seed-batch/sibling"]["findings"]


@pytest.mark.large
@pytest.mark.parametrize("target", ["litert@1.0.0", LITERT])
def test_all_shipped_networks_predict_like_the_oracle(target: str, tmp_path: Path) -> None:
    cells = measured(tmp_path, target, list(names()), "predict-only", ["predict"])
    plain = {name: cell for name, cell in cells.items() if "+" not in name}
    assert set(names()) == {cell["network"] for cell in plain.values()}
    assert {("ok", ("clean",))} == {(cell["status"], tuple(cell["findings"])) for cell in plain.values()}


@pytest.mark.large
def test_the_shipped_files_are_what_their_maker_makes_of_the_networks(tmp_path: Path) -> None:
    asked = ["conv-norm", "seed"]
    words = ["uv", "run", "--quiet", "make_tflite.py", "--out", str(tmp_path), *asked]
    subprocess.run(words, cwd=Path(__file__).parents[1] / "models", check=True, capture_output=True)
    for name in asked:
        assert load(name).shipped[FILE].read_bytes() == (tmp_path / f"{name}.tflite").read_bytes(), name
