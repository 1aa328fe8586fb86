"""The verbs that a trial asks of a runtime's adapter.

This file and every `adapter.py` are read inside a runtime's environment: CPython 3.6 and later, standard library and
numpy alone. An adapter imports its runtime in `load`, nowhere else.
"""

import os
import sys
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional

import numpy as np

Array = Any  # numpy.ndarray; old numpy has no generic types
Model = Any  # whatever the runtime executes
Tensor = Any  # the runtime's own array


class Network(NamedTuple):
    """A network as it reaches an adapter.

    graph: {"name", "inputs": [{"name", "shape"}], "outputs": [{"name", "shape"}], "nodes": [{"op", "name",
        "inputs", "outputs", "attributes"}]}; operators, attributes and names are ONNX's, the batch axis is "N".
    weights: initialiser name -> float32 or int64 array.
    onnx: form name ("opset-9", "opset-15-training", ...) -> path of an ONNX file, for runtimes that read ONNX. A file
        that a runtime wrote is called "file", and comes with "file-gradient" and "file-exposed"; its graph has no
        attributes then, and `weights` is empty. The parts of a user's file in another format are there under their own
        names.
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

    def start(self, model: Model, x: Tensor, cotangent: Tensor, mode: str) -> None:
        """What the user of a toolkit does before the call of `mode`: puts the network into a state."""
        raise NotImplementedError

    def explain(self, model: Model, x: Tensor, cotangent: Tensor, mode: str) -> Tensor:
        """The toolkit's call of `mode` alone."""
        raise NotImplementedError

    def train(self, model: Model, x: Tensor, cotangent: Tensor) -> None:
        """One training step that lowers sum(output * cotangent), in whatever state the network is."""
        raise NotImplementedError

    def reuse(self, model: Model, what: str, x: Tensor, cotangent: Tensor) -> Optional[Tensor]:
        """Do with the network what its users do later: "save", "load", "copy" ...; return the numbers, if it has any.

        "load" reads into this model what "save" wrote of another one.
        """
        return None

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

    def left(self, model: Model) -> Dict[str, Tensor]:
        """What calls left on the network that no prediction reads: parameter gradients, hooks, `requires_grad` flags.

        Only what a network that was just built does not have, and what the user's own lines did not set. Not what the
        next call overwrites, as MXNet's gradient buffers are, unless they add up.
        """
        return {}

    def switched(self, model: Model) -> Dict[str, bool]:
        """Each layer whose mode flag is not what the user's own lines set it to, with the flag's value."""
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
