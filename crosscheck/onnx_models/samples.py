"""Values of the inputs of a user's network: from files, or drawn."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

from crosscheck.cells import Array
from crosscheck.errors import NetworkError
from crosscheck.onnx_models.memory import check_numbers

__all__ = ["COTANGENT", "read_samples", "values_of"]

#: The key of the cotangent in a file of values.
COTANGENT = "cotangent"
#: Mean and standard deviation of a channel, by which classifiers of ImageNet expect red, green and blue in [0, 1]:
#: https://docs.pytorch.org/vision/0.21/models/generated/torchvision.models.resnet18.html
MEAN, SPREAD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
#: Brightness of the copies of a picture that fill a batch.
FAINTER = 0.8


def read_samples(paths: Sequence[str], x: onnx.ValueInfoProto) -> dict[str, Array]:
    """The values in the user's files, by input; a file without names, and pictures, are values of `x`.

    An .npz has values by the inputs' names, and may have a `cotangent`; an .npy is one array. All other files are
    pictures, a row each: RGB, resized to the input's size, normalized as classifiers of ImageNet expect it.
    Raises NetworkError, naming the file.
    """
    values: dict[str, Array] = {}
    pictures: list[Array] = []
    for path in map(Path, paths):
        try:
            if path.suffix == ".npz":
                with np.load(path, allow_pickle=False) as file:
                    values |= {name: file[name] for name in file.files}
            elif path.suffix == ".npy":
                values[x.name] = np.load(path, allow_pickle=False)
            else:
                pictures.append(_picture(path, [size.dim_value for size in x.type.tensor_type.shape.dim]))
        except (OSError, ValueError, zlib.error) as problem:
            raise NetworkError(f"{path}: cannot be read as an input ({' '.join(str(problem).split())}).") from problem
    if pictures:
        values[x.name] = np.stack(pictures)
    return values


def values_of(
    model: onnx.ModelProto, inputs: Sequence[onnx.ValueInfoProto], given: Mapping[str, Array], source: str
) -> dict[str, Array]:
    """A value for every input, of its type and shape: as given, else drawn (seed 0).

    Floats are drawn from the standard normal distribution, variances of batch normalizations from (0.5, 1.5); integers
    from 0 to 1, or below the number of rows that they select in a Gather of constants. Given values may have fewer
    rows: mirrored and fainter copies fill the batch.
    Raises NetworkError for values that do not fit, and for types that NumPy lacks.
    """
    values = {}
    for item in inputs:
        number = item.type.tensor_type.elem_type
        if number == onnx.TensorProto.UNDEFINED:
            raise NetworkError(f"{source}: the element type of {item.name!r} is unknown; export the model with types.")
        dtype = onnx.helper.tensor_dtype_to_np_dtype(number)
        if dtype.kind not in "fiub":
            raise NetworkError(f"{source}: input {item.name!r} has the type {dtype}, which NumPy cannot hold.")
        shape = tuple(size.dim_value for size in item.type.tensor_type.shape.dim)
        check_numbers(shape, f"{source}: input {item.name!r}", f"--shape {item.name}=... makes it smaller")
        if item.name in given:
            values[item.name] = _fitted(np.asarray(given[item.name]), shape, dtype, f"{source}: input {item.name!r}")
        else:
            values[item.name] = _drawn(model, item.name, shape, dtype)
    return values


def _picture(path: Path, shape: Sequence[int]) -> Array:
    from PIL import Image  # only those who give a picture need the library

    if len(shape) != 4 or shape[1] not in (1, 3):
        raise ValueError(f"the network takes {tuple(shape)}, which is no batch of pictures")
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB").resize((shape[3], shape[2]), Image.Resampling.BICUBIC), np.float64)
    scaled = (pixels / 255 - MEAN) / SPREAD
    channels = scaled if shape[1] == 3 else scaled.mean(axis=2, keepdims=True)
    return np.asarray(channels.transpose(2, 0, 1), np.float32)


def _fitted(value: Array, shape: tuple[int, ...], dtype: np.dtype[np.generic], where: str) -> Array:
    if value.shape == shape[1:]:
        value = value[np.newaxis]
    if value.shape[1:] != shape[1:] or len(value) > shape[0]:
        raise NetworkError(f"{where} takes {shape}; the value given has the shape {value.shape}.")
    if dtype.kind != value.dtype.kind:
        raise NetworkError(f"{where} takes {dtype}; the value given is of {value.dtype}.")
    rows = [value]
    while sum(map(len, rows)) < shape[0]:
        copy = rows[-1][..., ::-1] if value.ndim > 2 else rows[-1]
        rows.append(copy * FAINTER if dtype.kind == "f" else copy)
    return np.ascontiguousarray(np.concatenate(rows)[: shape[0]], dtype)


def _drawn(model: onnx.ModelProto, name: str, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Array:
    generator = np.random.default_rng(0)
    if dtype.kind != "f":
        return np.asarray(generator.integers(0, _choices(model, name), shape)).astype(dtype)
    if any(node.op_type == "BatchNormalization" and node.input[4] == name for node in model.graph.node):
        return np.asarray(generator.uniform(0.5, 1.5, shape)).astype(dtype)
    return np.asarray(generator.standard_normal(shape), np.float32).astype(dtype)


def _choices(model: onnx.ModelProto, name: str) -> int:
    """How many values an input of integers has: as many as rows that it selects, else two."""
    rows = {item.name: item.dims for item in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Gather" and node.input[1] == name and node.input[0] in rows:
            axis = next((item.i for item in node.attribute if item.name == "axis"), 0)
            return int(rows[node.input[0]][axis])
    return 2
