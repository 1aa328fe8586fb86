"""Small models: one layer, a few, chains, branches, functions, loops; from x to y."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = [
    "LAYERS",
    "W",
    "X",
    "attribute",
    "branches",
    "chain",
    "changed",
    "constant",
    "functions",
    "layer",
    "loop",
    "model",
    "outside",
    "recurrent",
    "small",
]

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


def changed(change: Callable[[onnx.ModelProto], object], base: onnx.ModelProto | None = None) -> onnx.ModelProto:
    """A model, or `small`, after a change."""
    made = small() if base is None else base
    change(made)
    return made


def attribute(name: str, key: str, value: Any) -> onnx.ModelProto:
    """A layer with another value of an attribute. Raises TypeError or ValueError for one that no attribute has."""
    made = layer(name)
    kept = [item for item in made.graph.node[0].attribute if item.name != key]
    del made.graph.node[0].attribute[:]
    made.graph.node[0].attribute.extend([*kept, helper.make_attribute(key, value)])
    return made


def constant(name: str, key: str, value: Any) -> onnx.ModelProto:
    """A layer with another value of an input beside x."""
    made = layer(name)
    (tensor,) = [item for item in made.graph.initializer if item.name == key]
    tensor.CopyFrom(numpy_helper.from_array(np.asarray(value), key))
    return made


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


def branches(depth: int, constant: bool) -> onnx.ModelProto:
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


def functions(depth: int, width: int) -> onnx.ModelProto:
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


def outside(location: str, **entries: str) -> onnx.ModelProto:
    made = layer("conv")
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return made


def recurrent(op: str, hidden: int, steps: int) -> onnx.ModelProto:
    """A recurrent layer over so many steps."""
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    nodes = [
        helper.make_node(op, ["x", "w", "r"], ["h"], hidden_size=hidden, name="layer"),
        helper.make_node("ReduceSum", ["h"], ["y"]),
    ]
    weights = {"w": np.ones((1, gates * 4, 3), np.float32), "r": np.ones((1, gates * 4, 4), np.float32)}
    return model(nodes, weights, x=(steps, 2, 3))


def loop(trips: int) -> onnx.ModelProto:
    """A loop that doubles its input so often."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c2"]), helper.make_node("Add", ["v1", "v1"], ["v2"])],
        "body",
        [
            helper.make_tensor_value_info("i", INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v1", FLOAT, [2, 1]),
        ],
        [helper.make_tensor_value_info("c2", TensorProto.BOOL, []), helper.make_tensor_value_info("v2", FLOAT, [2, 1])],
    )
    node = helper.make_node("Loop", ["trips", "", "x"], ["y"], body=body)
    return model([node], {"trips": np.array(trips)}, x=(2, 1), y=(2, 1))
