"""A network: the plain graph, its weights and its probe input."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx

from crosscheck.cells import Array
from crosscheck.networks.foreign import Foreign
from crosscheck.networks.graph import Graph

__all__ = ["LARGE", "RECORDED", "BatchNorm", "Network", "OwnFile", "Written", "fixed_cotangent", "network_of"]


#: The number of weights above which a user's network is asked about in fewer trials.
LARGE = 2**20
#: The most numbers in the outputs of a user's layers that are recorded.
RECORDED = 2**22


@dataclass(frozen=True)
class BatchNorm:
    """One batch normalization: the node's name, the names of its four parameters, and its two attributes.

    `momentum` is ONNX's: the fraction of the moving statistics kept by an update.
    """

    node: str
    scale: str
    bias: str
    mean: str
    variance: str
    epsilon: float
    momentum: float


@dataclass(frozen=True, eq=False)
class Written:
    """An ONNX file that runtimes read byte for byte.

    source: the network that a runtime exported to it, or the lowered network of a user's file; None for a user's file
    that cannot be lowered.
    """

    content: bytes = field(repr=False)
    source: Network | None


@dataclass(frozen=True, eq=False)
class OwnFile:
    """The user's file that a network was loaded from.

    words: the options of a command that load it again. file_name: without its folder. short: the network's name without
    the digest. inputs: the names of its inputs in the file, the differentiated one first. layer_numbers: the numbers in
    the outputs of all its nodes. rows: of the differentiated
    input, those that the user gave, the others being copies of them; all of a drawn one. said: sentences about what was
    chosen for the user. file: the file as it is, beside a network that was lowered. foreign: where the user's file has
    another format than ONNX; `file` is then what its runtime exported.
    """

    words: tuple[str, ...]
    file_name: str
    short: str
    inputs: tuple[str, ...]
    rows: int
    layer_numbers: int = 0
    said: tuple[str, ...] = ()
    file: Network | None = None
    foreign: Foreign | None = None


@dataclass(frozen=True, eq=False)
class Network:
    """A checked network and its probe input. Arrays are read-only.

    model: the ONNX model as loaded; of a user's file, with sizes fixed, constants folded, and one output.
    graph, weights: the same, lowered (`crosscheck.networks.graph`); tensor name -> float32 array. Of a file: its own
        nodes, and the values of its further inputs.
    x: the probe input, float32, (rows, ...); of a user's file, of the file's type.
    cotangent: multiplied with the output before the sum is differentiated; float32, (rows, ...).
    images, labels: held-out images, float32 (count, ...), and their classes, int64 (count,), or None.
    target: the class of scenario `ascent`, the runner-up on the probe input, or None.
    file: a file that runtimes read as it is (`crosscheck.networks.onnx_files`) or None; with it, nothing is lowered.
    own: the user's file, or None; networks that are made from another one have none.
    shipped: files of a shipped network for runtimes that read another format alone, by name; empty for other networks.
    """

    name: str
    title: str
    description: str
    model: onnx.ModelProto = field(repr=False)
    graph: Graph = field(repr=False)
    weights: Mapping[str, Array] = field(repr=False)
    x: Array = field(repr=False)
    cotangent: Array = field(repr=False)
    images: Array | None = field(default=None, repr=False)
    labels: Array | None = field(default=None, repr=False)
    target: int | None = None
    file: Written | None = None
    own: OwnFile | None = None
    shipped: Mapping[str, Path] = field(default_factory=dict, repr=False)

    @property
    def words(self) -> tuple[str, ...]:
        """The options of `crosscheck run` that select the network."""
        return ("--network", self.name) if self.own is None else self.own.words

    @property
    def as_it_is(self) -> Network | None:
        """The user's file that runtimes read byte for byte; None if the network is no user's."""
        if self.own is None:
            return None
        return self.own.file if self.file is None else self

    @property
    def differentiable(self) -> bool:
        """Whether the probe input holds floats, so that there is an input gradient."""
        return self.x.dtype.kind == "f"

    @cached_property
    def large(self) -> bool:
        """Whether it is a user's with so many weights that it is asked about in fewer trials."""
        return self.own is not None and sum(math.prod(item.dims) for item in self.model.graph.initializer) > LARGE

    @property
    def shows_layers(self) -> bool:
        """Whether the outputs of its layers are few enough to be recorded."""
        return not self.large and (self.own is None or self.own.layer_numbers <= RECORDED)

    @property
    def classes(self) -> int | None:
        """The number of classes of a classifier with held-out images; None for other networks."""
        return None if self.labels is None else int(self.cotangent.shape[1])

    @cached_property
    def classes_asked(self) -> Array | None:
        """One-hot rows, float32 (rows, outputs): row r names output r mod outputs; None where a row is no vector."""
        if self.cotangent.ndim != 2:
            return None
        rows, outputs = self.cotangent.shape
        asked: Array = np.eye(outputs, dtype=np.float32)[np.arange(rows) % outputs]
        return asked

    def cotangent_of(self, answers: str) -> Array:
        """The cotangent of a mode, by what its gradient is of (`crosscheck.runtimes.mode.Mode.answers`)."""
        return self.cotangent if not answers or self.classes_asked is None else self.classes_asked

    @cached_property
    def convolves_pictures(self) -> bool:
        """Whether it has a convolution over two axes."""
        return any(
            node["op"] == "Conv" and len(node["attributes"]["kernel_shape"]) == 2 for node in self.graph["nodes"]
        )

    @cached_property
    def operators(self) -> frozenset[str]:
        """The operators of its nodes."""
        return frozenset(node["op"] for node in self.graph["nodes"])

    @cached_property
    def batch_norms(self) -> tuple[BatchNorm, ...]:
        """Every batch normalization, in order of execution; empty for a file."""
        if self.file is not None:
            return ()
        return tuple(
            BatchNorm(node["name"], scale, bias, mean, variance, **node["attributes"])
            for node in self.graph["nodes"]
            if node["op"] == "BatchNormalization"
            for scale, bias, mean, variance in [node["inputs"][1:]]
        )

    def taken(
        self, weights: Mapping[str, Array], unit_scale: bool = False, zero_bias: bool = False
    ) -> Mapping[str, Array]:
        """`weights` as its batch normalizations take them that are told to leave out the scale, the bias, or both."""
        scales = {norm.scale for norm in self.batch_norms} if unit_scale else set()
        biases = {norm.bias for norm in self.batch_norms} if zero_bias else set()
        left_out = dict.fromkeys(scales, 1.0) | dict.fromkeys(biases, 0.0)
        return {
            name: np.full_like(value, left_out[name]) if name in left_out else value for name, value in weights.items()
        }

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) of all inputs of a measurement; equal in every process and platform."""
        sums = hashlib.sha256(json.dumps(self.graph, sort_keys=True).encode())
        parts = {f"weight {name}": value for name, value in self.weights.items()}
        parts |= {"x": self.x, "cotangent": self.cotangent, "target": np.array(self.target or 0)}
        parts |= {key: value for key in ("images", "labels") if (value := getattr(self, key)) is not None}
        if self.file is not None:
            parts["file"] = np.frombuffer(self.file.content, np.uint8)
        if self.own is not None and self.own.foreign is not None:
            parts["foreign"] = np.frombuffer(bytes.fromhex(self.own.foreign.digest), np.uint8)
        for key, value in sorted(parts.items()):
            little_endian = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
            sums.update(f"{key} {little_endian.dtype.str} {value.shape}\n".encode())
            sums.update(little_endian.tobytes())
        return sums.hexdigest()


def fixed_cotangent(shape: tuple[int, ...]) -> Array:
    """A cotangent with distinct neighbours: entry k is (2 floor(64 frac((k + 1) φ)) + 1) / 64 - 1, float32.

    k counts entries in C order and φ = (√5 - 1) / 2, so entries spread evenly over (-1, 1) and none is zero. A constant
    cotangent does not suffice: its gradient through training-mode batch normalization is zero. Entries are odd
    multiples of 1/64, exact in every float type.
    """
    golden = (math.sqrt(5) - 1) / 2
    values: Array = np.arange(1, math.prod(shape) + 1, dtype=np.float64)
    values *= golden  # in place, as outputs may be large
    values %= 1
    values *= 64
    np.floor(values, out=values)
    values *= 2
    values += 1
    values /= 64
    values -= 1
    return values.astype(np.float32).reshape(shape)


def network_of(
    model: onnx.ModelProto,
    graph: Graph,
    weights: dict[str, Array],
    title: str,
    inputs: Mapping[str, Array],
    shipped: Mapping[str, Path] | None = None,
) -> Network:
    """The network with its probe: `inputs` are arrays by the names of the fields. `title` is for files without one."""
    for array in (*inputs.values(), *weights.values()):
        array.flags.writeable = False
    first_line, _, description = model.doc_string.strip().partition("\n")
    return Network(
        name=graph["name"],
        title=first_line or title,
        description=description.strip(),
        model=model,
        graph=graph,
        weights=weights,
        x=inputs["x"],
        cotangent=inputs["cotangent"],
        images=inputs.get("images"),
        labels=inputs.get("labels"),
        target=int(inputs["target"]) if "target" in inputs else None,
        shipped=shipped or {},
    )
