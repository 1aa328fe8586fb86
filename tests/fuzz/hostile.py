"""ONNX files from strangers, each wrong or absurd in one place, by kind and name."""

from __future__ import annotations

import contextlib
import operator
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.fuzz.bombs import bombs
from tests.fuzz.models import (
    LAYERS,
    W,
    attribute,
    branches,
    chain,
    changed,
    constant,
    functions,
    layer,
    loop,
    model,
    outside,
    recurrent,
    small,
)

__all__ = ["hostile_files", "outside_files"]

MODELS = Path(__file__).parents[2] / "models"
#: Numbers that no size, kernel, pad or axis is.
ABSURD = (0, -1, -7, 2**31 - 1, 2**31, 2**40, 2**62, 2**63 - 1, -(2**63))
#: Element types: all that ONNX has, and some that it does not.
TYPES = (*range(30), 77, 2**31 - 1)
#: Layers that are tried with ranks beyond 5.
OF_MANY_RANKS = ("conv", "expand", "reduce", "batch-norm")
FLOAT = TensorProto.FLOAT


Change = Callable[[onnx.ModelProto], object]
Models = Iterator[tuple[str, onnx.ModelProto]]


def _attributes() -> Models:
    for name, (_, constants, attributes, _) in LAYERS.items():
        for key, value in attributes.items():
            for other in _changes(value):
                with contextlib.suppress(TypeError, ValueError):
                    yield f"{name}-{key}-{_short(other)}", attribute(name, key, other)
        for key, value in constants.items():
            array = np.asarray(value)
            whole = array.dtype.kind == "i"
            if not whole and array.size > 8:
                continue
            for number in (0, -1, 2**31, 2**40, 2**62) if whole else (0, -1, 1e12, np.nan, np.inf):
                other = array.copy()
                other.reshape(-1)[-1:] = number
                yield f"{name}-input-{key}-{number}", constant(name, key, other)
            for shape in ((), (0,), (3, 5, 7)):
                other = np.ones(shape, array.dtype)
                yield f"{name}-input-{key}-shape-{'x'.join(map(str, shape))}", constant(name, key, other)


def _changes(value: Any) -> Iterator[Any]:
    """Other values of an attribute."""
    if isinstance(value, list):
        for number in ABSURD:
            yield [number, *value[1:]]
            yield [number] * len(value)
        yield from ([], value[:1], [*value, 1, 1])
        yield 3
    elif isinstance(value, str):
        yield from ("", "nonsense", "..->", "a" * 300, b"\xff\xfe")
        yield 1
    elif isinstance(value, float):
        yield from (float("nan"), float("inf"), -1.0, 0.0, 1e38)
        yield "text"
    else:
        yield from ABSURD
        yield from ([1, 2], 0.5, "text")


def _short(value: Any) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return text[:30].replace("/", "_")


def _typed(kind: int, inputs: bool = False, outputs: bool = False, weights: bool = False) -> Change:
    """Another element type of these tensors."""

    def change(made: onnx.ModelProto) -> None:
        for item in (*(made.graph.input if inputs else ()), *(made.graph.output if outputs else ())):
            item.type.tensor_type.elem_type = kind
        for tensor in made.graph.initializer[:1] if weights else ():
            tensor.data_type = kind

    return change


def _all_typed(kind: int) -> Change:
    """Another element type of all tensors, with numbers of that type if NumPy has it."""

    def change(made: onnx.ModelProto) -> None:
        _typed(kind, inputs=True, outputs=True)(made)
        for tensor in made.graph.initializer:
            try:
                dtype = helper.tensor_dtype_to_np_dtype(kind)
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(dtype), tensor.name))
            except (KeyError, NotImplementedError, TypeError, ValueError):
                tensor.data_type = kind

    return change


def _types() -> Models:
    for kind in TYPES:
        for base in ("conv", "batch-norm", "max-pool", "resize", "reshape"):
            yield f"{base}-input-{kind}", changed(_typed(kind, inputs=True, outputs=True), layer(base))
            yield f"{base}-output-{kind}", changed(_typed(kind, outputs=True), layer(base))
            if layer(base).graph.initializer:
                yield f"{base}-weight-{kind}", changed(_typed(kind, weights=True), layer(base))
        yield f"all-{kind}", changed(_all_typed(kind))
        made = model([helper.make_node("Cast", ["x"], ["h"], to=kind), helper.make_node("Cast", ["h"], ["y"], to=1)])
        yield f"cast-{kind}", made


def _of_input(axis: int, number: int) -> Change:
    """Another size of the input."""
    return lambda made: setattr(made.graph.input[0].type.tensor_type.shape.dim[axis], "dim_value", number)


def _without_data(sizes: list[int]) -> Change:
    """A weight of these sizes, without numbers."""

    def change(made: onnx.ModelProto) -> None:
        made.graph.initializer[0].ClearField("raw_data")
        made.graph.initializer[0].dims[:] = sizes

    return change


def _sizes() -> Models:
    for number in (*ABSURD, 2**15, 2**20, 2**26, 2**28):
        for axis in range(4):
            for base in ("conv", "batch-norm", "max-pool", "reshape"):
                yield f"{base}-input-axis{axis}-{number}", changed(_of_input(axis, number), layer(base))
        for base, place in (("conv", 0), ("batch-norm", 2)):
            for axis in range(len(layer(base).graph.initializer[place].dims)):
                made = layer(base)
                made.graph.initializer[place].dims[axis] = number
                yield f"{base}-weight-axis{axis}-{number}", made
        yield f"weight-without-data-{number}", changed(_without_data([number]))
        yield f"weight-without-data-cubed-{number}", changed(_without_data([number] * 3))
        made = model([helper.make_node("Constant", [], ["c"], value=onnx.TensorProto(data_type=1, dims=[number])),
                      helper.make_node("Add", ["x", "c"], ["y"])])  # fmt: skip
        yield f"constant-without-data-{number}", made
    for rank in (0, 1, 2, 3, 5, 9, 100, 1000):
        for base in LAYERS if rank < 6 else OF_MANY_RANKS:
            made = layer(base)
            made.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", FLOAT, [2] * rank))
            yield f"{base}-rank-{rank}", made
    yield "no-shape", changed(lambda made: made.graph.input[0].type.tensor_type.ClearField("shape"), layer("conv"))
    yield "no-type", changed(lambda made: made.graph.input[0].ClearField("type"), layer("conv"))


def _first_input_unnamed(made: onnx.ModelProto) -> None:
    made.graph.input[0].name = made.graph.node[0].input[0] = ""


def _foreign_domain(made: onnx.ModelProto) -> None:
    made.graph.node[0].domain = "org.nowhere"
    made.opset_import.append(helper.make_opsetid("org.nowhere", 1))


def _nodes_without(key: str) -> Change:
    return lambda made: [node.ClearField(key) for node in made.graph.node]


def _opset(version: int) -> Change:
    return lambda made: setattr(made.opset_import[0], "version", version)


def _ir(version: int) -> Change:
    return lambda made: setattr(made, "ir_version", version)


#: What -> a change of `small` after which its graph is none, or none that is known.
BROKEN: dict[str, Change] = {
    "no-outputs": lambda made: made.graph.ClearField("output"),
    "no-inputs": lambda made: made.graph.ClearField("input"),
    "no-nodes": lambda made: made.graph.ClearField("node"),
    "absent-output": lambda made: setattr(made.graph.output[0], "name", "absent"),
    "output-is-input": lambda made: setattr(made.graph.output[0], "name", "x"),
    "output-is-weight": lambda made: setattr(made.graph.output[0], "name", "w"),
    "output-twice": lambda made: made.graph.output.append(made.graph.output[0]),
    "input-twice": lambda made: made.graph.input.append(made.graph.input[0]),
    "weight-twice": lambda made: made.graph.initializer.append(made.graph.initializer[0]),
    "output-without-name": lambda made: setattr(made.graph.output[0], "name", ""),
    "input-without-name": _first_input_unnamed,
    "cycle": lambda made: operator.setitem(made.graph.node[0].input, 0, "y"),
    "output-written-twice": lambda made: operator.setitem(made.graph.node[3].output, 0, "r"),
    **{f"nodes-without-{key}": _nodes_without(key) for key in ("op_type", "input", "output", "name")},
    "unknown-operator": lambda made: setattr(made.graph.node[0], "op_type", "Mine"),
    "unknown-domain": lambda made: setattr(made.graph.node[0], "domain", "org.nowhere"),
    "foreign-domain": _foreign_domain,
    **{f"opset-{version}": _opset(version) for version in ABSURD},
    **{f"ir-{version}": _ir(version) for version in ABSURD},
    "no-opset": lambda made: made.ClearField("opset_import"),
    "two-opsets": lambda made: made.opset_import.append(helper.make_opsetid("", 9)),
}


def _graphs() -> Models:
    yield from ((name, changed(change)) for name, change in BROKEN.items())
    yield "self-loop", model([helper.make_node("Add", ["x", "y"], ["y"])])
    for op in ("Relu", "Add", "Conv", "BatchNormalization", "Sigmoid"):
        for length in (1000, 10000):
            yield f"chain-{op}-{length}", chain(length, op)
    for depth in (2, 10, 25, 31):
        yield f"branches-{depth}", branches(depth, constant=False)
        yield f"constant-branches-{depth}", branches(depth, constant=True)
    for depth in (3, 20, 200, 2000):
        yield f"functions-{depth}", functions(depth, 1)
    for depth in (5, 9, 30):
        yield f"functions-doubling-{depth}", functions(depth, 10)
    made = functions(2, 1)
    made.functions[0].node[0].op_type = "f1"
    made.functions[0].node[0].domain = "mine"
    yield "functions-recursive", made
    wide = [helper.make_node("Relu", ["x"], [f"t{i}"]) for i in range(3000)]
    yield "wide", model([*wide, helper.make_node("Sum", [f"t{i}" for i in range(3000)], ["y"])])
    fan = [helper.make_node("Add", [f"a{i}", f"a{i}"], [f"a{i + 1}"]) for i in range(1000)]
    yield "diamonds", model([helper.make_node("Relu", ["x"], ["a0"]), *fan, helper.make_node("Relu", ["a1000"], ["y"])])
    growing = [helper.make_node("Concat", [f"a{i}", f"a{i}"], [f"a{i + 1}"], axis=1) for i in range(62)]
    yield (
        "growing",
        model([helper.make_node("Relu", ["x"], ["a0"]), *growing, helper.make_node("Relu", ["a62"], ["y"])]),
    )
    made = small()
    made.graph.sparse_initializer.append(
        onnx.SparseTensorProto(
            values=numpy_helper.from_array(np.ones(1, np.float32), "w2"),
            indices=numpy_helper.from_array(np.array([2**40])),
            dims=[2**50],
        )
    )
    made.graph.node[0].input[1] = "w2"
    yield "sparse-absurd", made
    for op in ("LSTM", "GRU", "RNN"):
        for hidden in (0, -1, 4, 2**31, 2**62):
            for steps in (3, 2**20):
                yield f"{op}-{hidden}-{steps}", recurrent(op, hidden, steps)
    for trips in (0, 3, 10**6, 2**62):
        yield f"loop-{trips}", loop(trips)


def _names(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Bytes that are no UTF-8 in every kind of name."""
    for name in (b"conv1", b"relu1", b"Conv", b"kernel_shape"):
        yield name.decode(), content.replace(name, b"\xff" * len(name))
    for before, after in (
        (b"\n\x01x", b"\n\x01\xff"),
        (b"\x12\x01y", b"\x12\x01\xff"),
        (b"\x0a\x01y", b"\x0a\x01\xff"),
        (b"B\x01w", b"B\x01\xfe"),
        (b"\x01N", b"\x01\xff"),
        (b"pool1", b"\xed\xa0\x80l1"),
        (b"norm1", b"no\x00m1"),
        (b"flat1", b"fl\x1b[1"),
        (b"\x01g", b"\x01\xff"),
    ):
        yield repr(before), content.replace(before, after)


def outside_files(folder: Path) -> None:
    """Files and links that a tensor may name: `right.bin` has the weights of a convolution."""
    (folder / "inside").mkdir(exist_ok=True)
    (folder / "short.bin").write_bytes(bytes(8))
    (folder / "right.bin").write_bytes(W.tobytes())
    for name, target in (("to-device", "/dev/zero"), ("to-etc", "/etc/passwd"), ("to-itself", "to-itself")):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(target)
    if not (folder / "fifo").exists():
        os.mkfifo(folder / "fifo")


def _external(folder: Path) -> Models:
    """A weight in another file, which is not what it should be."""
    outside_files(folder)
    locations = [
        "../outside.bin", "/etc/passwd", "/dev/zero", "inside", ".", "", "absent.bin", "short.bin", "to-device",
        "to-etc", "to-itself", "fifo", "right.bin", "a" * 5000, "inside/../../x", "//etc/passwd",
        "C:\\x", "right.bin\0", "*", "http://localhost/x", "\n", "inside/../right.bin",
    ]  # fmt: skip
    for location in locations:
        yield f"at-{location[:20]!r}", outside(location)
    for key, values in {
        "offset": ("-1", "text", "1e3", "", str(2**70), str(2**40), "4096", "1_0"),
        "length": ("-1", "text", "0", "4", str(2**70), str(2**40), " 576"),
        "checksum": ("text",),
        "basepath": ("/etc",),
        "nonsense": ("1",),
    }.items():
        for value in values:
            yield f"{key}-{value}", outside("right.bin", **{key: value})
    changes: dict[str, Change] = {
        "both": lambda made: setattr(made.graph.initializer[0], "raw_data", b"abc"),
        "terabytes": lambda made: operator.setitem(made.graph.initializer[0].dims, slice(None), [2**30, 2**30]),
        "strings": lambda made: setattr(made.graph.initializer[0], "data_type", TensorProto.STRING),
    }
    yield from ((name, changed(change, outside("right.bin"))) for name, change in changes.items())
    made = model([helper.make_node("Constant", [], ["c"], value=outside("/etc/passwd").graph.initializer[0]),
                  helper.make_node("Conv", ["x", "c"], ["y"])])  # fmt: skip
    yield "in-a-constant", made
    made = functions(1, 1)
    constant = helper.make_node("Constant", [], ["c"], value=outside("/etc/passwd").graph.initializer[0])
    made.functions[0].node.insert(0, constant)
    yield "in-a-function", made


def _deep() -> Iterator[tuple[str, bytes]]:
    """Subgraphs and types within each other, deeper than protobuf's own limit, which only other writers write."""
    for depth in (200, 20_000):
        # Of a NodeProto 5 is `attribute`, of an AttributeProto 6 is `g`, of a GraphProto 1 is `node`.
        content = b""
        for _ in range(depth):
            for field in (5, 6, 1):
                content = _field(field, content)
        yield f"graphs-{depth}", small().SerializeToString() + _field(7, content)
        content = b""
        for _ in range(depth):  # of a TypeProto 4 is `sequence_type`, of that 1 is `elem_type`
            content = _field(4, _field(1, content))
        yield f"types-{depth}", small().SerializeToString() + _field(7, _field(11, _field(2, content)))


def _field(number: int, content: bytes) -> bytes:
    """A field of a protobuf message with a length."""
    length, size = len(content), b""
    while length > 0x7F:
        size += bytes([length & 0x7F | 0x80])
        length >>= 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + content


def _damaged(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    draw = random.Random(seed)  # noqa: S311
    bases = {"small": small().SerializeToString(), "seed": (MODELS / "seed" / "network.onnx").read_bytes()}
    bases["dense"] = (MODELS / "dense" / "network.onnx").read_bytes()
    bases["branches"] = branches(3, constant=False).SerializeToString()
    bases["functions"] = functions(3, 2).SerializeToString()
    for name, content in bases.items():
        for place in sorted(draw.sample(range(len(content)), min(40, len(content)))):
            yield f"{name}-cut-{place}", content[:place]
        for number in range(count):
            changed = bytearray(content)
            for _ in range(draw.choice((1, 1, 1, 2, 8))):
                changed[draw.randrange(len(changed))] = draw.choice((0, 0xFF, 0x7F, 0x80, draw.randrange(256)))
            yield f"{name}-flipped-{number}", bytes(changed)
        for number in range(count // 4):
            one, two = sorted(draw.sample(range(len(content)), 2))
            yield f"{name}-left-out-{number}", content[:one] + content[two:]
            yield f"{name}-twice-{number}", content[:two] + content[one:]


def hostile_files(folder: Path, seed: int = 0, count: int = 40) -> Iterator[tuple[str, str, Path]]:
    """Write files to `folder`, one after the other: kind, name, path. `count`: flips of each damaged file."""
    makers: dict[str, Callable[[], Iterator[tuple[str, onnx.ModelProto | bytes]]]] = {
        "attribute": _attributes,
        "type": _types,
        "size": _sizes,
        "graph": _graphs,
        "bomb": bombs,
        "name": lambda: _names(small().SerializeToString()),
        "external": lambda: _external(folder),
        "deep": _deep,
        "damaged": lambda: _damaged(seed, count),
    }
    for kind, make in makers.items():
        for number, (name, made) in enumerate(make()):
            path = folder / f"{kind}-{number}.onnx"
            path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
            yield kind, f"{kind}/{name}", path
