"""A network as source text in a runtime's own layers: what `network.py` of a runtime's folder writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from packaging.version import Version

__all__ = ["Array", "Graph", "Request", "Source", "Stored", "Unwritten"]

Array = np.ndarray[Any, np.dtype[Any]]
#: A plain graph: what it promises stands in `crosscheck.networks.graph`.
Graph = Mapping[str, Any]

#: Where a tensor is: an expression, and the order of its axes that makes the graph's layout of it (None: as it is).
Stored = tuple[str, tuple[int, ...] | None]


class Unwritten(Exception):
    """A writer does not know an operator; the message names it."""


@dataclass(frozen=True)
class Request:
    """What the source text is to be of.

    graph, weights: the network (`crosscheck.networks.graph`); the text reads values from `weights` by name.
    batch: the number of rows of the probe input.
    release: the runtime's release.
    kind, norm, form, fed: those of the mode for which the network is made (`crosscheck.runtimes.mode.Mode`).
    intent, asks, native: likewise. With `native`, the text reads the user's file, whose tensors have their own names.
    trusted: whether that file may run code when it is opened.
    told: what the variant tells the runtime (`told` in `releases.toml`).
    first: the graph of the network whose layers are shared. Its `net` is in the namespace, and the text must reuse
        every layer whose weights have the same names. None: a network of its own.
    """

    graph: Graph
    weights: Mapping[str, Array]
    batch: int
    release: Version
    kind: str = ""
    norm: Mapping[str, Any] = field(default_factory=dict)
    form: str = ""
    fed: bool = False
    intent: str = "inference"
    asks: str = "gradient"
    told: Mapping[str, str] = field(default_factory=dict)
    first: Graph | None = None
    native: str = ""
    trusted: bool = False

    @property
    def input(self) -> str:
        """The name of the graph's input."""
        return str(self.graph["inputs"][0]["name"])

    @property
    def output(self) -> str:
        """The name of the graph's output."""
        return str(self.graph["outputs"][0]["name"])

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of the probe input."""
        return (self.batch, *(int(size) for size in self.graph["inputs"][0]["shape"][1:]))


@dataclass(frozen=True)
class Source:
    """A network as text, and how its tensors are read.

    imports: what a script of the runtime begins with; also what the texts of its modes use.
    text: makes `net`, with the values of `weights` (name -> numpy array).
    predict: the documented prediction of `x`; sets `y`.
    tensor: an expression with `{}` for a numpy array: the runtime's tensor of it.
    array: an expression with `{}` for the runtime's tensor: its numbers, waiting for them if need be.
    classify: the same as `predict` for another number of rows, where that takes another text.
    train: one training step that lowers sum(output * cotangent) for `x`, in whatever state the network is; "" where no
        toolkit sits on the runtime.
    reuse: what users do with the network after a toolkit's call, by name (`crosscheck.probe.recorded`): "save" its
        state; "load" that into a network made anew; "copy" or "pickle" it; "differentiate-twice", which sets `dx`.
    answer: of a base of toolkits, the same as `array` for what a toolkit's call answers, which may be a numpy array;
        "" where `array` takes such arrays, too. Scripts alone use it.
    looks: of a base of toolkits, defines `look()`: the set of what a call may leave on the network beside its tensors,
        a string each. Scripts alone use it, on either side of the call.
    layers: sets `layers`, {tensor of the graph: value}: what every node puts out for `x`; "" where nothing shows that.
    tensors: name of a weight in the graph -> where it is stored; further persistent tensors under names of their own.
    public: those that the runtime's public view of parameters shows.
    view: where that view is a call of its own, which may show another value: name -> expression, as in `tensors`.
    leaves: what `text` and `predict` put the layers' mode flags into, as in `Mode.leaves`.
    carried: names of what a user keeps beside `net`, which a text may bind anew: a network on shared layers has these
        variables in common with the first one, as in one script.
    files: file name -> form of the network (`crosscheck.networks.forms`) that the texts read under that name; for the
        parts of a user's file (`crosscheck.runtimes.format`), and for a shipped network's file -> the name itself.
    """

    imports: str
    text: str
    predict: str
    tensor: str
    array: str
    classify: str = ""
    layers: str = ""
    train: str = ""
    reuse: Mapping[str, str] = field(default_factory=dict)
    answer: str = ""
    looks: str = ""
    tensors: Mapping[str, Stored] = field(default_factory=dict)
    public: tuple[str, ...] = ()
    view: Mapping[str, Stored] = field(default_factory=dict)
    leaves: tuple[str, str] = ("", "")
    carried: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
