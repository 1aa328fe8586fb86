"""ONNX files from strangers, each wrong or absurd in one place, by kind and name."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["chain", "hostile_files"]

MODELS = Path(__file__).parents[2] / "models"
#: Numbers that no size, kernel, pad or axis is.
ABSURD = (0, -1, -7, 2**31 - 1, 2**31, 2**40, 2**62, 2**63 - 1, -(2**63))
#: Element types: all that ONNX has, and some that it does not.
TYPES = (*range(30), 77, 2**31 - 1)
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64

#: One layer each: inputs beside x (constants), and attributes, on x of (2, 4, 6, 6).
X = (2, 4, 6, 6)
Layer = tuple[str, Mapping[str, Any], Mapping[str, Any], int]
W = np.linspace(-1, 1, 4 * 4 * 3 * 3, dtype=np.float32).reshape(4, 4, 3, 3)
PER_CHANNEL = np.linspace(0.5, 1.5, 4, dtype=np.float32)
NORM = {"s": PER_CHANNEL, "b": PER_CHANNEL, "m": PER_CHANNEL, "v": PER_CHANNEL}
WINDOW = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "dilations": [1, 1]}
LAYERS: dict[str, Layer] = {
    "conv": ("Conv", {"w": W}, {**WINDOW, "group": 1}, 15),
    "conv-transpose": ("ConvTranspose", {"w": W}, {**WINDOW, "group": 1, "output_padding": [1, 1]}, 15),
    "conv-transpose-shape": ("ConvTranspose", {"w": W}, {"output_shape": [6, 6]}, 15),
    "max-pool": ("MaxPool", {}, {**WINDOW, "ceil_mode": 0, "storage_order": 0}, 15),
    "average-pool": ("AveragePool", {}, {**WINDOW, "ceil_mode": 1, "count_include_pad": 1}, 19),
    "lp-pool": ("LpPool", {}, {**WINDOW, "p": 2}, 18),
    "batch-norm": ("BatchNormalization", NORM, {"epsilon": 1e-3, "momentum": 0.9, "training_mode": 0}, 15),
    "instance-norm": ("InstanceNormalization", {"s": PER_CHANNEL, "b": PER_CHANNEL}, {"epsilon": 1e-3}, 15),
    "group-norm": ("GroupNormalization", {"s": PER_CHANNEL, "b": PER_CHANNEL}, {"num_groups": 2, "epsilon": 1e-3}, 21),
    "layer-norm": ("LayerNormalization", {"s": np.ones(6, np.float32)}, {"axis": -1, "epsilon": 1e-3}, 17),
    "lrn": ("LRN", {}, {"size": 3, "alpha": 1e-4, "beta": 0.75, "bias": 1.0}, 15),
    "lp-norm": ("LpNormalization", {}, {"axis": 1, "p": 2}, 15),
    "pad": ("Pad", {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])}, {"mode": "constant"}, 15),
    "reflect": ("Pad", {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])}, {"mode": "reflect"}, 15),
    "tile": ("Tile", {"r": np.array([1, 1, 2, 2])}, {}, 15),
    "expand": ("Expand", {"s": np.array([2, 2, 4, 6, 6])}, {}, 15),
    "reshape": ("Reshape", {"s": np.array([2, -1])}, {"allowzero": 0}, 15),
    "transpose": ("Transpose", {}, {"perm": [0, 2, 3, 1]}, 15),
    "flatten": ("Flatten", {}, {"axis": 1}, 15),
    "squeeze": ("Unsqueeze", {"a": np.array([0, 3])}, {}, 15),
    "slice": ("Slice", {"s": np.array([1]), "e": np.array([3]), "a": np.array([2]), "p": np.array([1])}, {}, 15),
    "gather": ("Gather", {"i": np.array([0, 2])}, {"axis": 1}, 15),
    "gather-elements": ("GatherElements", {"i": np.zeros(X, np.int64)}, {"axis": 1}, 15),
    "scatter": ("ScatterElements", {"i": np.zeros((1, 1, 1, 2), np.int64), "u": np.ones((1, 1, 1, 2), np.float32)},
                {"axis": 1}, 15),
    "resize": ("Resize", {"r": np.zeros(0, np.float32), "s": np.array([1, 1, 2, 2], np.float32)},
               {"mode": "linear", "cubic_coeff_a": -0.75}, 15),
    "upsample": ("Upsample", {"s": np.array([1, 1, 2, 2], np.float32)}, {"mode": "nearest"}, 9),
    "depth-to-space": ("DepthToSpace", {}, {"blocksize": 2, "mode": "DCR"}, 15),
    "space-to-depth": ("SpaceToDepth", {}, {"blocksize": 2}, 15),
    "reduce": ("ReduceMean", {}, {"axes": [2, 3], "keepdims": 1}, 15),
    "reduce-max": ("ReduceMax", {}, {"axes": [1], "keepdims": 0}, 15),
    "softmax": ("Softmax", {}, {"axis": 1}, 15),
    "cum-sum": ("CumSum", {"a": np.array(1)}, {"exclusive": 1, "reverse": 1}, 15),
    "concat": ("Concat", {"c": np.ones(X, np.float32)}, {"axis": 1}, 15),
    "elu": ("Elu", {}, {"alpha": 1.0}, 15),
    "clip": ("Clip", {"l": np.array(-1, np.float32), "h": np.array(1, np.float32)}, {}, 15),
    "cast": ("Cast", {}, {"to": 1}, 15),
    "mat-mul": ("MatMul", {"w": np.ones((6, 5), np.float32)}, {}, 15),
    "einsum": ("Einsum", {"w": np.ones((6, 5), np.float32)}, {"equation": "nchw,wk->nchk"}, 15),
    "top-k": ("TopK", {"k": np.array([2])}, {"axis": 1, "largest": 1}, 15),
    "trilu": ("Trilu", {"k": np.array(1)}, {"upper": 1}, 15),
    "roll": ("Split", {"s": np.array([4])}, {"axis": 1}, 15),
    "roi": ("MaxRoiPool", {"r": np.zeros((1, 5), np.float32)}, {"pooled_shape": [2, 2], "spatial_scale": 1.0}, 15),
    "mvn": ("MeanVarianceNormalization", {}, {"axes": [0, 2, 3]}, 15),
    "dropout": ("Dropout", {"r": np.array(0.5, np.float32)}, {"seed": 3}, 15),
    "shrink": ("Shrink", {}, {"bias": 0.5, "lambd": 0.5}, 15),
    "mod": ("Mod", {"d": np.array(2, np.float32)}, {"fmod": 1}, 15),
    "quantize": ("QuantizeLinear", {"s": np.array(0.5, np.float32)}, {"axis": 1}, 15),
}  # fmt: skip
#: Constants that a few numbers make large: nodes from constants to `large`.
BOMBS: dict[str, tuple[Sequence[onnx.NodeProto], Mapping[str, Any]]] = {
    "constant-of-shape": ([helper.make_node("ConstantOfShape", ["s"], ["large"])], {"s": np.array([2**20, 2**20])}),
    "constant-of-shape-wrapping": (
        [helper.make_node("ConstantOfShape", ["s"], ["large"])],
        {"s": np.array([2**32, 2**32])},
    ),
    "constant-of-shape-2^26": ([helper.make_node("ConstantOfShape", ["s"], ["large"])], {"s": np.array([2**26])}),
    "range": (
        [helper.make_node("Range", ["a", "b", "c"], ["large"])],
        {"a": np.float32(0), "b": np.float32(1e18), "c": np.float32(1)},
    ),
    "expand": (
        [helper.make_node("Expand", ["a", "s"], ["large"])],
        {"a": np.ones(1, np.float32), "s": np.array([2**40])},
    ),
    "tile": (
        [helper.make_node("Tile", ["a", "s"], ["large"])],
        {"a": np.ones(4, np.float32), "s": np.array([2**40])},
    ),
    "pad": (
        [helper.make_node("Pad", ["a", "s"], ["large"])],
        {"a": np.ones(4, np.float32), "s": np.array([2**40, 2**40])},
    ),
    "resize": (
        [helper.make_node("Resize", ["a", "", "s"], ["large"])],
        {"a": np.ones((1, 1, 4), np.float32), "s": np.array([1, 1, 1e12], np.float32)},
    ),
    "one-hot": (
        [helper.make_node("OneHot", ["i", "d", "v"], ["large"])],
        {"i": np.array([1]), "d": np.array(2**40), "v": np.array([0, 1], np.float32)},
    ),
    "outer-product": (
        [helper.make_node("MatMul", ["a", "b"], ["large"])],
        {"a": np.ones((2**17, 1), np.float32), "b": np.ones((1, 2**17), np.float32)},
    ),
    "doubling": (
        [
            *(helper.make_node("Concat", [f"d{i}", f"d{i}"], [f"d{i + 1}"], axis=0) for i in range(60)),
            helper.make_node("Identity", ["d60"], ["large"]),
        ],
        {"d0": np.ones(4, np.float32)},
    ),
    "pool-of-a-large-border": (
        [
            helper.make_node(
                "MaxPool",
                ["a"],
                ["large"],
                kernel_shape=[2**20 + 1, 2**20 + 1],
                pads=[2**19] * 4,
            )
        ],
        {"a": np.ones((1, 1, 2, 2), np.float32)},
    ),
    "eye": ([helper.make_node("EyeLike", ["a"], ["large"])], {"a": np.ones((1, 2**15), np.float32)}),
    "window": ([helper.make_node("HannWindow", ["s"], ["large"])], {"s": np.array(2**40)}),
    "shape-of-large": (
        [
            helper.make_node("Expand", ["a", "s"], ["l"]),
            helper.make_node("NonZero", ["l"], ["large"]),
        ],
        {"a": np.ones(1, np.float32), "s": np.array([2**13, 2**13])},
    ),
    "unknown-size": (
        [
            helper.make_node("NonZero", ["a"], ["n"]),
            helper.make_node("ReduceSum", ["n"], ["k"], keepdims=1),
            helper.make_node("Reshape", ["k", "one"], ["k1"]),
            helper.make_node("Mul", ["k1", "factor"], ["k2"]),
            helper.make_node("ConstantOfShape", ["k2"], ["large"]),
        ],
        {"a": np.ones(9, np.float32), "one": np.array([1]), "factor": np.array([2**30])},
    ),
    "bernoulli": (
        [helper.make_node("RandomNormal", [], ["large"], shape=[2**20, 2**20])],
        {},
    ),
    "string": (
        [helper.make_node("StringConcat", ["t", "t"], ["t2"]), helper.make_node("Shape", ["t2"], ["s"]),
         helper.make_node("ConstantOfShape", ["s"], ["large"])],
        {"t": np.array(["a", "b"], object)},
    ),
    "loop": (
        [
            helper.make_node(
                "Loop",
                ["trips", "", "v"],
                ["large"],
                body=helper.make_graph(
                    [helper.make_node("Identity", ["c"], ["c2"]), helper.make_node("Add", ["v1", "v1"], ["v2"])],
                    "body",
                    [
                        helper.make_tensor_value_info("i", INT64, []),
                        helper.make_tensor_value_info("c", TensorProto.BOOL, []),
                        helper.make_tensor_value_info("v1", FLOAT, [1]),
                    ],
                    [
                        helper.make_tensor_value_info("c2", TensorProto.BOOL, []),
                        helper.make_tensor_value_info("v2", FLOAT, [1]),
                    ],
                ),
            )
        ],
        {"trips": np.array(2**62), "v": np.ones(1, np.float32)},
    ),
}  # fmt: skip


def model(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, Any] = {},
    opset: int = 15,
    x: Sequence[Any] = ("N", *X[1:]),
    y: Sequence[Any] | None = None,
    kind: int = FLOAT,
) -> onnx.ModelProto:
    """From x to y."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", kind, x)],
        [helper.make_tensor_value_info("y", kind, y)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    if y is None:  # a rank, which the checker asks for, with open sizes, which contradict nothing
        try:
            output = onnx.shape_inference.infer_shapes(made).graph.output[0].type.tensor_type
        except Exception:
            output = made.graph.output[0].type.tensor_type
        rank = len(output.shape.dim) if output.HasField("shape") else len(x)
        made.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", output.elem_type or kind, [None] * rank))
    return made


def layer(name: str) -> onnx.ModelProto:
    op, constants, attributes, opset = LAYERS[name]
    node = helper.make_node(op, ["x", *constants], ["y"], name="layer", **attributes)
    return model([node], constants, opset)


def small() -> onnx.ModelProto:
    """A convolution, a batch normalization, a pool and a dense layer, with names of each kind of tensor."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv1", pads=[1] * 4),
        helper.make_node("BatchNormalization", ["c", "s", "b", "m", "v"], ["n"], name="norm1"),
        helper.make_node("Relu", ["n"], ["r"], name="relu1"),
        helper.make_node("MaxPool", ["r"], ["p"], name="pool1", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"], name="flat1"),
        helper.make_node("Gemm", ["f", "d", "e"], ["y"], name="dense1", transB=1),
    ]
    constants = {"w": W, **NORM, "d": np.ones((3, 36), np.float32), "e": np.ones(3, np.float32)}
    return model(nodes, constants, y=["N", 3])


def chain(length: int, op: str = "Relu") -> onnx.ModelProto:
    """Nodes one behind the other."""
    names = ["x", *(f"t{index}" for index in range(length - 1)), "y"]
    if op == "BatchNormalization":
        return model([helper.make_node(op, [a, *NORM], [b], name=f"n{i}")
                      for i, (a, b) in enumerate(itertools.pairwise(names))], NORM)  # fmt: skip
    if op == "Add":  # a weight of its own each
        nodes = [helper.make_node(op, [a, f"w{i}"], [b]) for i, (a, b) in enumerate(itertools.pairwise(names))]
        return model(nodes, {f"w{i}": np.ones(1, np.float32) for i in range(length)})
    if op == "Conv":
        nodes = [
            helper.make_node(op, [a, f"w{i}"], [b], pads=[1] * 4) for i, (a, b) in enumerate(itertools.pairwise(names))
        ]
        return model(nodes, {f"w{i}": W for i in range(length)})
    return model([helper.make_node(op, [a], [b]) for a, b in itertools.pairwise(names)])


def _attributes() -> Iterator[tuple[str, onnx.ModelProto]]:
    for name, (_, constants, attributes, _) in LAYERS.items():
        for key, value in attributes.items():
            for changed in _changes(value):
                made = layer(name)
                node = made.graph.node[0]
                kept = [item for item in node.attribute if item.name != key]
                del node.attribute[:]
                node.attribute.extend(kept)
                try:
                    node.attribute.append(helper.make_attribute(key, changed))
                except (TypeError, ValueError):
                    continue
                yield f"{name}-{key}-{_short(changed)}", made
        for key, value in constants.items():
            array = np.asarray(value)
            if array.dtype.kind != "i" and array.size > 8:
                continue
            for number in (0, -1, 2**31, 2**40, 2**62) if array.dtype.kind == "i" else (0, -1, 1e12, np.nan, np.inf):
                changed = array.copy()
                changed.reshape(-1)[-1:] = number
                made = layer(name)
                for item in made.graph.initializer:
                    if item.name == key:
                        item.CopyFrom(numpy_helper.from_array(changed, key))
                yield f"{name}-input-{key}-{number}", made
            for shape in ((), (0,), (3, 5, 7)):
                made = layer(name)
                for item in made.graph.initializer:
                    if item.name == key:
                        item.CopyFrom(numpy_helper.from_array(np.ones(shape, array.dtype), key))
                yield f"{name}-input-{key}-shape-{'x'.join(map(str, shape))}", made


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


def _types() -> Iterator[tuple[str, onnx.ModelProto]]:
    for kind in TYPES:
        for base in ("conv", "batch-norm", "max-pool", "resize", "reshape"):
            made = layer(base)
            made.graph.input[0].type.tensor_type.elem_type = kind
            made.graph.output[0].type.tensor_type.elem_type = kind
            yield f"{base}-input-{kind}", made
            made = layer(base)
            made.graph.output[0].type.tensor_type.elem_type = kind
            yield f"{base}-output-{kind}", made
            if made.graph.initializer:
                made = layer(base)
                made.graph.initializer[0].data_type = kind
                yield f"{base}-weight-{kind}", made
        made = small()
        for item in (*made.graph.input, *made.graph.output):
            item.type.tensor_type.elem_type = kind
        for tensor in made.graph.initializer:
            array = numpy_helper.to_array(tensor)
            try:
                dtype = helper.tensor_dtype_to_np_dtype(kind)
                tensor.CopyFrom(numpy_helper.from_array(array.astype(dtype), tensor.name))
            except (KeyError, NotImplementedError, TypeError, ValueError):
                tensor.data_type = kind
        yield f"all-{kind}", made
        made = model([helper.make_node("Cast", ["x"], ["h"], to=kind), helper.make_node("Cast", ["h"], ["y"], to=1)])
        yield f"cast-{kind}", made


def _sizes() -> Iterator[tuple[str, onnx.ModelProto]]:
    for number in (*ABSURD, 2**15, 2**20, 2**26, 2**28):
        for axis in range(4):
            for base in ("conv", "batch-norm", "max-pool", "reshape"):
                made = layer(base)
                made.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = number
                yield f"{base}-input-axis{axis}-{number}", made
        for base, place in (("conv", 0), ("batch-norm", 2)):
            for axis in range(len(layer(base).graph.initializer[place].dims)):
                made = layer(base)
                made.graph.initializer[place].dims[axis] = number
                yield f"{base}-weight-axis{axis}-{number}", made
        made = small()
        tensor = made.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.dims[:] = [number]
        yield f"weight-without-data-{number}", made
        made = small()
        tensor = made.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.dims[:] = [number, number, number]
        yield f"weight-without-data-cubed-{number}", made
        made = model([helper.make_node("Constant", [], ["c"], value=onnx.TensorProto(data_type=1, dims=[number])),
                      helper.make_node("Add", ["x", "c"], ["y"])])  # fmt: skip
        yield f"constant-without-data-{number}", made
    for rank in (0, 1, 2, 3, 5, 9, 100, 1000):
        for base in LAYERS:
            made = layer(base)
            made.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", FLOAT, [2] * rank))
            if rank < 6 or base in ("conv", "expand", "reduce", "batch-norm"):
                yield f"{base}-rank-{rank}", made
    made = layer("conv")
    made.graph.input[0].type.tensor_type.ClearField("shape")
    yield "no-shape", made
    made = layer("conv")
    made.graph.input[0].ClearField("type")
    yield "no-type", made


def _graphs() -> Iterator[tuple[str, onnx.ModelProto]]:
    made = small()
    del made.graph.output[:]
    yield "no-outputs", made
    made = small()
    del made.graph.input[:]
    yield "no-inputs", made
    made = small()
    del made.graph.node[:]
    yield "no-nodes", made
    made = small()
    made.graph.output[0].name = "absent"
    yield "absent-output", made
    made = small()
    made.graph.output[0].name = "x"
    yield "output-is-input", made
    made = small()
    made.graph.output[0].name = "w"
    yield "output-is-weight", made
    made = small()
    made.graph.output.append(made.graph.output[0])
    yield "output-twice", made
    made = small()
    made.graph.input.append(made.graph.input[0])
    yield "input-twice", made
    made = small()
    made.graph.initializer.append(made.graph.initializer[0])
    yield "weight-twice", made
    made = small()
    made.graph.output[0].name = ""
    yield "output-without-name", made
    made = small()
    made.graph.input[0].name = ""
    made.graph.node[0].input[0] = ""
    yield "input-without-name", made
    made = small()
    made.graph.node[0].input[0] = "y"
    yield "cycle", made
    yield "self-loop", model([helper.make_node("Add", ["x", "y"], ["y"])])
    made = small()
    made.graph.node[3].output[0] = "r"
    yield "output-written-twice", made
    for key in ("op_type", "input", "output", "name"):
        made = small()
        for node in made.graph.node:
            node.ClearField(key)
        yield f"nodes-without-{key}", made
    made = small()
    made.graph.node[0].op_type = "Mine"
    yield "unknown-operator", made
    made = small()
    made.graph.node[0].domain = "org.nowhere"
    yield "unknown-domain", made
    made.opset_import.append(helper.make_opsetid("org.nowhere", 1))
    yield "foreign-domain", made
    for version in ABSURD:
        made = small()
        made.opset_import[0].version = version
        yield f"opset-{version}", made
        made = small()
        made.ir_version = version
        yield f"ir-{version}", made
    made = small()
    del made.opset_import[:]
    yield "no-opset", made
    made = small()
    made.opset_import.append(helper.make_opsetid("", 9))
    yield "two-opsets", made
    for op in ("Relu", "Add", "Conv", "BatchNormalization", "Sigmoid", "MaxPool"):
        for length in (1000, 10000):
            if op == "MaxPool":
                continue
            yield f"chain-{op}-{length}", chain(length, op)
    for depth in (2, 10, 25, 31):
        yield f"branches-{depth}", _branches(depth, constant=False)
        yield f"constant-branches-{depth}", _branches(depth, constant=True)
    for depth in (3, 20, 200, 2000):
        yield f"functions-{depth}", _functions(depth, 1)
    for depth in (5, 9, 30):
        yield f"functions-doubling-{depth}", _functions(depth, 10)
    made = _functions(2, 1)
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
            gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
            for steps in (3, 2**20):
                yield (
                    f"{op}-{hidden}-{steps}",
                    model(
                        [
                            helper.make_node(op, ["x", "w", "r"], ["h"], hidden_size=hidden, name="layer"),
                            helper.make_node("ReduceSum", ["h"], ["y"]),
                        ],
                        {"w": np.ones((1, gates * 4, 3), np.float32), "r": np.ones((1, gates * 4, 4), np.float32)},
                        x=(steps, 2, 3),
                    ),
                )
    for trips in (0, 3, 10**6, 2**62):
        nodes, _ = BOMBS["loop"]
        loop = onnx.NodeProto()
        loop.CopyFrom(nodes[0])
        loop.input[2] = "x"
        loop.output[0] = "y"
        yield f"loop-{trips}", model([loop], {"trips": np.array(trips)}, x=(2, 1))


def _branches(depth: int, constant: bool) -> onnx.ModelProto:
    """An If within an If, and so on."""

    def graph(nodes: list[onnx.NodeProto], name: str) -> onnx.GraphProto:
        return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(name, FLOAT, ["N", *X[1:]])])

    inner = helper.make_node("Relu", ["x"], ["y0"])
    for level in range(depth):
        then, other = graph([inner], f"y{level}"), graph([helper.make_node("Relu", ["x"], [f"e{level}"])], f"e{level}")
        inner = helper.make_node("If", ["c"], [f"y{level + 1}"], then_branch=then, else_branch=other)
    nodes = [inner, helper.make_node("Relu", [f"y{depth}"], ["y"])]
    if constant:
        return model(nodes, {"c": np.array(True)})
    test = [helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0), helper.make_node("Cast", ["sum"], ["c"], to=9)]
    return model([*test, *nodes])


def _functions(depth: int, width: int) -> onnx.ModelProto:
    """Functions that call the one before, several times."""
    made = model([helper.make_node(f"f{depth - 1}", ["x"], ["y"], domain="mine")])
    made.opset_import.append(helper.make_opsetid("mine", 1))
    for level in range(depth):
        names = ["a", *(f"t{i}" for i in range(width - 1)), "b"]
        nodes = [
            helper.make_node(
                "Relu" if level == 0 else f"f{level - 1}", [one], [two], domain="" if level == 0 else "mine"
            )
            for one, two in itertools.pairwise(names)
        ]
        opsets = [helper.make_opsetid("", 15), helper.make_opsetid("mine", 1)]
        made.functions.append(helper.make_function("mine", f"f{level}", ["a"], ["b"], nodes, opsets))
    return made


def _bombs() -> Iterator[tuple[str, onnx.ModelProto]]:
    for name, (nodes, constants) in BOMBS.items():
        for opset in (15, 18):
            yield (
                f"{name}-{opset}",
                model(
                    [*nodes, helper.make_node("ReduceMax", ["large"], ["top"], keepdims=0, name="top"),
                     helper.make_node("Cast", ["top"], ["top1"], to=1), helper.make_node("Add", ["x", "top1"], ["y"])],
                    constants, opset,
                ),
            )  # fmt: skip
            yield (
                f"{name}-{opset}-only",
                model([*nodes, helper.make_node("Add", ["x", "large"], ["y"])], constants, opset),
            )


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


def _external(folder: Path) -> Iterator[tuple[str, onnx.ModelProto]]:
    """A weight in another file, which is not what it should be."""
    (folder / "inside").mkdir(exist_ok=True)
    (folder / "short.bin").write_bytes(bytes(8))
    (folder / "right.bin").write_bytes(W.tobytes())
    for name, target in (("to-device", "/dev/zero"), ("to-etc", "/etc/passwd"), ("to-itself", "to-itself")):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(target)
    if not (folder / "hard.bin").exists():
        (folder / "hard.bin").hardlink_to(folder / "right.bin")
    if not (folder / "fifo").exists():
        os.mkfifo(folder / "fifo")
    locations = [
        "../outside.bin", "/etc/passwd", "/dev/zero", "inside", ".", "", "absent.bin", "short.bin", "to-device",
        "to-etc", "to-itself", "fifo", "right.bin", "hard.bin", "a" * 5000, "inside/../../x", "//etc/passwd",
        "C:\\x", "right.bin\0", "*", "http://localhost/x", "\n", "inside/../right.bin",
    ]  # fmt: skip
    for location in locations:
        yield f"at-{location[:20]!r}", _outside(location)
    for key, values in {
        "offset": ("-1", "text", "1e3", "", str(2**70), str(2**40), "4096", "1_0"),
        "length": ("-1", "text", "0", "4", str(2**70), str(2**40), " 576"),
        "checksum": ("text",),
        "basepath": ("/etc",),
        "nonsense": ("1",),
    }.items():
        for value in values:
            yield f"{key}-{value}", _outside("right.bin", **{key: value})
    made = _outside("right.bin")
    made.graph.initializer[0].raw_data = b"abc"
    yield "both", made
    made = _outside("right.bin")
    made.graph.initializer[0].dims[:] = [2**30, 2**30]
    yield "terabytes", made
    made = _outside("right.bin")
    made.graph.initializer[0].data_type = TensorProto.STRING
    yield "strings", made
    made = model([helper.make_node("Constant", [], ["c"], value=_outside("/etc/passwd").graph.initializer[0]),
                  helper.make_node("Conv", ["x", "c"], ["y"])])  # fmt: skip
    yield "in-a-constant", made
    made = _functions(1, 1)
    constant = helper.make_node("Constant", [], ["c"], value=_outside("/etc/passwd").graph.initializer[0])
    made.functions[0].node.insert(0, constant)
    yield "in-a-function", made


def _outside(location: str, **entries: str) -> onnx.ModelProto:
    made = layer("conv")
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return made


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
    bases["branches"] = _branches(3, constant=False).SerializeToString()
    bases["functions"] = _functions(3, 2).SerializeToString()
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


Make = Callable[[], Iterator[tuple[str, onnx.ModelProto]]]


def hostile_files(folder: Path, seed: int = 0, count: int = 40) -> Iterator[tuple[str, str, Path]]:
    """Write files to `folder`, one after the other: kind, name, path. `count`: flips of each damaged file."""
    makers: dict[str, Callable[[], Iterator[tuple[str, onnx.ModelProto | bytes]]]] = {
        "attribute": _attributes,
        "type": _types,
        "size": _sizes,
        "graph": _graphs,
        "bomb": _bombs,
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
