"""The verbs that every runtime's adapter has, and the words in which it describes its modes.

This file and every `adapter.py` are read in two places: inside a runtime's environment (CPython
3.6 and later, standard library and numpy alone) and by the host, which wants the table of modes
and must not need the runtime for it. So an adapter imports its runtime in `load`, nowhere else.
"""

import os
import sys
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

Array = Any  # numpy.ndarray; old numpy has no generic types
Model = Any  # whatever the runtime executes
Tensor = Any  # the runtime's own array


class NotInRelease(Exception):
    """Raised by an adapter when the loaded release lacks what a mode needs; the text says what is missing."""


class Contract(NamedTuple):
    """What the runtime's documentation says happens to the moving statistics in this mode.

    statistics: "stay", "move" or "undocumented".
    says: the documentation's statement in our words, or what it leaves open.
    link: the page that says so, or the page that ought to.
    """

    statistics: str
    says: str
    link: str


class Mode(NamedTuple):
    """One way in which users of the runtime ask for an input gradient, a prediction or an export.

    name: short and typable, API first: "executor.train.eval".
    intent: "inference" or "training": which statistics the author of such a call wants.
    asks: "gradient", "prediction" or "export".
    call: the code as a user would write it; shown in the report.
    contract: what the documentation says about the statistics.
    since, until: the first and the last release that has it (None: all).
    inference: the mode that asks for the inference-mode gradient on a model built for this mode, if there is one.
    training: for an inference-intent gradient mode, the training-intent mode that `order` runs before it.
    default: whether the default matrix asks in this way.
    unit_scale: whether the layers are told to take 1 for their scale, whatever the network's says.
    file: for an export, whether it is one to ONNX (files that it writes are read by other runtimes anyway); for the
        others, whether it reads such a file, which another runtime wrote.
    """

    name: str
    intent: str
    asks: str
    call: str
    contract: Contract
    since: Optional[str] = None
    until: Optional[str] = None
    inference: Optional[str] = None
    training: Optional[str] = None
    default: bool = True
    unit_scale: bool = False
    file: bool = False


class Network(NamedTuple):
    """A network as it reaches an adapter.

    graph: {"name", "inputs": [{"name", "shape"}], "outputs": [{"name", "shape"}], "nodes": [{"op", "name",
        "inputs", "outputs", "attributes"}]}; operators, attributes and names are ONNX's, the batch axis is "N".
    weights: initialiser name -> float32 or int64 array.
    onnx: form name ("opset-9", "opset-15-training", ...) -> path of an ONNX file, for runtimes that read ONNX. A file
        that a runtime wrote is called "file", and comes with "file-gradient" and "file-exposed"; its graph has no
        attributes then, and `weights` is empty.
    batch: number of rows of the probe input, for runtimes that bind shapes ahead of time.
    scratch: a folder of this trial's own, for runtimes that must read files.
    kept: a folder that the trials of one release share, for what takes long to make of a file and is the same in each:
        what a compiler wrote, under a name that its whole input went into.
    sources: the program's sources by use, as `crosscheck.runtimes.program` composes them; `source` is the one in use.
    texts: mode name -> the mode's texts.
    """

    graph: Mapping[str, Any]
    weights: Mapping[str, Array]
    onnx: Mapping[str, str]
    batch: int
    scratch: str
    kept: str
    sources: Mapping[str, Any] = {}
    source: Any = None
    texts: Mapping[str, Any] = {}


class Adapter:
    """One class per runtime. Verbs that a runtime has no use for keep the default given here.

    Values of type Tensor are the runtime's own arrays; `numpy` is the only verb that must wait for their
    contents, so that a trial can choose not to.
    """

    #: The runtime's name, which is its package's; the folder is called alike, with _ for -.
    name = ""
    #: Every mode that any release has.
    modes: Tuple[Mode, ...] = ()
    #: Whether `layers` shows anything.
    shows_layers = False

    def trial_command(self, path: str, request: str) -> List[str]:
        """The words that start one trial in an interpreter of its own; the adapter's file, the request's JSON file."""
        bootstrap = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bootstrap.py")
        return [sys.executable, bootstrap, path, "trial", request]

    def load(self) -> str:
        """Import the runtime and return its version. Must not execute any operation: the server forks after it."""
        raise NotImplementedError

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """Make the network in the runtime's own layers or file format, ready to be asked in `mode`.

        With `shares`, a model that `build` returned before: every layer whose weights have the same names is that
        model's own layer (the same parameter and statistics tensors), as a user chains layers of one network into
        another. Weights that `shares` does not have are new.
        """
        raise NotImplementedError

    def tensor(self, x: Array) -> Tensor:
        """The runtime's array with these numbers, as a user would make it from numpy."""
        return np.array(x)

    def numpy(self, value: Tensor) -> Array:
        """The numbers in the runtime's array, waiting for them if they are not there yet."""
        return np.array(value)

    def predict(self, model: Model, x: Tensor) -> Tensor:
        """The documented way to predict. `x` may have another number of rows than `network.batch`."""
        raise NotImplementedError

    def forward(self, model: Model, x: Tensor, mode: str) -> Tensor:
        """Carry out a mode that asks for a prediction."""
        raise NotImplementedError

    def gradient(self, model: Model, x: Tensor, cotangent: Tensor, mode: str, between: Callable[[], None]) -> Tensor:
        """Carry out a mode that asks for d sum(output * cotangent) / d x, written as the runtime's users write it.

        `between` is to be called once after forward and before backward where the runtime lets them be taken apart,
        and not at all where one call does both.
        """
        raise NotImplementedError

    def export(self, model: Model, mode: str, folder: str) -> Optional[Model]:
        """Carry out a mode that asks for an export: write files to `folder`, read them back, return that.

        Returns None where the runtime is not to read them back. ONNX files are recorded.
        """
        raise NotImplementedError

    def state(self, model: Model) -> Dict[str, Tensor]:
        """Every persistent tensor, hidden ones too, under the names of `network.weights` where it has one there."""
        return {}

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """What the runtime's public parameter view shows, under the same names as in `state`."""
        return {}

    def layers(self, model: Model, x: Tensor, mode: str) -> Dict[str, Tensor]:
        """What each node puts out for x in a mode that asks for a prediction, under the graph's names of tensors.

        Called in a trial of its own, because looking may keep a runtime from fusing what it otherwise would.
        """
        return {}

    def settle(self, model: Model) -> None:
        """Wait for all asynchronous work of the runtime."""

    def flags(self) -> Dict[str, bool]:
        """The runtime's global mode flags ("is training", "is recording"), where it has any."""
        return {}
