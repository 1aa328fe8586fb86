"""Checks of an ONNX file from a stranger, before anything is computed from it: what it says of itself holds together.

Names are text, tensors have as many numbers as they say, element types exist, functions end, attributes have values
that an operator can have. All checks together take time in proportion to the file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping

import onnx
from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped]
from google.protobuf.message import Message  # type: ignore[import-untyped]

from crosscheck.errors import NetworkError
from crosscheck.onnx_models.domains import ONNX_DOMAIN

__all__ = ["LARGEST_GRAPH", "bytes_of", "check_sound"]

#: The most nodes of a model, its functions inlined; the largest published ones have a tenth of it.
LARGEST_GRAPH = 200_000
#: The most axes of a tensor; NumPy's older releases have no more.
MOST_AXES = 32
#: The largest kernel, stride, pad ...: runtimes count in 32 bits.
LARGEST_NUMBER = 2**31 - 1

#: The largest stride: shape inference and runtimes differ about the windows of larger ones.
LARGEST_STRIDE = 2**16
#: The most entries of a window: that of a pool over a whole picture of 4096 x 4096.
LARGEST_WINDOW = 2**24

#: Element types by number, without "undefined".
TYPES: Mapping[int, str] = {number: name for name, number in onnx.TensorProto.DataType.items() if number}
#: Bits of an element where NumPy's type has more.
NARROW = {
    "UINT4": 4, "INT4": 4, "FLOAT4E2M1": 4, "UINT2": 2, "INT2": 2,
}  # fmt: skip
#: Types of two numbers.
COMPLEX = ("COMPLEX64", "COMPLEX128")
#: The smallest and the largest value of integer attributes, each entry of a list.
POSITIVE, COUNT, FLAG = (1, LARGEST_NUMBER), (0, LARGEST_NUMBER), (0, 1)
RANGES: Mapping[str, tuple[int, int]] = {
    **dict.fromkeys(("kernel_shape", "dilations", "group", "blocksize", "num_groups", "hidden_size"), POSITIVE),
    **dict.fromkeys(("pads", "output_padding", "output_shape", "pooled_shape", "p", "size"), COUNT),
    "strides": (1, LARGEST_STRIDE),
    **dict.fromkeys(("axis", "axes"), (-MOST_AXES, MOST_AXES - 1)),
    **dict.fromkeys(("keepdims", "ceil_mode", "count_include_pad", "transA", "transB", "storage_order"), FLAG),
    **dict.fromkeys(("training_mode", "spatial", "exclusive", "reverse", "allowzero", "largest", "sorted"), FLAG),
    **dict.fromkeys(("upper", "fmod", "align_corners", "noop_with_empty_axes", "select_last_index"), FLAG),
}  # fmt: skip
#: Attributes that are element types.
TYPED = ("to", "dtype")
#: An equation of Einsum without its spaces. onnx's shape inference does not end for some that are none.
TERM = r"(?:[A-Za-z]|\.\.\.)*"
EQUATION = re.compile(f"{TERM}(?:,{TERM})*(?:->{TERM})?")
#: The most functions that call each other, one within the other.
DEEPEST = 100
#: The most numbers in a message.
SHOWN = 6
#: Operators in which an attribute of that name has other values: pads may cut, and axes are counted otherwise.
EXEMPT = {("Pad", "pads")}


def check_sound(model: onnx.ModelProto, source: str) -> None:
    """Raise NetworkError, naming `source` and the place, for a model that contradicts itself or is absurd."""
    _check_texts(model, source)
    _check_length(model, source)
    for where, node, in_function in _nodes(model, source):
        if not node.output:
            raise NetworkError(f"{where} has no outputs; export the network again.")
        _check_attributes(node, where)
        for attribute in node.attribute if not in_function else ():
            if attribute.ref_attr_name:
                raise NetworkError(
                    f"{where} has the attribute {attribute.name!r} of a function, and is in none; export the network "
                    "again."
                )
    for graph, where in _graphs(model, source):
        for item in (*graph.input, *graph.output, *graph.value_info):
            _check_type(item, where)
        for tensor in graph.initializer:
            _check_tensor(tensor, f"{where}: tensor {tensor.name!r}")
        for sparse in graph.sparse_initializer:
            _check_sparse(sparse, f"{where}: tensor {sparse.values.name!r}")


def bytes_of(tensor: onnx.TensorProto) -> int | None:
    """The bytes that a tensor of numbers takes; None for texts and for types that do not exist."""
    name: str | None = TYPES.get(tensor.data_type)
    if name is None or name == "STRING":
        return None
    width = NARROW.get(name) or 8 * int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    return (math.prod(map(int, tensor.dims)) * int(width) + 7) // 8


def _check_texts(model: Message, source: str) -> None:
    """Texts are UTF-8, and names have no control characters, which a terminal would obey.

    Descriptions and metadata may have any: exporters store vocabularies and stack traces in them.
    """
    left: list[tuple[Message, str, bool]] = [(model, source, False)]
    while left:
        message, where, free = left.pop()
        if isinstance(message, onnx.NodeProto):
            where = f"{where}: node {_title(message)}"
        for field, value in message.ListFields():
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                inside = field.name == "metadata_props"
                left += [(item, where, inside) for item in (value if field.is_repeated else (value,))]
            elif field.type == FieldDescriptor.TYPE_STRING:
                for text in value if field.is_repeated else (value,):
                    if isinstance(text, bytes):
                        raise NetworkError(
                            f"{where}: its field {field.name!r} is {text!r}, which is no UTF-8; "
                            "export the network again."
                        )
                    if not free and field.name != "doc_string" and not text.isprintable() and _controls(text):
                        raise NetworkError(
                            f"{where}: its field {field.name!r} is {text!r}, with control characters; rename it."
                        )


def _controls(text: str) -> bool:
    return any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in text)


def _check_length(model: onnx.ModelProto, source: str) -> None:
    """Raise NetworkError for functions that call themselves, and for more than `LARGEST_GRAPH` nodes."""
    functions = {(item.domain, item.name): item for item in model.functions}
    lengths: dict[tuple[str, str], int] = {}
    open_ones: list[tuple[str, str]] = []

    def length(nodes: Iterable[onnx.NodeProto]) -> int:
        total = 0
        for node in nodes:
            total += 1 + sum(length(graph.node) for graph in _subgraphs(node))
            key = (node.domain, node.op_type)
            if key in functions:
                total += of_function(key)
        return total

    def of_function(key: tuple[str, str]) -> int:
        if key not in lengths:
            if key in open_ones or len(open_ones) > DEEPEST:
                raise NetworkError(f"{source}: its function {key[1]!r} calls itself; export the network again.")
            open_ones.append(key)
            lengths[key] = length(functions[key].node)
            open_ones.pop()
        return lengths[key]

    total = length(model.graph.node)
    if total > LARGEST_GRAPH:
        raise NetworkError(
            f"{source}: has {total} nodes with its functions inlined, and crosscheck takes up to {LARGEST_GRAPH}; "
            "name a part of the network."
        )


def _graphs(model: onnx.ModelProto, source: str) -> Iterator[tuple[onnx.GraphProto, str]]:
    """The graph and every subgraph, and where it is."""
    yield model.graph, source
    for where, node, _ in _nodes(model, source):
        for graph in _subgraphs(node):
            yield graph, where


def _nodes(model: onnx.ModelProto, source: str) -> Iterator[tuple[str, onnx.NodeProto, bool]]:
    """Every node of the graph, its subgraphs and the functions, after the place for messages; whether in a function."""
    left: list[tuple[str, Iterable[onnx.NodeProto], bool]] = [(source, model.graph.node, False)]
    left += [(f"{source}: function {item.name!r}", item.node, True) for item in model.functions]
    while left:
        place, nodes, in_function = left.pop()
        for index, node in enumerate(nodes):
            where = f"{place}: node {_title(node, index)}"
            yield where, node, in_function
            left += [(where, graph.node, in_function) for graph in _subgraphs(node)]


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _title(node: onnx.NodeProto, index: int | None = None) -> str:
    return f"{(node.name or index)!r} ({node.op_type})" if node.name or index is not None else f"({node.op_type})"


def _check_attributes(node: onnx.NodeProto, where: str) -> None:
    for attribute in node.attribute:
        if not attribute.type:
            raise NetworkError(
                f"{where} has the attribute {attribute.name!r} without a type; export the network again."
            )
        if attribute.HasField("t"):
            _check_tensor(attribute.t, f"{where}: attribute {attribute.name!r}")
        for tensor in attribute.tensors:
            _check_tensor(tensor, f"{where}: attribute {attribute.name!r}")
        for sparse in (
            *([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else ()),
            *attribute.sparse_tensors,
        ):
            _check_sparse(sparse, f"{where}: attribute {attribute.name!r}")
        if node.domain not in ONNX_DOMAIN:
            continue
        for text in (attribute.s, *attribute.strings):
            try:
                text.decode()
            except UnicodeDecodeError:
                raise NetworkError(
                    f"{where} has the attribute {attribute.name} {text!r}, which is no UTF-8; export the network again."
                ) from None
        if node.op_type == "Einsum" and attribute.name == "equation":
            equation = attribute.s.decode()
            if not EQUATION.fullmatch(equation.replace(" ", "")):
                raise NetworkError(f"{where} has the equation {equation!r}, which is none; correct it.")
        if attribute.name in TYPED and attribute.type == onnx.AttributeProto.INT and attribute.i not in TYPES:
            raise NetworkError(
                f"{where} has the attribute {attribute.name} {attribute.i}, which is no element type; correct it."
            )
        if attribute.name == "axes" and len(set(attribute.ints)) < len(attribute.ints):
            text = ", ".join(map(str, attribute.ints[:SHOWN]))
            raise NetworkError(f"{where} has the attribute axes {text}, which has one twice; correct it.")
        lowest, highest = RANGES.get(attribute.name, (None, None))
        if lowest is None or highest is None or (node.op_type, attribute.name) in EXEMPT:
            continue
        values = attribute.ints if attribute.type == onnx.AttributeProto.INTS else [attribute.i]
        if any(not lowest <= value <= highest for value in values):
            text = ", ".join(map(str, values[:SHOWN]))
            raise NetworkError(
                f"{where} has the attribute {attribute.name} {text}, which must be from {lowest} to {highest}; "
                "correct it."
            )
        if attribute.name == "kernel_shape" and math.prod(attribute.ints) > LARGEST_WINDOW:
            sizes = " x ".join(map(str, attribute.ints))
            raise NetworkError(f"{where} has a window of {sizes}, more than {LARGEST_WINDOW} entries; correct it.")


def _check_type(item: onnx.ValueInfoProto, where: str) -> None:
    """A tensor's element type exists, or is left open; it has few axes."""
    kind = item.type
    if not kind.HasField("tensor_type"):
        return
    tensor = kind.tensor_type
    if tensor.elem_type and tensor.elem_type not in TYPES:
        raise NetworkError(
            f"{where}: {item.name!r} has the element type {tensor.elem_type}, which does not exist; "
            "export the network again."
        )
    if len(tensor.shape.dim) > MOST_AXES:
        raise NetworkError(
            f"{where}: {item.name!r} has {len(tensor.shape.dim)} axes, more than {MOST_AXES}; reshape it."
        )


def _check_sparse(sparse: onnx.SparseTensorProto, where: str) -> None:
    _check_tensor(sparse.values, where)
    _check_tensor(sparse.indices, f"{where}, its indices")
    if onnx.TensorProto.EXTERNAL in (sparse.values.data_location, sparse.indices.data_location):
        raise NetworkError(
            f"{where} is sparse and in another file, which onnx does not read; export the network again."
        )
    if any(size < 0 for size in sparse.dims):
        raise NetworkError(f"{where} has sizes below zero; export the network again.")


def _check_tensor(tensor: onnx.TensorProto, where: str) -> None:
    """A stored tensor has as many bytes as its sizes and its element type ask for."""
    if tensor.data_type not in TYPES:
        raise NetworkError(
            f"{where} has the element type {tensor.data_type}, which does not exist; export the network again."
        )
    if len(tensor.dims) > MOST_AXES or any(size < 0 for size in tensor.dims):
        sizes = ", ".join(map(str, tensor.dims[:SHOWN]))
        raise NetworkError(f"{where} has the sizes {sizes}, which no tensor has; export the network again.")
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return
    name, expected = TYPES[tensor.data_type], bytes_of(tensor)
    if tensor.HasField("raw_data"):
        stored, unit = len(tensor.raw_data), "bytes"
    else:
        stored, unit = len(getattr(tensor, onnx.helper.tensor_dtype_to_field(tensor.data_type))), "numbers"
        if name not in NARROW:  # of those a number has several
            expected = math.prod(tensor.dims) * (2 if name in COMPLEX else 1)
    if stored != expected:
        raise NetworkError(
            f"{where} has {stored} {unit} instead of {expected}, which its sizes and its type {name} ask for; "
            "export the network again."
        )
