"""A runtime that exports hostile files: the run ends, the cell of each says what is wrong, the others are judged."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from crosscheck.networks import load, write
from crosscheck.records.schema import validate
from crosscheck.runtimes.catalog import Runtime
from tests.conftest import Cells, read_cells
from tests.fuzz.bombs import BOMBS

TOY = Path(__file__).parent / "exchange_toy"
#: Bytes that the process of a run may take: some for itself, and what reading a small file may take.
MOST = 2 * 2**30
#: Seconds of the processor's time in which the run ends, beside those of its trials.
SECONDS = 60
#: Runs the toy of a folder, and prints the exit code and how many bytes the run took.
RUN = """
import json, resource, sys
from pathlib import Path
from crosscheck import cli, job
from crosscheck.runtimes import known
from crosscheck.runtimes.catalog import load_runtime
folder, out, *words = sys.argv[1:]
toy = {"toy": load_runtime(Path(folder))}
job.catalog, known.check_names = lambda: toy, lambda words: None
code = cli.main(["run", "toy@1.8.0", "--network", "conv", "--jobs", "1", "--memory-limit", "1", "--out", out, *words])
print(json.dumps([code, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""

Change = Callable[[onnx.GraphProto], object]


def exported(change: Change = lambda graph: None) -> bytes:
    """The file of a correct export of `conv`, after a change."""
    model = write(load("conv"), 15)
    change(model.graph)
    return bytes(model.SerializeToString())


def terabytes(graph: onnx.GraphProto) -> None:
    graph.initializer[0].ClearField("raw_data")
    graph.initializer[0].dims[:] = [2**20, 2**20, 4]


def pool(name: str, value: object) -> Change:
    """Another attribute of the pool."""

    def change(graph: onnx.GraphProto) -> None:
        (node,) = [node for node in graph.node if node.op_type == "MaxPool"]
        for item in [item for item in node.attribute if item.name == name]:
            node.attribute.remove(item)
        node.attribute.append(helper.make_attribute(name, value))

    return change


def elsewhere(location: str) -> Change:
    """The first weight in another file."""

    def change(graph: onnx.GraphProto) -> None:
        tensor = graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    return change


def bomb(name: str) -> Change:
    """A constant that a few numbers make large, whose largest number is added to the output."""

    def change(graph: onnx.GraphProto) -> None:
        nodes, constants = BOMBS[name]
        graph.initializer.extend(numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items())
        graph.node.extend(nodes)
        graph.node.append(helper.make_node("ReduceMax", ["large"], ["largest"], keepdims=0))
        graph.node.append(helper.make_node("Add", [graph.output[0].name, "largest"], ["sum"]))
        graph.output[0].name = "sum"

    return change


def long(graph: onnx.GraphProto) -> None:
    """Ten thousand further nodes, which together change nothing."""
    names = [graph.output[0].name, *(f"more{number}" for number in range(10_000))]
    graph.node.extend(helper.make_node("Neg", [one], [two]) for one, two in itertools.pairwise(names))
    graph.output[0].name = names[-1]


#: Mode -> its file, and a part of the line that its cell says about it.
HOSTILE: dict[str, tuple[bytes, str]] = {
    "truncated": (exported()[:-1000], "cannot be read as ONNX"),
    "page": (b"<!DOCTYPE html><title>404</title>", "cannot be read as ONNX"),
    "terabytes": (exported(terabytes), "tensor 'conv1.weight' has 0 numbers instead of 4398046511104"),
    "kernel": (
        exported(pool("kernel_shape", [2**40, 2])),
        "node 'pool' (MaxPool) has the attribute kernel_shape 1099511627776, 2, which must be from 1 to 2147483647",
    ),
    "border": (
        exported(pool("pads", [2**12] * 4)),
        "node 'pool' (MaxPool) gives 'pool.out' 4 x 5 x 4100 x 4100 numbers",
    ),
    "outside": (
        exported(elsewhere("../../../../../../etc/passwd")),
        "tensor 'conv1.weight' is in another file, '../../../../../../etc/passwd'",
    ),
    "beside": (exported(elsewhere("README.md")), "tensor 'conv1.weight' is in another file, 'README.md'"),
    "kind": (
        exported(lambda graph: setattr(graph.initializer[0], "data_type", 77)),
        "tensor 'conv1.weight' has the element type 77, which does not exist",
    ),
    "constant": (exported(bomb("constant-of-shape")), "(ConstantOfShape) gives 'large' 1048576 x 1048576 numbers"),
    "doubling": (exported(bomb("doubling")), "needs more memory than crosscheck takes for a file of this size"),
}
#: Mode -> its file, in which nothing is wrong.
RIGHT = {"alike": exported(), "long": exported(long)}


@dataclass(frozen=True)
class Ended:
    """A run that ended: its exit code, the bytes it took, its cells."""

    code: int
    bytes: int
    cells: Cells


@pytest.fixture(scope="module")
def ended(toy: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A run on a toy that exports all these files, and reads those that can be read."""
    import resource

    folder, out = tmp_path_factory.mktemp("runtime") / "toy", tmp_path_factory.mktemp("out")
    shutil.copytree(TOY, folder)
    shutil.copytree(toy.folder / "locks", folder / "locks")
    shutil.copy(toy.folder / "releases.toml", folder)
    (folder / "ready").mkdir()
    for name, content in (*((name, content) for name, (content, _) in HOSTILE.items()), *RIGHT.items()):
        (folder / "ready" / f"{name}.onnx").write_bytes(content)
    modes = [*(f"export.{name}" for name in (*HOSTILE, *RIGHT)), "file"]
    words = [word for mode in modes for word in ("--mode", mode)]
    printed = subprocess.run(
        [sys.executable, "-c", RUN, str(folder), str(out), *words],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS)),
    ).stdout
    code, taken = json.loads(printed.splitlines()[-1])
    return Ended(code, taken, read_cells(out))


def test_the_run_ends_as_if_nothing_were_wrong(ended: Ended) -> None:
    assert 0 == ended.code
    assert {"ok"} == {cell["status"] for cell in ended.cells.values()}
    for cell in ended.cells.values():
        validate(cell)  # raises


def test_the_run_takes_no_more_memory_than_small_files_may(ended: Ended) -> None:
    assert ended.bytes < MOST


@pytest.mark.parametrize("name", HOSTILE)
def test_an_exporters_cell_says_in_one_line_what_is_wrong_with_its_file(ended: Ended, name: str) -> None:
    cell, message = ended.cells[f"toy@1.8.0/export.{name}/conv/export"], HOSTILE[name][1]
    assert ["export-changed"] == cell["findings"]
    assert cell["exported"]["network"] is None
    details = [item["detail"] for item in cell["evidence"]]
    assert message in cell["exported"]["refusal"]
    assert [detail for detail in details if message in detail]
    assert not [text for text in (cell["exported"]["refusal"], *details) if "\n" in text]


@pytest.mark.parametrize("name", RIGHT)
def test_the_files_of_other_modes_are_judged_and_read(ended: Ended, name: str) -> None:
    export = ended.cells[f"toy@1.8.0/export.{name}/conv/export"]
    assert ["clean"] == export["findings"]
    read = ended.cells[f"toy@1.8.0/file/{export['exported']['network']}/predict-only"]
    assert ["clean"] == read["findings"]


def test_files_with_something_wrong_are_not_read(ended: Ended) -> None:
    assert len(RIGHT) == sum(".from." in cell["network"] for cell in ended.cells.values())
