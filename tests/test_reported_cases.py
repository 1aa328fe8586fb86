"""Small files of the make of public reports: what a user is told about each, by ONNX Runtime, by onnx and by messages.

The reports: tracel-ai/burn-onnx 53 (computed scale), microsoft/onnxruntime 12498 (grouped Add) and 12754 (rank 1) and
13057 and 10044 (several inputs and outputs), pytorch/pytorch 112831 (functions) and 115537 (shared parameters),
onnx/onnx 1440 (old opsets), openvinotoolkit/openvino 36831 (open sizes).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from crosscheck.cells import Scenario
from crosscheck.job import Job, run
from crosscheck.matrix.plan import Wanted, expand
from crosscheck.matrix.selection import targets
from crosscheck.networks import FileOptions, load
from crosscheck.runtimes.catalog import catalog
from tests.conftest import Cells, SilentProgress, read_cells
from tests.test_own_networks import CONV, convolution, integers, layer, model, node, norm, normal, with_function

NEWEST, FUSES_WRONGLY = "onnxruntime@1.32.0", "onnxruntime@1.12.1"


def fed_by(made: onnx.ModelProto, *names: str) -> onnx.ModelProto:
    """The model with some weights as inputs."""
    for tensor in [tensor for tensor in made.graph.initializer if tensor.name in names]:
        made.graph.initializer.remove(tensor)
        made.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return made


def two_times() -> onnx.ModelProto:
    """An image and a time step, whose dense layer is added to the channels."""
    nodes = [
        *convolution(),
        node("Gemm", "t tw tb", "e"),
        node("Unsqueeze", "e last", "e4"),
        node("Add", "n e4", "a"),
        node("Relu", "a", "r"),
        node("GlobalAveragePool", "r", "p"),
        node("Flatten", "p", "y"),
    ]
    weights = CONV | {"tw": normal(1, 4), "tb": normal(4), "last": integers(2, 3)}
    made = model(nodes, weights, ["N", 3, 6, 6])
    made.graph.input.append(helper.make_tensor_value_info("t", TensorProto.FLOAT, ["N", 1]))
    return made


def grouped_add() -> onnx.ModelProto:
    """A convolution in groups whose channels fill no block of ONNX Runtime's layout, then a constant."""
    weights = {"w": normal(136, 34, 1, 1), "wb": normal(136), "k": normal(1, 136, 4, 4, seed=2)}
    return model([node("Conv", "x w wb", "c", group=4), node("Add", "c k", "y")], weights, [1, 136, 4, 4], opset=13)


def heads() -> onnx.ModelProto:
    nodes = [*convolution(node("Relu", "n", "r")), node("Conv", "r wa", "boxes"), node("Conv", "r wc", "scores")]
    weights = CONV | {"wa": normal(4, 4, 1, 1), "wc": normal(2, 4, 1, 1)}
    return model(nodes, weights, ["N", 3, 6, 6], ("boxes", "scores"))


def shared(*names: str) -> onnx.ModelProto:
    """Two batch normalizations, of which the second has some parameters of the first."""
    second = norm("m", "y", "d")
    second.input[1:] = [f"b.{name.partition('.')[2]}" if name in names else name for name in second.input[1:]]
    weights = CONV | {"w2": normal(4, 4, 1, 1)} | layer("d", 4, 2)
    made = model([*convolution(node("Relu", "n", "r")), node("Conv", "r w2", "m"), second], weights, ["N", 3, 6, 6])
    unused = [tensor for tensor in made.graph.initializer if tensor.name in names]
    for tensor in unused:
        made.graph.initializer.remove(tensor)
    return made


def square() -> onnx.ModelProto:
    """Two dense layers that share one square weight, once transposed."""
    nodes = [node("Gemm", "x W", "t", transB=1), node("Gemm", "t W", "y")]
    return model(nodes, {"W": normal(8, 8)}, [1, 8], opset=13)


def of_opset(opset: int) -> onnx.ModelProto:
    """A convolution and a batch normalization in an opset before 7."""
    made = model(convolution(), CONV, [4, 3, 6, 6], ("n",), opset=8, ir=3)
    made.opset_import[0].version = opset
    (layer,) = [item for item in made.graph.node if item.op_type == "BatchNormalization"]
    layer.attribute.append(helper.make_attribute("is_test", 1))
    if opset == 1:
        layer.attribute.append(helper.make_attribute("consumed_inputs", [0, 0, 0, 1, 1]))
    return made


FILES: dict[str, onnx.ModelProto] = {
    "computed": model(
        [node("Mul", "g two", "s"), norm("x", "n"), node("Relu", "n", "y")],
        layer("b", 4) | {"g": normal(4), "two": normal(1)},
        ["N", 4, 3],
    ),
    "fed": fed_by(model([norm("x", "y")], layer("b", 4), ["N", 4, 3]), "b.scale", "b.bias", "b.mean", "b.var"),
    "function": with_function(),
    "open": model(convolution(node("Relu", "n", "y")), CONV, ["N", 3, "H", "W"]),
    "opset1": of_opset(1),
    "opset6": of_opset(6),
    "rank-one": model([norm("x", "y")], layer("b", 1), [10]),
    "grouped-add": grouped_add(),
    "heads": heads(),
    "same-bias": shared("d.scale", "d.bias"),
    "same-layer": shared("d.scale", "d.bias", "d.mean", "d.var"),
    "square": square(),
    "two-inputs": two_times(),
}
FILES["computed"].graph.node[1].input[1] = "s"
SIZES = {"x": (2, 3, 7, 5)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    for name, made in FILES.items():
        onnx.save(made, folder / f"{name}.onnx")
    return folder


@pytest.fixture(scope="module")
def cells(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Cells:
    """Cells by release, mode and the file's stem."""
    found: Cells = {}
    modes = ["file", "file-gradient", "file-batch-gradient", "file-training", "opset-15", "opset-15-gradient"]
    for release, names in ((NEWEST, sorted(FILES)), (FUSES_WRONGLY, ["grouped-add"])):
        out = tmp_path_factory.mktemp("run")
        networks = [str(folder / f"{name}.onnx") for name in names]
        job = Job([release], networks=networks, modes=modes, scenarios=["gradient", "predict-only"], trials=1, out=out)
        run(job, SilentProgress())
        for cell in read_cells(out).values():
            found[f"{release} {cell['mode']} {cell['network'].rpartition('-')[0]}"] = cell
    return found


def told(cell: dict[str, Any]) -> list[str]:
    return cell["findings"] or [cell["status"]]


def ways() -> Iterator[tuple[str, str, list[str]]]:
    """(file, mode, findings) in the newest ONNX Runtime."""
    for name in FILES:
        old, normed = name.startswith("opset"), name not in ("grouped-add", "square")
        refused = ["refused"]  # by the runtime: it has batch normalization from opset 7 on
        for mode in ("file", "file-gradient", "file-batch-gradient"):
            yield name, mode, refused if old else ["clean"]
        yield name, "file-training", refused if old or not normed else ["clean"]
        # The time step differs from row to row, so that it is no constant of the lowered network.
        for mode in ("opset-15", "opset-15-gradient") if name != "two-inputs" else ():
            yield name, mode, ["clean"]


@pytest.mark.parametrize(("name", "mode", "expected"), [pytest.param(*way, id=f"{way[0]}-{way[1]}") for way in ways()])
def test_a_file_is_asked_as_it_is_and_as_it_was_lowered(
    cells: Cells, name: str, mode: str, expected: list[str]
) -> None:
    assert expected == told(cells[f"{NEWEST} {mode} {name}"])


def test_a_release_that_fuses_a_grouped_convolution_wrongly_is_named(cells: Cells) -> None:
    """It does so where the number of rows is fixed: only the file as it is shows it, since forms have an open batch."""
    assert {"file": ["wrong-prediction"], "opset-15": ["clean"]} == {
        mode: told(cells[f"{FUSES_WRONGLY} {mode} grouped-add"]) for mode in ("file", "opset-15")
    }


def test_runtimes_get_the_file_byte_for_byte(folder: Path) -> None:
    network = load(str(folder / "function.onnx")).as_it_is
    assert network is not None
    assert network.file is not None
    assert (folder / "function.onnx").read_bytes() == network.file.content


def test_the_chosen_output_comes_first(folder: Path) -> None:
    by_name = load(str(folder / "heads.onnx"), FileOptions(output="scores"))
    assert by_name.as_it_is is not None
    assert by_name.as_it_is.file is not None
    content = onnx.load_from_string(by_name.as_it_is.file.content)
    assert ["scores", "boxes"] == [item.name for item in content.graph.output]
    assert (4, 2, 6, 6) == by_name.cotangent.shape == by_name.as_it_is.cotangent.shape


def test_sizes_are_those_that_the_user_gives(folder: Path) -> None:
    network = load(str(folder / "open.onnx"), FileOptions(shapes=SIZES))
    assert SIZES["x"] == network.x.shape


def test_values_of_a_file_stand_for_drawn_ones(folder: Path, tmp_path: Path) -> None:
    values = {"x": normal(2, 3, 6, 6), "t": normal(2, 1), "cotangent": normal(2, 4)}
    np.savez(tmp_path / "values.npz", allow_pickle=False, **values)
    options = FileOptions(batch=2, samples=(str(tmp_path / "values.npz"),))
    network = load(str(folder / "two-inputs.onnx"), options).as_it_is
    assert network is not None
    for name, value in {"x": network.x, "t": network.weights["t"], "cotangent": network.cotangent}.items():
        assert np.array_equal(values[name], value)


def test_half_precision_is_measured_as_it_is(tmp_path: Path) -> None:
    """float16, which cannot be lowered: the network of the file has its type."""
    weights = {name: value.astype(np.float16) for name, value in layer("b", 4).items()}
    made = model([norm("x", "y")], {}, ["N", 4])
    made.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items())
    for item in (*made.graph.input, *made.graph.output):
        item.type.tensor_type.elem_type = TensorProto.FLOAT16
    onnx.save(made, tmp_path / "half.onnx")
    network = load(str(tmp_path / "half.onnx"))
    assert network.file is not None
    assert {"float16"} == {str(network.x.dtype), str(network.cotangent.dtype)}


def test_a_large_network_is_asked_about_in_fewer_trials(tmp_path: Path) -> None:
    (target,) = targets([NEWEST], catalog(), everything=False)
    plans = {}
    for width in (8, 1200):
        made = model(
            [norm("x", "n"), node("Gemm", "n W", "y")], layer("b", width) | {"W": normal(width, width)}, ["N", width]
        )
        onnx.save(made, tmp_path / f"{width}.onnx")
        network = load(str(tmp_path / f"{width}.onnx"))
        plans[width] = expand([target], [network], Wanted(networks=[network.name]))
    trials: dict[int, dict[Scenario, list[str]]] = {
        width: {
            cell.cell.scenario: [trial.reading for trial in cell.trials]
            for cell in plan
            if cell.mode.name == "opset-15-gradient"
        }
        for width, plan in plans.items()
    }
    assert {Scenario.GRADIENT: ["undisturbed", "timed"]} == trials[1200]
    assert {Scenario.GRADIENT, Scenario.ORDER, Scenario.SIBLING} == trials[8].keys()
    assert ["undisturbed", "undisturbed", "timed"] == trials[8][Scenario.GRADIENT][:3]


def test_a_further_input_has_the_shape_that_the_user_gives(tmp_path: Path) -> None:
    """Its axes have no names, so that nothing else says them."""
    made = model([node("Add", "x t", "y")], {}, ["N", 3])
    made.graph.input.append(helper.make_tensor_value_info("t", TensorProto.FLOAT, [None, None]))
    onnx.save(made, tmp_path / "two.onnx")
    network = load(str(tmp_path / "two.onnx"), FileOptions(shapes={"t": (1, 3)})).as_it_is
    assert network is not None
    assert (1, 3) == network.weights["t"].shape


def test_every_form_of_a_large_network_reaches_its_trials(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are written when the first trial needs them, by then the server has read the network's folder."""
    monkeypatch.setattr("crosscheck.networks.network.LARGE", 10)
    modes = ["opset-9", "opset-15", "opset-15-gradient", "file", "file-gradient"]
    job = Job([NEWEST], networks=[str(folder / "function.onnx")], modes=modes, out=tmp_path)
    run(job, SilentProgress())
    found = {cell["mode"]: cell for cell in read_cells(tmp_path).values()}
    assert {mode: ["clean"] for mode in modes} == {mode: told(cell) for mode, cell in found.items()}
    readings = {trials["reading"] for cell in found.values() for trials in cell["trials"]}
    assert {"undisturbed", "timed"} == readings  # as it is large
