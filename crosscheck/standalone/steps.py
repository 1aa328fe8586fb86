"""What a standalone script does with an adapter: the steps of a scenario, printed beside the numbers of the report.

The linker copies from here what a cell needs, so this is written for CPython 3.6, the standard library and numpy.
"""
# ruff: noqa: UP006, UP032, UP035

import base64
import io
import os
import subprocess
import sys
import tempfile
import traceback
import zlib
from typing import Any, Callable, Dict, List, Mapping

import numpy as np

from crosscheck.probe.adapter import Adapter, Array, Model, Network

#: Two numbers are the same up to this part of the largest one in the report, or absolutely: what crosscheck allows
#: trials of one program on one machine to differ by.
RELATIVE, ABSOLUTE = 1e-4, 1e-6
#: How many numbers of an array are printed.
SHOWN = 6
#: The columns of what is printed: a name, what is measured here, what the report says.
ROW = "{:39} {:75} {}"


class Numbers:
    """Prints what is measured here beside what the report says."""

    def __init__(self, report: Mapping[str, Any]) -> None:
        self.report = report
        self.compared = 0
        self.differing: List[str] = []
        print(ROW.format("", "here", "in the report"))

    def show(self, name: str, value: Array) -> None:
        """Print an array, and note whether it is the one in the report; of large ones the report has the beginning."""
        here = np.asarray(value, np.float64).ravel()
        theirs = self.report.get(name)
        if theirs is None:
            print(ROW.format(name, brief(here), "").rstrip())
            return
        theirs = np.asarray(theirs, np.float64).ravel()
        room = max(ABSOLUTE, RELATIVE * np.max(np.abs(theirs[np.isfinite(theirs)]), initial=0.0))
        same = len(here) >= len(theirs) and np.allclose(here[: len(theirs)], theirs, 0.0, room, equal_nan=True)
        self.note(name, brief(here), brief(theirs), same)

    def note(self, name: str, here: str, theirs: str, same: bool) -> None:
        """Print two texts beside each other."""
        print(ROW.format(name, here, theirs) + ("" if same else "   <-- differs"), flush=True)
        self.compared += 1
        if not same:
            self.differing.append(name)

    def failed(self, problem: Exception) -> None:
        """Print the runtime's own exception."""
        name = type(problem).__name__
        told = self.report.get("message", "")
        print("the runtime raised {}: {}".format(name, problem))
        if not told:
            traceback.print_exc(file=sys.stdout)
        self.note("raises", name, told, name in told)

    def verdict(self) -> int:
        """Print whether all numbers agree; returns the exit code."""
        if self.differing:
            why = ", whose trials did not agree either" if self.report.get("chance") else ""
            why += ", which was measured by other sources than this script's" if self.report.get("changed") else ""
            print("{} of {} differ from the report{}: {}".format(
                len(self.differing), self.compared, why, ", ".join(self.differing)
            ))  # fmt: skip
            return 1
        told = "all {} agree with the report" if self.compared else "the report has none of these numbers"
        print(told.format(self.compared))
        return 0


def run(adapter: Adapter, report: Mapping[str, Any], steps: Callable[..., None], *arguments: Any) -> None:
    """Import the runtime and carry out the steps; the exit code is 1 where a number is not the report's."""
    sys.argv[0] = os.path.abspath(sys.argv[0])
    os.chdir(tempfile.mkdtemp())  # some runtimes leave files where they are
    print(adapter.name, adapter.load(), "on CPython", sys.version.split()[0])
    numbers = Numbers(report)
    try:
        steps(adapter, *arguments, numbers)
    except Exception as problem:
        numbers.failed(problem)
    code = numbers.verdict()
    sys.stdout.flush()
    os._exit(code)  # as in crosscheck's trials: how a runtime clears up is not the question


def stderr_to_file() -> None:
    """Let standard error be a file, as it is in crosscheck's trials: the adapter reads there what native code says."""
    os.dup2(os.open(os.path.join(tempfile.mkdtemp(), "stderr"), os.O_RDWR | os.O_CREAT | os.O_APPEND), 2)


def brief(values: Array) -> str:
    """The first numbers of an array, in six digits."""
    more = " ... ({} numbers)".format(len(values)) if len(values) > SHOWN else ""
    return " ".join("{:.6g}".format(value) for value in values[:SHOWN]) + more


def arrays(numbers: Mapping[str, Any]) -> Dict[str, Array]:
    """Plain lists as arrays of float32."""
    return {name: np.array(value, np.float32) for name, value in numbers.items()}


def unpacked(text: str) -> Dict[str, Array]:
    """The arrays of an .npz in base64."""
    with np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def files(packed: Mapping[str, str]) -> Dict[str, str]:
    """Write ONNX files, compressed and in base64, to a new folder; returns their paths by name."""
    folder = tempfile.mkdtemp()
    paths: Dict[str, str] = {}
    for name, text in packed.items():
        paths[name] = os.path.join(folder, name + ".onnx")
        with open(paths[name], "wb") as file:
            file.write(zlib.decompress(base64.b64decode(text)))
    return paths


def predicted(adapter: Adapter, model: Model, x: Array) -> Array:
    """The runtime's documented way to predict."""
    return adapter.numpy(adapter.predict(model, adapter.tensor(x)))


def snapshot(adapter: Adapter, model: Model) -> Dict[str, Array]:
    """Every persistent tensor."""
    return {name: np.array(adapter.numpy(value)) for name, value in adapter.state(model).items()}


def changes(numbers: Numbers, before: Mapping[str, Array], after: Mapping[str, Array]) -> None:
    """Print each persistent tensor that changed, and by how much; then the names of those that did not."""
    stayed: List[str] = []
    for name, value in sorted(after.items()):
        if name in before and before[name].shape == value.shape:
            change = np.max(np.abs(value.astype(np.float64) - before[name]), initial=0.0)
            told = "largest change of " + name
            if change == 0 and not np.any(numbers.report.get(told, 0.0)):
                numbers.compared += told in numbers.report
                stayed.append(name)
                continue
            print("{:39} {} -> {}".format(name, brief(before[name].ravel()), brief(value.ravel())))
            numbers.show(told, change)
    if stayed:
        print("unchanged: " + ", ".join(stayed))


def gradient(adapter: Adapter, network: Network, mode: str, inputs: Mapping[str, Array], numbers: Numbers) -> None:
    """Predict, take the input gradient, predict again; then look at the persistent tensors."""
    # Each prediction is made twice, as in crosscheck's trials: there are modes in which predicting moves statistics.
    model = adapter.build(network, mode)
    before = starting(adapter, model, network, numbers)
    numbers.show("prediction before", predicted(adapter, model, inputs["x"]))
    numbers.show("and again", predicted(adapter, model, inputs["x"]))
    x, cotangent = adapter.tensor(inputs["x"]), adapter.tensor(inputs["cotangent"])
    dx = adapter.gradient(model, x, cotangent, mode, lambda: None)
    numbers.show("gradient", adapter.numpy(dx))
    numbers.show("prediction after", predicted(adapter, model, inputs["x"]))
    numbers.show("and again", predicted(adapter, model, inputs["x"]))
    adapter.settle(model)
    changes(numbers, before, snapshot(adapter, model))


def prediction(adapter: Adapter, network: Network, mode: str, inputs: Mapping[str, Array], numbers: Numbers) -> None:
    """Predict, call, predict again; then look at the persistent tensors."""
    # Each prediction is made twice, as in crosscheck's trials: there are modes in which predicting moves statistics.
    model = adapter.build(network, mode)
    before = starting(adapter, model, network, numbers)
    numbers.show("prediction before", predicted(adapter, model, inputs["x"]))
    numbers.show("and again", predicted(adapter, model, inputs["x"]))
    numbers.show("answer", adapter.numpy(adapter.forward(model, adapter.tensor(inputs["x"]), mode)))
    numbers.show("prediction after", predicted(adapter, model, inputs["x"]))
    numbers.show("and again", predicted(adapter, model, inputs["x"]))
    adapter.settle(model)
    changes(numbers, before, snapshot(adapter, model))


def starting(adapter: Adapter, model: Model, network: Network, numbers: Numbers) -> Dict[str, Array]:
    """The persistent tensors as they were given; read from the runtime only where it has others that change."""
    changing = [name[len("largest change of ") :] for name in numbers.report if name.startswith("largest change of ")]
    hidden = any(name not in network.weights and numbers.report["largest change of " + name] for name in changing)
    return dict(snapshot(adapter, model) if hidden else {}, **network.weights)


def sibling(adapter: Adapter, network: Network, mode: str, inputs: Mapping[str, Array], numbers: Numbers) -> None:
    """Two networks with the same tensors: the second is asked for a gradient, the first predicts."""
    first = adapter.build(network, mode)
    second = adapter.build(network, mode, first)
    numbers.show("prediction before", predicted(adapter, first, inputs["x"]))
    predicted(adapter, second, inputs["x"])
    x, cotangent = adapter.tensor(inputs["x"]), adapter.tensor(inputs["cotangent"])
    numbers.show("gradient of the second", adapter.numpy(adapter.gradient(second, x, cotangent, mode, lambda: None)))
    numbers.show("prediction after", predicted(adapter, first, inputs["x"]))
    adapter.settle(first)
    changes(numbers, dict(network.weights), snapshot(adapter, first))


def export(adapter: Adapter, network: Network, mode: str, inputs: Mapping[str, Array], numbers: Numbers) -> None:
    """Predict, write the network to files, predict again, and predict with what was read back."""
    model = adapter.build(network, mode)
    numbers.show("prediction before", predicted(adapter, model, inputs["x"]))
    before = snapshot(adapter, model)
    folder = os.path.join(network.scratch, "export")
    os.mkdir(folder)
    read_back = adapter.export(model, mode, folder)
    numbers.show("prediction after", predicted(adapter, model, inputs["x"]))
    after = snapshot(adapter, model)
    if read_back is not None:
        numbers.show("prediction of what is read back", predicted(adapter, read_back, inputs["x"]))
    print("files: " + ", ".join(os.path.join(folder, name) for name in sorted(os.listdir(folder))))
    changes(numbers, before, after)


def order(
    adapter: Adapter, network: Network, mode: str, training: str, inputs: Mapping[str, Array], numbers: Numbers
) -> None:
    """The call in a process of its own, then after a training-mode gradient: of another network, and of the same."""
    if len(sys.argv) < 2:
        sys.stdout.flush()
        folder, readings = tempfile.mkdtemp(), ("alone", "after-other", "after-same")
        codes = [subprocess.call([sys.executable, sys.argv[0], reading, folder]) for reading in readings]
        found = {name[: -len(".npy")]: np.load(os.path.join(folder, name)) for name in os.listdir(folder)}
        for reading in readings[1:]:
            if reading in found and "alone" in found:
                apart = np.max(np.abs(found[reading] - found["alone"]), initial=0.0)
                print("largest difference of the gradient {} from the one alone: {:.6g}".format(reading, apart))
        sys.exit(any(codes))
    reading, folder = sys.argv[1:]
    model = adapter.build(network, mode)
    x, cotangent = inputs["x"], inputs["cotangent"]
    if reading != "alone":
        other = model if reading == "after-same" else adapter.build(network, training)
        adapter.numpy(adapter.gradient(other, adapter.tensor(x), adapter.tensor(cotangent), training, lambda: None))
        adapter.settle(other)
    dx = adapter.gradient(model, adapter.tensor(x), adapter.tensor(cotangent), mode, lambda: None)
    np.save(os.path.join(folder, reading), adapter.numpy(dx))
    numbers.show("gradient " + reading, adapter.numpy(dx))


def twenty(
    adapter: Adapter,
    network: Network,
    mode: str,
    inputs: Mapping[str, Array],
    ask: Callable[..., Array],
    numbers: Numbers,
) -> None:
    """Twenty calls on image plus noise; all held-out images are predicted before the first and after each."""
    model = adapter.build(network, mode)
    accuracy: List[float] = []
    top1: List[int] = []
    for step in range(21):
        if step:
            ask(adapter, model, mode, inputs["noise"][step - 1], inputs["cotangent"])
        top1.append(int(np.argmax(predicted(adapter, model, inputs["x"])[0])))
        classes = np.argmax(predicted(adapter, model, inputs["images"]), axis=1)
        accuracy.append(np.mean(classes == inputs["labels"]))
    numbers.show("accuracy before, after each", accuracy)
    numbers.show("class before, after each", top1)
    adapter.settle(model)
    changes(numbers, dict(network.weights), snapshot(adapter, model))


def ask_gradient(adapter: Adapter, model: Model, mode: str, x: Array, cotangent: Array) -> Array:
    """The call under test, its answer read."""
    return adapter.numpy(adapter.gradient(model, adapter.tensor(x), adapter.tensor(cotangent), mode, lambda: None))


def ask_prediction(adapter: Adapter, model: Model, mode: str, x: Array, cotangent: Array) -> Array:
    """The call under test, its answer read."""
    return adapter.numpy(adapter.forward(model, adapter.tensor(x), mode))


def ascent(
    adapter: Adapter, network: Network, readout: Network, mode: str, inputs: Mapping[str, Array], numbers: Numbers
) -> None:
    """Gradient ascent on the read-out of one class, by a second network with the first one's layers."""
    model = adapter.build(network, mode)
    second = adapter.build(readout, mode, model)
    image = inputs["x"]
    accuracy: List[float] = []
    top1: List[int] = []
    for step in range(21):
        if step:
            slope = ask_gradient(adapter, second, mode, image, np.ones((len(image), 1), np.float32))
            image = rescaled(image + rescaled(slope) / np.float32(10))
        top1.append(int(np.argmax(predicted(adapter, model, inputs["x"])[0])))
        classes = np.argmax(predicted(adapter, model, inputs["images"]), axis=1)
        accuracy.append(np.mean(classes == inputs["labels"]))
    numbers.show("accuracy before, after each", accuracy)
    numbers.show("class before, after each", top1)
    adapter.settle(model)
    changes(numbers, dict(network.weights), snapshot(adapter, model))


def rescaled(image: Array) -> Array:
    """The smallest entry becomes 0, the largest 1."""
    low, high = image.min(), image.max()
    return (image - low) / (high - low) if high > low else np.zeros_like(image)
