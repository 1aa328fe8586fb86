"""Files from strangers: one line with the file and the place, exit code 2, in bounded time and memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from crosscheck.cli import main
from crosscheck.errors import NetworkError
from crosscheck.gradients.api import gradient
from crosscheck.networks import load
from tests.fuzz import hostile, models
from tests.fuzz.bombs import bombs
from tests.fuzz.models import attribute, changed, constant

Made = onnx.ModelProto | bytes
COMMANDS = ("inspect", "gradient")


def terabytes(made: onnx.ModelProto) -> None:
    made.graph.initializer[0].ClearField("raw_data")
    made.graph.initializer[0].dims[:] = [2**20, 2**20, 4]


def sparse(made: onnx.ModelProto) -> None:
    tensor = made.graph.sparse_initializer.add(dims=[4])
    tensor.values.CopyFrom(TensorProto(name="w2", data_type=1, dims=[1], data_location=TensorProto.EXTERNAL))
    tensor.values.external_data.add(key="location", value="right.bin")
    tensor.indices.CopyFrom(numpy_helper.from_array(np.array([1])))


def recursive(made: onnx.ModelProto) -> None:
    made.functions[0].node[0].op_type, made.functions[0].node[0].domain = "f1", "mine"


def replaced(before: bytes, after: bytes) -> bytes:
    return bytes(models.small().SerializeToString().replace(before, after))


#: What -> the file, and a part of the message of both commands.
REFUSED: dict[str, tuple[Made, str]] = {
    "a node's name that is no UTF-8": (replaced(b"conv1", b"\xff" * 5), r"its field 'name' is b'\xff\xff\xff\xff\xff'"),
    "an operator that is no UTF-8": (replaced(b"\x04Relu", b"\x04\xff\xfe\xfd\xfc"), "its field 'op_type'"),
    "a name that steers the terminal": (replaced(b"flat1", b"fl\x1b[1"), r"'fl\x1b[1', with control characters"),
    "a text of an attribute that is no UTF-8": (
        attribute("resize", "mode", b"\xff\xfe"),
        r"node 'layer' (Resize) has the attribute mode b'\xff\xfe', which is no UTF-8",
    ),
    "no outputs": (changed(lambda made: made.graph.ClearField("output")), "has no outputs"),
    "a tensor of terabytes": (
        changed(terabytes),
        "tensor 'w' has 0 numbers instead of 4398046511104, which its sizes and its type FLOAT ask for",
    ),
    "a tensor that is too short": (
        changed(lambda made: made.graph.initializer[0].dims.append(2)),
        "tensor 'w' has 576 bytes instead of 1152",
    ),
    "sizes below zero": (
        changed(lambda made: made.graph.initializer[0].dims.extend([-1, -1])),
        "tensor 'w' has the sizes 4, 4, 3, 3, -1, -1",
    ),
    "a weight's type that does not exist": (
        changed(lambda made: setattr(made.graph.initializer[0], "data_type", 77)),
        "tensor 'w' has the element type 77, which does not exist",
    ),
    "an input's type that does not exist": (
        changed(lambda made: setattr(made.graph.input[0].type.tensor_type, "elem_type", 77)),
        "'x' has the element type 77, which does not exist",
    ),
    "weights of another type than they have bytes": (
        changed(lambda made: setattr(made.graph.initializer[0], "data_type", TensorProto.INT4)),
        "tensor 'w' has 576 bytes instead of 72",
    ),
    "a kernel of absurd size": (
        attribute("max-pool", "kernel_shape", [2**40, 3]),
        "node 'layer' (MaxPool) has the attribute kernel_shape 1099511627776, 3, which must be from 1 to 2147483647",
    ),
    "a kernel of a terabyte": (
        attribute("average-pool", "kernel_shape", [2**20, 2**20]),
        "has a window of 1048576 x 1048576, more than 16777216 entries",
    ),
    "a kernel of zero": (attribute("conv", "kernel_shape", [0, 3]), "has the attribute kernel_shape 0, 3"),
    "pads below zero": (attribute("conv", "pads", [-1, 1, 1, 1]), "has the attribute pads -1, 1, 1, 1"),
    "a dilation of zero": (attribute("conv", "dilations", [0, 1]), "has the attribute dilations 0, 1"),
    "a stride of absurd size": (attribute("average-pool", "strides", [2**31 - 1, 1]), "which must be from 1 to 65536"),
    "a group below zero": (attribute("conv", "group", -7), "has the attribute group -7"),
    "blocks of zero": (attribute("depth-to-space", "blocksize", 0), "has the attribute blocksize 0"),
    "a flag of two": (attribute("reduce", "keepdims", 2), "has the attribute keepdims 2, which must be from 0 to 1"),
    "an attribute without a type": (
        changed(lambda made: made.graph.node[0].attribute[0].ClearField("type"), models.layer("flatten")),
        "node 'layer' (Flatten) has the attribute 'axis' without a type",
    ),
    "an attribute of a function outside of one": (
        changed(lambda made: setattr(made.graph.node[0].attribute[0], "ref_attr_name", "a"), models.layer("flatten")),
        "node 'layer' (Flatten) has the attribute 'axis' of a function, and is in none",
    ),
    "an equation that is none": (
        attribute("einsum", "equation", "n>chw,wk->nk"),
        "node 'layer' (Einsum) has the equation 'n>chw,wk->nk', which is none",
    ),
    "sparse numbers in another file": (changed(sparse), "tensor 'w2' is sparse and in another file"),
    "functions in an opset that does not exist": (
        changed(lambda made: setattr(made.functions[1].opset_import[0], "version", 2**15), models.functions(2, 2)),
        "onnx cannot inline its functions (",
    ),
    "an axis twice": (attribute("reduce", "axes", [2, 3, 2]), "has the attribute axes 2, 3, 2, which has one twice"),
    "a cast to a type that does not exist": (
        attribute("cast", "to", 77),
        "has the attribute to 77, which is no element type",
    ),
    "functions that call themselves": (changed(recursive, models.functions(2, 1)), "'f1' calls itself"),
    "functions of a billion nodes": (
        models.functions(9, 10),
        "has 1111111111 nodes with its functions inlined, and crosscheck takes up to 200000",
    ),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("what", sorted(REFUSED))
def test_a_file_that_contradicts_itself_is_one_line(
    what: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, message = REFUSED[what]
    path, target = tmp_path / "mine.onnx", tmp_path / "gradient.onnx"
    path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
    words = [command, str(path), *(["-o", str(target)] if command == "gradient" else [])]
    assert 2 == main(words)
    printed = capsys.readouterr()
    assert "" == printed.out
    assert printed.err.startswith(f"crosscheck: {path}: ")
    assert message in printed.err
    assert 1 == printed.err.count("\n")
    assert not target.exists()


def test_an_input_without_an_element_type_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.onnx"
    made = changed(lambda made: setattr(made.graph.input[0].type.tensor_type, "elem_type", 0), models.layer("cast"))
    path.write_bytes(made.SerializeToString())
    assert 2 == main(["inspect", str(path)])
    expected = f"crosscheck: {path}: the element type of 'x' is unknown; export the model with types.\n"
    assert expected == capsys.readouterr().err


#: What -> the file, and the message of `crosscheck gradient` after the file's name.
WITHOUT_GRADIENT: dict[str, tuple[Made, str]] = {
    "a border without a known kind": (
        attribute("reflect", "mode", "nonsense"),
        "node 'layer' (Pad) has inputs or attributes that its operator does not take (mode 'nonsense' is not "
        "supported); correct them.",
    ),
    "starts that are no list": (
        constant("slice", "s", np.array(1)),
        "node 'layer' (Slice) has inputs or attributes that its operator does not take (",
    ),
    "a border of terabytes": (
        constant("reflect", "p", np.array([0, 0, 1, 1, 0, 0, 2**40, 1])),
        "node 'layer' (Pad) copies along axis 2, of 1099511627783 entries; up to 1048576 have a rule",
    ),
    "a window with a million entries": (
        attribute("max-pool", "kernel_shape", [2**10, 2**10]),
        "node 'layer' (MaxPool) has windows of 1024 x 1024 entries; up to 4096 have a rule, a node each.",
    ),
    "a resized axis of many entries": (
        changed(
            lambda made: setattr(made.graph.input[0].type.tensor_type.shape.dim[3], "dim_value", 2**15),
            models.layer("upsample"),
        ),
        "node 'layer' (Upsample) resizes an axis of 32768 entries to 65536",
    ),
    "a million steps": (
        models.recurrent("LSTM", 4, 2**20),
        "node 'layer' (LSTM) runs 1048576 steps, and up to 4096 are unrolled; make its sequences shorter",
    ),
}


@pytest.mark.parametrize("what", sorted(WITHOUT_GRADIENT))
def test_a_node_that_its_rule_cannot_take_is_named(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, message = WITHOUT_GRADIENT[what]
    assert isinstance(made, onnx.ModelProto)
    path = tmp_path / "mine.onnx"
    onnx.save(made, path)
    assert 2 == main(["gradient", str(path), "-o", str(tmp_path / "gradient.onnx")])
    printed = capsys.readouterr().err
    assert message in printed
    assert 1 == printed.count("\n")


#: What -> the file, and a part of the message of its loading.
NOT_LOADED: dict[str, tuple[onnx.ModelProto, str]] = {
    "an input of terabytes": (
        changed(lambda made: setattr(made.graph.input[0].type.tensor_type.shape.dim[0], "dim_value", 2**31)),
        "input 'x' takes 2147483648 x 4 x 6 x 6 numbers, and crosscheck takes up to 33554432; --shape x=...",
    ),
    "an output of terabytes": (
        attribute("max-pool", "pads", [2**20] * 4),
        "node 'layer' (MaxPool) gives 'y' 4 x 4 x 1048578 x 1048578 numbers, and crosscheck takes up to 134217728",
    ),
    "a border of terabytes in a pool": (
        changed(
            lambda made: made.graph.node[0].attribute.extend(
                [
                    helper.make_attribute("kernel_shape", [2**12] * 2),
                    helper.make_attribute("pads", [2**12] * 4),
                    helper.make_attribute("strides", [2**12] * 2),
                ]
            ),
            models.model([helper.make_node("MaxPool", ["x"], ["y"], name="layer")]),
        ),
        "node 'layer' (MaxPool) pads its input to 4 x 4 x 8198 x 8198 numbers",
    ),
    "an output without numbers": (
        constant("slice", "e", np.array([0])),
        "output 'y' takes 4 x 4 x 0 x 6 numbers, which are none",
    ),
    "weights for other channels": (
        constant("instance-norm", "s", np.ones(7, np.float32)),
        "node 'layer' (InstanceNormalization) has weights for 7 channels and an input of 4",
    ),
    "weights of other axes": (
        constant("conv", "w", np.ones((4, 4, 3), np.float32)),
        "",
    ),
    "groups that do not divide the channels": (
        attribute("conv", "group", 3),
        "node 'layer' (Conv) has 4 channels of output in 3 groups",
    ),
}


@pytest.mark.parametrize("what", sorted(NOT_LOADED))
def test_sizes_are_checked_before_they_are_allocated(what: str, tmp_path: Path) -> None:
    made, message = NOT_LOADED[what]
    path = tmp_path / "mine.onnx"
    onnx.save(made, path)
    with pytest.raises(NetworkError) as refused:
        load(str(path))
    assert str(refused.value).startswith(f"{path}: ")
    assert message in str(refused.value)


#: Bytes that reading a small file may take beyond those that the process has.
ROOM = 2**30 + 2**28
#: Reads each file in a process of its own, as a command does, and prints how many bytes the largest took.
LOADS = """
import os, resource, sys
from pathlib import Path
from crosscheck.errors import NetworkError
from crosscheck.networks import FileOptions, load
from crosscheck.gradients.api import sized_gradient
largest = 0
for path in sys.argv[1:]:
    for read in (load, lambda path: sized_gradient(Path(path), False, (), None, FileOptions())):
        process = os.fork()
        if not process:
            try:
                read(path)
            except NetworkError as problem:
                assert str(problem).startswith(path), problem
            os._exit(0)
        _, status, used = os.wait4(process, 0)
        assert status == 0, (path, status)
        largest = max(largest, used.ru_maxrss)
print(1024 * largest)
"""


def limited(program: str, *words: str, seconds: int = 60) -> str:
    """Run a program, which ends after so many seconds of the processor's time; its output."""
    import resource

    return subprocess.run(
        [sys.executable, "-c", program, *words],
        check=True,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds)),
    ).stdout


def test_constants_that_a_few_numbers_make_large_are_not_computed(tmp_path: Path) -> None:
    paths = []
    for name, made in bombs((15,), ("large",)):
        paths.append(tmp_path / f"{name}.onnx")
        onnx.save(made, paths[-1])
    assert int(limited(LOADS, *map(str, paths))) < ROOM


def test_ten_thousand_nodes_load_and_differentiate(tmp_path: Path) -> None:
    """Names of their copies were sought from the first on, and lists searched from their beginnings."""
    paths = []
    for op in ("BatchNormalization", "Add"):
        paths.append(tmp_path / f"{op}.onnx")
        onnx.save(models.chain(10_000, op), paths[-1])
    limited(LOADS, *map(str, paths), seconds=40)


def test_a_loop_that_does_not_end(tmp_path: Path) -> None:
    path = tmp_path / "loop.onnx"
    onnx.save(models.loop(2**62), path)
    limited(LOADS, str(path), seconds=40)


def test_weights_in_other_files(tmp_path: Path) -> None:
    """A link to a device, another user's file, a folder: none is read."""
    expected = {
        "/etc/passwd": "an absolute path",
        "../outside.bin": "outside the model's folder",
        "to-etc": "outside the model's folder",
        "to-device": "outside the model's folder",
        "to-itself": "which is no path",
        "right.bin\0": "with control characters",
        "inside": "which is no file but a folder or a device",
        "fifo": "which is no file but a folder or a device",
        "": "which is no file but a folder or a device",
        "absent.bin": "which is missing",
        "short.bin": "has 8 bytes instead of 576",
        "right.bin": None,
    }
    hostile.outside_files(tmp_path)
    path = tmp_path / "mine.onnx"
    said: dict[str, str | None] = {}
    for location in expected:
        onnx.save(models.outside(location), path)
        try:
            gradient(path)
            said[location] = None
        except NetworkError as problem:
            said[location] = str(problem)
    assert {} == {
        location: (part, said[location])
        for location, part in expected.items()
        if (part is None) != (said[location] is None) or (part or "") not in (said[location] or "")
    }


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"offset": "-1"}, "has the offset '-1', which is no number"),
        ({"offset": "text"}, "has the offset 'text', which is no number"),
        ({"length": "4"}, "has 4 bytes in another file instead of 576"),
        ({"length": str(2**60)}, f"has {2**60} bytes in another file instead of 576"),
        ({"offset": "4096"}, "has 576 bytes instead of 4672"),
    ],
)
def test_places_in_other_files(entries: dict[str, str], message: str, tmp_path: Path) -> None:
    hostile.outside_files(tmp_path)
    onnx.save(models.outside("right.bin", **entries), tmp_path / "mine.onnx")
    with pytest.raises(NetworkError, match=message):
        gradient(tmp_path / "mine.onnx")


def test_a_device_and_a_folder_are_no_network(tmp_path: Path) -> None:
    (tmp_path / "zero.onnx").symlink_to("/dev/zero")
    (tmp_path / "folder.onnx").mkdir()
    os.mkfifo(tmp_path / "fifo.onnx")
    for name in ("zero", "folder", "fifo"):
        with pytest.raises(NetworkError, match="is no file but a folder or a device"):
            gradient(tmp_path / f"{name}.onnx")


def test_a_gradient_never_replaces_a_file_of_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile.outside_files(tmp_path)
    path, weights = tmp_path / "mine.onnx", tmp_path / "right.bin"
    onnx.save(models.outside("right.bin"), path)
    (tmp_path / "link.bin").symlink_to(weights)
    (tmp_path / "hard.bin").hardlink_to(weights)
    before = {file: file.read_bytes() for file in (path, weights)}
    for target in (path, weights, tmp_path / "link.bin", tmp_path / "hard.bin"):
        assert 2 == main(["gradient", str(path), "-o", str(target)])
        assert "give the gradient another file" in capsys.readouterr().err
    assert before == {file: file.read_bytes() for file in before}


def test_a_gradient_appears_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, target = tmp_path / "mine.onnx", tmp_path / "gradient.onnx"
    onnx.save(models.small(), path)
    target.write_bytes(b"of last week")

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        assert 2 == main(["gradient", str(path), "-o", str(target)])
    assert "cannot be written (No space left on device)" in capsys.readouterr().err
    assert b"of last week" == target.read_bytes()
    assert {path, target} == set(tmp_path.iterdir())
    assert 0 == main(["gradient", str(path), "-o", str(target)])
    assert "x.gradient" in [item.name for item in onnx.load(target).graph.output]


@pytest.mark.parametrize("suffix", [".json", ".txt", ".pbtxt", ".pb", ".pt", ".h5", ""])
def test_bytes_decide_what_a_file_is(suffix: str, tmp_path: Path) -> None:
    source, target = tmp_path / f"mine{suffix}", tmp_path / f"gradient{suffix}"
    source.write_bytes(models.small().SerializeToString())
    assert 0 == main(["gradient", str(source), "-o", str(target)])
    made = onnx.ModelProto.FromString(target.read_bytes())
    assert ["y", "x.gradient"] == [item.name for item in made.graph.output]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_name_that_does_not_fit_the_encoding(command: str, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/gr\xc3\xb6\xff.onnx"
    with open(path, "wb") as file:
        file.write(models.small().SerializeToString())
    program = "import sys; from crosscheck.cli import main; sys.exit(main())"
    words = [os.fsencode(sys.executable), b"-c", program.encode(), command.encode(), path]
    if command == "gradient":
        words += [b"-o", os.fsencode(tmp_path) + b"/gradient.onnx"]
    for settings in ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"LC_ALL": "C.UTF-8"}):
        ended = subprocess.run(words, capture_output=True, env={**os.environ, **settings})
        assert 2 == ended.returncode, ended.stderr
        assert b"the file's name does not fit the encoding" in ended.stderr
        assert 1 == ended.stderr.count(b"\n")


def test_metadata_and_descriptions_may_have_several_lines(tmp_path: Path) -> None:
    """Exporters store vocabularies of characters and stack traces in them."""
    model = models.small()
    model.doc_string = "a network\n\tof two lines"
    for holder in (model, model.graph, model.graph.node[0]):
        holder.metadata_props.add(key="characters", value="\n!\n\x1b\n")
    path = tmp_path / "small.onnx"
    onnx.save(model, path)
    assert load(str(path)).own is not None
