"""The scenarios, step by step, for every runtime alike. What each is for stands in `crosscheck.matrix.scenarios`.

Keys of what is recorded:

    prediction/<when>       the network's documented prediction of the probe input
    gradient/<when>         what a gradient mode returned; forward/<when> what a prediction mode returned
    state/<when>/<tensor>   every persistent tensor; parameters/<when>/<tensor> the runtime's public view of them
    layer/<tensor>          what each node put out in the mode under test
    input/<when>            the runtime's input array after a call, only when its numbers are not the ones put in
    classes/<step>          arg max over the held-out images
    file/<name>             the bytes of an ONNX file that was exported

`first` is the call under test, `second` the same call again, `inference` the inference-mode gradient after both.
"""

import os
from typing import Any, Callable, Dict, Mapping, Optional

import numpy as np

from crosscheck.probe.adapter import Adapter, Array, Mode, Model, Network, Tensor
from crosscheck.probe.recorder import Recorder


class Trial:
    """One trial's adapter, recorder and inputs: the words in which the scenarios are written.

    `readout` is the second network of `ascent`, for networks that classify.

    `asked`: the call under test has come back once; a refusal after that is a finding, before it a status.
    """

    def __init__(
        self,
        adapter: Adapter,
        recorder: Recorder,
        mode: Mode,
        network: Network,
        inputs: Mapping[str, Array],
        readout: Optional[Network],
    ) -> None:
        self.adapter = adapter
        self.recorder = recorder
        self.mode = mode
        self.network = network
        self.inputs = inputs
        self.readout = readout
        self.asked = False

    def build(
        self, key: str = "model", shares: Optional[Model] = None, network: Optional[Network] = None, mode: str = ""
    ) -> Model:
        """A model of `network` (the trial's own, if not said) for `mode` (likewise)."""
        return self.recorder.step(
            "build/" + key,
            lambda: self.adapter.build(network or self.network, mode or self.mode.name, shares),
        )

    def predict(self, model: Model, key: str) -> None:
        """Predict the probe input."""
        self.recorder.array("prediction/" + key, self._predict(model, self.inputs["x"], "predict/" + key))

    def classify(self, model: Model, key: str) -> None:
        """Predict all held-out images in one batch and record the classes."""
        logits = self._predict(model, self.inputs["images"], "classify/" + key)
        self.recorder.array("classes/" + key, np.argmax(logits, axis=1).astype(np.uint8))

    def _predict(self, model: Model, x: Array, label: str) -> Array:
        return self.recorder.step(
            label, lambda: self.adapter.numpy(self.adapter.predict(model, self.adapter.tensor(x)))
        )

    def ask(
        self,
        model: Model,
        key: str,
        mode: Optional[Mode] = None,
        x: Optional[Array] = None,
        cotangent: Optional[Array] = None,
        read: bool = True,
        between: Callable[[], None] = lambda: None,
    ) -> Tensor:
        """Carry out a mode (the trial's own, if not said) and, with `read`, record what came back."""
        mode = mode or self.mode
        x = self.inputs["x"] if x is None else x
        given = self.adapter.tensor(x)
        self.recorder.flags("flags/before-" + key, self.adapter.flags())
        if mode.asks == "gradient":
            seed = self.adapter.tensor(self.inputs["cotangent"] if cotangent is None else cotangent)
            label = "gradient/" + key

            def call() -> Tensor:
                value = self.adapter.gradient(model, given, seed, mode.name, between)
                return self.adapter.numpy(value) if read else value

        else:
            label = "forward/" + key

            def call() -> Tensor:
                value = self.adapter.forward(model, given, mode.name)
                return self.adapter.numpy(value) if read else value

        value = self.recorder.step(label, call)
        if mode is self.mode:
            self.asked = True
        self.recorder.flags("flags/after-" + key, self.adapter.flags())
        if read:
            self.recorder.array(label, value)
            self._check_input(given, x, key)
        return value

    def read(self, value: Tensor, key: str) -> None:
        """Read what `ask` brought back unread."""
        kind = "gradient/" if self.mode.asks == "gradient" else "forward/"
        self.recorder.array(kind + key, self.recorder.step("read/" + key, lambda: self.adapter.numpy(value)))

    def snapshot(self, model: Model, key: str) -> None:
        """Record every persistent tensor, and what the runtime's public parameter view shows."""

        def read() -> None:
            for kind, view in (("state", self.adapter.state), ("parameters", self.adapter.parameters)):
                for name, value in sorted(view(model).items()):
                    self.recorder.array("{}/{}/{}".format(kind, key, name), self.adapter.numpy(value))

        self.recorder.step("state/" + key, read)

    def settle(self, model: Model, key: str) -> None:
        """Wait for all asynchronous work."""
        self.recorder.step("settle/" + key, lambda: self.adapter.settle(model))

    def _check_input(self, given: Tensor, x: Array, key: str) -> None:
        now = np.asarray(self.adapter.numpy(given))
        if now.tobytes() != np.asarray(x, dtype=now.dtype).tobytes():
            self.recorder.array("input/" + key, now)

    def named(self, name: Optional[str]) -> Optional[Mode]:
        """The adapter's mode of that name."""
        return next((mode for mode in self.adapter.modes if mode.name == name), None)


def undisturbed(trial: Trial) -> None:
    """Nothing is read but what a user reads, until the question is answered."""
    model = trial.build()
    trial.predict(model, "before")
    trial.predict(model, "before-again")
    trial.ask(model, "first")
    trial.predict(model, "after")
    trial.predict(model, "after-again")
    trial.settle(model, "after")
    trial.snapshot(model, "after")
    trial.ask(model, "second")
    inference = trial.named(trial.mode.inference)
    if inference is not None:
        trial.snapshot(model, "before-inference")
        trial.ask(model, "inference", mode=inference)
    trial.predict(model, "last")
    trial.snapshot(model, "last")


def timed(trial: Trial) -> None:
    """Every persistent tensor is read after every step, and between forward and backward where that can be done."""
    model = trial.build()
    trial.snapshot(model, "built")
    trial.predict(model, "before")
    trial.snapshot(model, "predicted")

    def between() -> None:
        trial.settle(model, "between")
        trial.snapshot(model, "between")

    trial.ask(model, "first", between=between)
    trial.settle(model, "asked")
    trial.snapshot(model, "asked")
    trial.snapshot(model, "read")
    trial.predict(model, "after")
    trial.snapshot(model, "after")
    trial.ask(model, "second")
    trial.settle(model, "second")
    trial.snapshot(model, "second")


def unsettled(trial: Trial) -> None:
    """The tensors are read right after the call, its result unread and nothing waited for."""
    model = trial.build()
    trial.predict(model, "before")
    value = trial.ask(model, "first", read=False)
    trial.snapshot(model, "at-once")
    trial.read(value, "first")
    trial.settle(model, "after")
    trial.snapshot(model, "after")
    trial.predict(model, "after")


def immediate(trial: Trial) -> None:
    """The next prediction is asked for right after the call, its result unread and nothing waited for."""
    model = trial.build()
    trial.predict(model, "before")
    value = trial.ask(model, "first", read=False)
    trial.predict(model, "after")
    trial.read(value, "first")
    trial.settle(model, "after")
    trial.snapshot(model, "after")
    trial.predict(model, "last")


def layers(trial: Trial) -> None:
    """What every node puts out."""
    model = trial.build()

    def read() -> None:
        for name, value in trial.adapter.layers(
            model, trial.adapter.tensor(trial.inputs["x"]), trial.mode.name
        ).items():
            trial.recorder.array("layer/" + name, trial.adapter.numpy(value))

    trial.recorder.step("layers", read)
    trial.asked = True


def order_alone(trial: Trial) -> None:
    """The call under test in a process of its own."""
    model = trial.build()
    trial.ask(model, "first")
    trial.settle(model, "after")
    trial.snapshot(model, "after")


def order_after_other(trial: Trial) -> None:
    """The call under test after a training-mode gradient of a model built separately: only the process is shared."""
    training = trial.named(trial.mode.training)
    assert training is not None, "the plan pairs `order` only with modes that name a training mode"
    other = trial.build("other", mode=training.name)
    trial.ask(other, "other", mode=training)
    trial.settle(other, "other")
    order_alone(trial)


def order_after_same(trial: Trial) -> None:
    """The call under test after a training-mode gradient on the same model, whose statistics may have moved by it."""
    training = trial.named(trial.mode.training)
    assert training is not None, "the plan pairs `order` only with modes that name a training mode"
    model = trial.build()
    trial.ask(model, "other", mode=training)
    trial.settle(model, "other")
    trial.snapshot(model, "before")
    trial.ask(model, "first")
    trial.settle(model, "after")
    trial.snapshot(model, "after")


def twenty(trial: Trial) -> None:
    """Twenty calls on image plus noise; the probe image and all held-out images are predicted before and after each."""
    model = trial.build()
    trial.predict(model, "0")
    trial.classify(model, "0")
    for index, noisy in enumerate(trial.inputs["noise"], 1):
        trial.ask(model, str(index), x=noisy)
        trial.predict(model, str(index))
        trial.classify(model, str(index))
    trial.settle(model, "last")
    trial.snapshot(model, "last")


def ascent(trial: Trial) -> None:
    """Gradient ascent on the read-out of one class, through layers shared with the network that is watched.

    As in the thread of 2017: image = rescale(image + rescale(gradient) / 10), rescale mapping onto [0, 1].
    """
    model = trial.build()
    second = trial.build("readout", shares=model, network=trial.readout)
    trial.predict(model, "0")
    trial.classify(model, "0")
    image = trial.inputs["x"]
    for index in range(1, 21):
        cotangent = np.ones((len(image), 1), np.float32)
        gradient = np.asarray(trial.ask(second, str(index), x=image, cotangent=cotangent))
        image = rescale(image + rescale(gradient) / np.float32(10))
        trial.predict(model, str(index))
        trial.classify(model, str(index))
    trial.recorder.array("image/last", image)
    trial.settle(model, "last")
    trial.snapshot(model, "last")


def rescale(image: Array) -> Array:
    """Map the smallest entry to 0 and the largest to 1; a constant array becomes zero. Keeps shape and dtype."""
    low, high = image.min(), image.max()
    return (image - low) / (high - low) if high > low else np.zeros_like(image)


def sibling(trial: Trial) -> None:
    """Two networks with the same parameter and statistics tensors: the second is asked, the first is watched."""
    first = trial.build("first")
    second = trial.build("second", shares=first)
    trial.predict(first, "before")
    trial.predict(second, "sibling-before")
    trial.ask(second, "first")
    trial.predict(first, "after")
    trial.predict(second, "sibling-after")
    trial.settle(first, "after")
    trial.snapshot(first, "after")


def export(trial: Trial) -> None:
    """Write the network to the runtime's own files; predict with it and with what was read back."""
    model = trial.build()
    trial.predict(model, "before")
    trial.snapshot(model, "before")
    folder = os.path.join(trial.network.scratch, "export")
    os.mkdir(folder)
    trial.recorder.flags("flags/before-first", trial.adapter.flags())
    exported = trial.recorder.step("export", lambda: trial.adapter.export(model, trial.mode.name, folder))
    trial.asked = True
    trial.recorder.flags("flags/after-first", trial.adapter.flags())
    for name in sorted(os.listdir(folder)):
        if name.endswith(".onnx"):
            trial.recorder.array("file/" + name, np.fromfile(os.path.join(folder, name), np.uint8))
    trial.predict(model, "after")
    trial.snapshot(model, "after")
    if exported is not None:
        trial.predict(exported, "exported")


#: (scenario, reading) -> steps.
STEPS: Dict[Any, Callable[[Trial], None]] = {
    ("gradient", "undisturbed"): undisturbed,
    ("gradient", "timed"): timed,
    ("gradient", "unsettled"): unsettled,
    ("gradient", "immediate"): immediate,
    ("predict-only", "undisturbed"): undisturbed,
    ("predict-only", "timed"): timed,
    ("predict-only", "unsettled"): unsettled,
    ("predict-only", "immediate"): immediate,
    ("predict-only", "layers"): layers,
    ("order", "alone"): order_alone,
    ("order", "after-other"): order_after_other,
    ("order", "after-same"): order_after_same,
    ("twenty", "undisturbed"): twenty,
    ("ascent", "undisturbed"): ascent,
    ("sibling", "undisturbed"): sibling,
    ("export", "undisturbed"): export,
}
