"""Exchange of ONNX files: shared files, attribution of errors, and the report's table."""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from crosscheck import oracle
from crosscheck.cells import Asks, Observation, Status
from crosscheck.exchange.attribution import Origin, exported
from crosscheck.job import Job, Result, run
from crosscheck.judge import FileTruth, Truth
from crosscheck.judge.evaluator import evaluate
from crosscheck.judge.thresholds import CLOSED_FORM
from crosscheck.networks import load, write
from crosscheck.networks.onnx_files import digest_of, written_network
from crosscheck.onnx_models.domains import foreign_operators
from crosscheck.records.schema import validate
from crosscheck.report.exchange_table import ExchangeTable, Square, exchange
from crosscheck.report.reading import read_cells as read_judged
from crosscheck.report.reading import read_run
from crosscheck.runtimes.catalog import Runtime, load_runtime
from tests.conftest import Cells, SilentProgress, read_cells

FOLDER = Path(__file__).parent / "exchange_toy"
RELEASES = "toy@1.7.0..1.8.0"


def made(toy: Runtime, folder: Path, careless: bool) -> Runtime:
    """The exchange toy as a runtime named after the folder, with the toy's releases."""
    shutil.copytree(FOLDER, folder)
    shutil.copytree(toy.folder / "locks", folder / "locks")
    shutil.copy(toy.folder / "releases.toml", folder)
    modes = folder / "modes.py"
    modes.write_text(modes.read_text().replace("CARELESS = False", f"CARELESS = {careless}"))
    return load_runtime(folder)


@pytest.fixture(scope="module")
def runtimes(toy: Runtime, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Runtime]:
    folder = tmp_path_factory.mktemp("runtimes")
    return {name: made(toy, folder / name, name == "careless") for name in ("toy", "careless")}


@pytest.fixture(scope="module")
def out(runtimes: dict[str, Runtime], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two exporting releases; the newer one and a careless runtime import."""
    folder = tmp_path_factory.mktemp("out")
    job = Job([RELEASES, "careless@1.8.0"], networks=["conv"], modes=["export.*", "file*"], out=folder)
    run(job, SilentProgress(), runtimes)
    return folder


@pytest.fixture(scope="module")
def cells(out: Path) -> Cells:
    return read_cells(out)


@pytest.fixture(scope="module")
def table(out: Path) -> ExchangeTable:
    judged = read_judged(out / "cells.jsonl")
    result = exchange(read_run(out / "run.json", judged), judged)
    assert result is not None
    return result


def file_of(cells: Cells, mode: str, release: str = "1.8.0") -> str:
    """The name of the network in the file written by a mode of the toy."""
    return str(cells[f"toy@{release}/export.{mode}/conv/export"]["exported"]["network"])


def trip(cells: Cells, reader: str, mode: str, asked: str = "file") -> dict[str, Any]:
    """The trip of the file written by a mode of the toy, in a reader."""
    scenario = "predict-only" if asked == "file" else "gradient"
    read = cells[f"{reader}@1.8.0/{asked}/{file_of(cells, mode)}/{scenario}"]
    export = f"toy@1.8.0/export.{mode}/conv/export"
    (result,) = [item for item in read["exported"]["trips"] if item["cell"] == export]
    return dict(result)


def square(table: ExchangeTable, mode: str, reader: str) -> Square:
    """The table's square of a mode of the toy and a reader."""
    (row,) = [row for row in table.rows if f"export.{mode}" in {name for name, _, _ in row.writers}]
    (column,) = [index for index, item in enumerate(table.readers) if item.runtime == reader]
    return row.squares[column]


def test_every_line_conforms_to_the_schema(cells: Cells) -> None:
    for line in cells.values():
        validate(line)  # raises


@pytest.mark.parametrize("asked", ["file", "file-gradient"])
def test_a_correct_file_is_right_in_a_correct_reader(cells: Cells, asked: str) -> None:
    result = trip(cells, "toy", "right", asked)
    assert ("none", None) == (result["fault"], result["first_layer"])
    assert result["error"] <= CLOSED_FORM.value


@pytest.mark.parametrize("asked", ["file", "file-gradient"])
def test_a_wrong_epsilon_is_attributed_to_the_exporter(cells: Cells, asked: str) -> None:
    result = trip(cells, "toy", "wrong-epsilon", asked)
    assert ("exporter", "exporter", "bn2") == (result["fault"], result["side"], result["first_layer"]["node"])
    assert result["error"] > CLOSED_FORM.value


def test_a_wrong_file_is_not_attributed_to_its_reader(cells: Cells) -> None:
    assert ["clean"] == cells[f"toy@1.8.0/file/{file_of(cells, 'wrong-epsilon')}/predict-only"]["findings"]


def test_an_importers_error_names_its_first_wrong_layer(cells: Cells) -> None:
    result = trip(cells, "careless", "right")
    assert ("importer", "importer", "bn2") == (result["fault"], result["side"], result["first_layer"]["node"])


def test_a_reader_with_the_exporters_error_adds_none(cells: Cells) -> None:
    assert "exporter" == trip(cells, "careless", "wrong-epsilon")["fault"]


def test_an_ignored_scale_is_attributed_to_the_exporter(cells: Cells) -> None:
    """The file equals that of `right`, but its layers use a scale of 1."""
    assert file_of(cells, "right") == file_of(cells, "unit-scale")
    assert ("none", "exporter") == tuple(trip(cells, "toy", mode)["fault"] for mode in ("right", "unit-scale"))


def test_equal_files_are_one_network(cells: Cells, out: Path) -> None:
    name = file_of(cells, "right")
    assert {name} == {file_of(cells, mode, release) for mode in ("right", "twin") for release in ("1.7.0", "1.8.0")}
    assert name.startswith("conv.from.toy.")
    assert name.endswith(digest_of((out / "files" / f"{name}.onnx").read_bytes()))


def test_only_the_newest_release_of_a_runtime_reads(cells: Cells) -> None:
    readers = {(cell["runtime"], cell["release"]) for cell in cells.values() if cell["mode"].startswith("file")}
    assert {("toy", "1.8.0"), ("careless", "1.8.0")} == readers


def test_foreign_operators_are_named_and_have_no_gradient(cells: Cells) -> None:
    name = file_of(cells, "foreign")
    assert ["org.example.FastRelu"] == cells["toy@1.8.0/export.foreign/conv/export"]["exported"]["foreign"]
    gradient = cells[f"toy@1.8.0/file-gradient/{name}/gradient"]
    assert "refused" == gradient["status"]
    assert "FastRelu" in gradient["reason"]
    assert "refused" == cells[f"toy@1.8.0/file/{name}/predict-only"]["status"]


def test_an_invalid_file_is_not_read(cells: Cells) -> None:
    torn = cells["toy@1.8.0/export.torn/conv/export"]
    assert torn["exported"]["network"] is None
    assert "cannot be read as ONNX" in torn["exported"]["refusal"]
    assert ["export-changed"] == torn["findings"]


def test_a_readers_cell_has_the_command_that_reproduces_it(
    cells: Cells, runtimes: dict[str, Runtime], tmp_path: Path
) -> None:
    name = f"careless@1.8.0/file/{file_of(cells, 'wrong-epsilon')}/predict-only"
    words = cells[name]["reproduce"].split()
    assert words[:2] == ["crosscheck", "run"]
    pairs = list(itertools.pairwise(words))
    modes, networks, scenarios = (
        [value for option, value in pairs if option == wanted] for wanted in ("--mode", "--network", "--scenario")
    )
    what = [word for word in words if "@" in word]
    job = Job(what, networks=networks, modes=modes, scenarios=scenarios, out=tmp_path)
    run(job, SilentProgress(), runtimes)
    assert name in read_cells(tmp_path)


def test_every_square_of_the_table_has_a_verdict(table: ExchangeTable) -> None:
    assert "right" == square(table, "right", "toy").word
    assert "wrong: the exporter" == square(table, "wrong-epsilon", "toy").word
    assert "wrong: the importer" == square(table, "right", "careless").word
    assert "refused" == square(table, "foreign", "toy").word


def test_squares_have_both_errors_and_the_first_wrong_layer(table: ExchangeTable) -> None:
    parts = square(table, "wrong-epsilon", "toy").parts
    assert ["prediction", "gradient"] == [part.what for part in parts]
    assert all("bn2 (BatchNormalization)" in part.layer and float(part.error) > 1e-4 for part in parts)


def test_exports_with_equal_results_share_a_row(table: ExchangeTable) -> None:
    (row,) = [row for row in table.rows if "export.right" in {mode for mode, _, _ in row.writers}]
    assert [("export.right", "1.7.0, 1.8.0"), ("export.twin", "1.7.0, 1.8.0")] == [
        (mode, releases) for mode, _, releases in row.writers
    ]


def test_exports_without_a_file_have_a_row_with_the_reason(table: ExchangeTable) -> None:
    reasons = {mode: row.without for row in table.rows for mode, _, _ in row.writers}
    assert "the toy does not export that" in reasons["export.refused"]
    assert "cannot be read as ONNX" in reasons["export.torn"]


def test_the_page_links_every_square_to_its_cell(out: Path, table: ExchangeTable) -> None:
    page = (out / "report.html").read_text()
    assert '<h2 id="exchange">' in page
    for row in table.rows:
        for part in (part for item in row.squares for part in item.parts):
            assert f'href="#{part.target}"' in page
            assert f'id="{part.target}"' in page


@pytest.fixture
def again(runtimes: dict[str, Runtime], tmp_path: Path) -> Callable[..., Result]:
    def run_it(**options: Any) -> Result:
        return run(Job(["toy@1.8.0"], networks=["conv"], out=tmp_path, **options), SilentProgress(), runtimes)

    return run_it


def test_repeating_the_command_runs_nothing(again: Callable[..., Result], tmp_path: Path) -> None:
    options = {"modes": ["export.right", "file*"]}
    assert not again(**options).unchanged
    trials = json.loads((tmp_path / "run.json").read_text())["counts"]["trials"]
    assert again(**options).unchanged
    facts = json.loads((tmp_path / "run.json").read_text())
    assert 5 == trials == facts["counts"]["trials"]  # two of the export, one of each reading


@pytest.mark.parametrize(
    ("options", "scenarios"),
    [
        ({"modes": ["export.right"]}, {"export"}),
        ({"modes": ["export.right", "file"]}, {"export", "predict-only"}),
        ({"modes": ["export.right", "file*"], "scenarios": ["export"]}, {"export"}),
        ({"modes": ["export.right", "file*"], "scenarios": ["export", "gradient"]}, {"export", "gradient"}),
        ({"scenarios": ["export"]}, {"export"}),
    ],
)
def test_a_selection_selects_readers_too(
    again: Callable[..., Result], tmp_path: Path, options: dict[str, Any], scenarios: set[str]
) -> None:
    again(**options)
    assert scenarios == {cell["scenario"] for cell in read_cells(tmp_path).values()}


@pytest.mark.parametrize("asks", [Asks.PREDICTION, Asks.GRADIENT])
def test_a_file_in_training_form_is_compared_with_training_mode(asks: Asks) -> None:
    source = load("conv")
    content = write(source, 15, training=True).SerializeToString()
    truth = FileTruth(written_network(content, "conv.from.here.0", source))
    answer = np.asarray(truth.answer(asks, training=False), np.float32)
    key = "gradient/first" if asks is Asks.GRADIENT else "forward/first"
    row = Observation("undisturbed", Status.OK, None, (), {key: answer}, 0.01, 0.01, 0)
    origins = [Origin("e", source, source.weights, training) for training in (True, False)]
    trained, inferred = exported(truth, "file", asks, row, origins=origins).trips
    assert ("none", "exporter") == (trained.fault, inferred.fault)


def ending_in(operator: str, *inputs: str, opset: int = 15, **attributes: Any) -> FileTruth:
    """The closed forms of `conv` in a file with one more node, which crosscheck does not lower."""
    source = load("conv")
    model = write(source, opset)
    last = model.graph.output[0].name
    model.graph.node[-1].output[0] = "inner"
    model.graph.node.append(helper.make_node(operator, ["inner", *inputs], [last], name="end", **attributes))
    return FileTruth(written_network(model.SerializeToString(), "conv.from.here.0", source))


def test_a_file_that_cannot_be_lowered_has_the_answers_of_its_float64_evaluation_in_each_mode() -> None:
    source, truth = load("conv"), ending_in("Abs")
    assert truth.lowered is None
    assert "Abs (node 'end') is not supported" in str(truth.refusal)
    assert truth.known(Asks.PREDICTION)
    assert truth.known(Asks.GRADIENT)
    for training in (False, True):
        network = source.graph, source.weights, source.x
        predicted, differentiated = (truth.answer(asks, training) for asks in (Asks.PREDICTION, Asks.GRADIENT))
        inner = oracle.predict(*network, training)
        assert np.abs(inner) == pytest.approx(predicted, rel=1e-9, abs=1e-9)
        expected = oracle.gradient(*network, source.cotangent * np.sign(inner), training)
        assert expected == pytest.approx(differentiated, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2, 3], "pads": [1, 0, 1, 2], "dilations": [2, 1]},
        {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"strides": [2, 2], "pads": [1, 0, 0, 1]},
    ],
    ids=["plain", "all", "auto_pad", "pads"],
)
def test_convolutions_are_evaluated_as_by_onnx(op: str, attributes: dict[str, Any]) -> None:
    """Groups of transposed convolutions are left out: onnx's evaluator fails on them."""
    random = np.random.default_rng(0)
    weight, x = random.standard_normal((4, 4, 3, 2)), random.standard_normal((2, 4, 7, 6))
    made = onnx.helper.make_graph(
        [onnx.helper.make_node(op, ["x", "w"], ["y"], **attributes)],
        "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.DOUBLE, x.shape)],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.DOUBLE, None)],
        [onnx.numpy_helper.from_array(weight, "w")],
    )
    model = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", 15)], ir_version=8)
    expected: Any = onnx.reference.ReferenceEvaluator(model).run(None, {"x": x})
    np.testing.assert_allclose(evaluate(model, {"x": x}), expected, rtol=1e-12, atol=1e-12)


def test_a_gradient_that_cannot_be_evaluated_is_that_of_the_exported_network() -> None:
    """crosscheck has no rule for group normalization in opset 18, whose scale has a number a group."""
    norm = {"scale": np.ones(2, np.float32), "shift": np.zeros(2, np.float32)}
    source, truth = load("conv"), ending_in("GroupNormalization", *norm, opset=18, num_groups=2)
    truth.network.model.graph.initializer.extend(onnx.numpy_helper.from_array(norm[name], name) for name in norm)
    assert (True, False) == (truth.known(Asks.PREDICTION), truth.known(Asks.GRADIENT))
    for training in (False, True):
        expected = oracle.gradient(source.graph, source.weights, source.x, source.cotangent, training)
        assert expected == pytest.approx(truth.answer(Asks.GRADIENT, training))


def test_a_correct_file_is_not_refused_and_has_the_layers_of_its_source() -> None:
    source = load("conv")
    truth = FileTruth(written_network(write(source, 15).SerializeToString(), "conv.from.here.0", source))
    assert truth.refusal is None
    expected = Truth.of(source).layers(training=False)
    assert list(expected) == list(truth.layers(training=False))
    for name, value in truth.layers(training=False).items():
        assert expected[name] == pytest.approx(value, abs=1e-4)


def test_a_training_form_is_evaluated_with_its_new_statistics() -> None:
    source, truth = load("conv"), Truth.of(load("conv"))
    y, *statistics = evaluate(write(source, 15, training=True), {"x": source.x})
    assert oracle.predict(source.graph, source.weights, source.x, training=True) == pytest.approx(y, abs=1e-4)
    for norm, mean, variance in zip(source.batch_norms, statistics[::2], statistics[1::2], strict=True):
        before = oracle.Statistics(source.weights[norm.mean], source.weights[norm.variance])
        expected = oracle.updated(before, truth.batch_statistics[norm.node], norm.momentum)
        assert expected.mean == pytest.approx(mean, abs=1e-5)
        assert expected.variance == pytest.approx(variance, abs=1e-5)


def test_a_file_keeps_its_own_names() -> None:
    source = load("conv")
    content = source.model.SerializeToString()
    network = written_network(content, "conv.from.here.0", source)
    assert [node.output[0] for node in source.model.graph.node] == [
        node["outputs"][0] for node in network.graph["nodes"]
    ]
    assert [] == foreign_operators(network.model)
    assert network.digest != source.digest


def test_a_reader_that_skips_a_network_skips_its_files(runtimes: dict[str, Runtime], tmp_path: Path) -> None:
    spared = {**runtimes, "careless": dataclasses.replace(runtimes["careless"], only_when_named=("conv",))}
    asked = Job(["toy@1.8.0", "careless@1.8.0"], modes=["export.*", "file"], out=tmp_path)
    run(asked, SilentProgress(), spared)
    assert {"toy"} == {cell["runtime"] for cell in read_cells(tmp_path).values() if ".from." in cell["network"]}
    run(dataclasses.replace(asked, networks=["conv"]), SilentProgress(), spared)
    readers = {cell["runtime"] for cell in read_cells(tmp_path).values() if ".from." in cell["network"]}
    assert {"toy", "careless"} == readers
