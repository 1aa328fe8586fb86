"""Carries out the steps of a scenario, which the host sends as data (`crosscheck.scenarios.steps` defines them).

Keys of what is recorded:

    prediction/<when>       the network's documented prediction of the probe input
    gradient/<when>         what a gradient mode returned; forward/<when> what a prediction mode returned
    state/<when>/<tensor>   every persistent tensor; parameters/<when>/<tensor> the runtime's public view of them
    left/<when>/<name>      what calls left on the network besides; switched/<when>/<layer> a mode flag that the user's
                            own lines did not set
    reuse/<what>            what reusing the network computed, as its double backward does
    layer/<tensor>          what each node put out in the mode under test
    input/<when>            the runtime's input array after a call, only when its numbers are not the ones put in
    prediction-input/<when> the same after the documented prediction
    classes/<when>          arg max over the held-out images
    image/<when>            the image that gradient ascent made
    file/<name>             the bytes of an ONNX file that was exported
"""

import os
from typing import Any, Dict, Mapping, Optional, Sequence, Set, Tuple

import numpy as np

from crosscheck.probe import pace, recorded
from crosscheck.probe.adapter import Adapter, Array, Model, Network, Tensor
from crosscheck.probe.recorder import Recorder

Step = Mapping[str, Any]


class Trial:
    """One trial: an adapter, a recorder, networks by name ("network", "readout"), inputs, and modes by role.

    A mode is {"name", "asks"}, and {"answers"} where its cotangent is that of classes. `asked` says that the mode under
    test has returned once: a refusal before that is a status, a refusal after that is a finding.
    """

    def __init__(
        self,
        adapter: Adapter,
        recorder: Recorder,
        modes: Mapping[str, Mapping[str, str]],
        networks: Mapping[str, Network],
        inputs: Mapping[str, Array],
    ) -> None:
        self.adapter = adapter
        self.recorder = recorder
        self.modes = modes
        self.networks = networks
        self.inputs = inputs
        self.asked = False
        self.models: Dict[str, Model] = {}
        self.repetition = 0
        self.image = inputs["x"]
        self.gradient: Optional[Array] = None
        self.unread: Optional[Tensor] = None
        self.cpus: Set[int] = set()

    def run(self, steps: Sequence[Step]) -> None:
        """Carry out the steps in their order. Raises StepFailed where one fails."""
        for step in steps:
            getattr(self, "do_" + step["do"])(step)

    def do_repeat(self, step: Step) -> None:
        """The inner steps, several times."""
        for self.repetition in range(1, step["times"] + 1):
            self.run(step["steps"])

    def do_build(self, step: Step) -> None:
        """A model of a network, ready to be asked in a mode."""
        key, shares = step["model"], step["shares"]
        network = self.networks[step["network"]]
        source = "/".join([step["network"], step["mode"]] + (["shared"] if shares else []))
        network = network._replace(source=network.sources.get(source))
        mode = self.modes[step["mode"]]["name"]
        self.models[key] = self.recorder.step(
            "build/" + key, lambda: self.adapter.build(network, mode, self.models.get(shares))
        )

    def do_predict(self, step: Step) -> None:
        """The documented prediction of the probe input; nothing for what was not read back."""
        model = self.models[step["model"]]
        if model is not None:
            key, x = self._key(step), self.inputs["x"]
            given, value = self._predict(model, x, "predict/" + key)
            self.recorder.array(recorded.PREDICTION + key, value)
            self._check_input(given, x, recorded.PREDICTION_INPUT + key)

    def do_classify(self, step: Step) -> None:
        """The classes of all held-out images, predicted in one batch, and the probability (softmax) of each."""
        key = self._key(step)
        _, logits = self._predict(self.models[step["model"]], self.inputs["images"], "classify/" + key)
        self.recorder.array(recorded.CLASSES + key, np.argmax(logits, axis=1).astype(np.uint8))
        with np.errstate(invalid="ignore"):
            below = np.asarray(logits, np.float64) - np.max(logits, axis=1, keepdims=True)
        self.recorder.array(recorded.CONFIDENCE + key, (1 / np.sum(np.exp(below), axis=1)).astype(np.float32))

    def do_ask(self, step: Step) -> None:
        """The mode of a role: a gradient or a prediction, read or left unread."""
        key, mode, model, read = self._key(step), self.modes[step["mode"]], self.models[step["model"]], step["read"]
        x = self._input(step["input"])
        given = self.adapter.tensor(x)
        self.recorder.flags(recorded.FLAGS_BEFORE + key, self.adapter.flags())
        gradient = mode["asks"] == "gradient"
        label = (recorded.GRADIENT if gradient else recorded.FORWARD) + key
        cotangent = self._cotangent(step["mode"], x, step["cotangent"] == "ones") if gradient else None

        def answer() -> Tensor:
            if step["started"]:
                value = self.adapter.explain(model, given, cotangent, mode["name"])
            elif gradient:
                value = self.adapter.gradient(model, given, cotangent, mode["name"], lambda: self.run(step["between"]))
            else:
                value = self.adapter.forward(model, given, mode["name"])
            return self.adapter.numpy(value) if read else value

        value = self.recorder.step(label, answer)
        if mode["name"] == self.modes["tested"]["name"]:
            self.asked = True
        self.recorder.flags(recorded.FLAGS_AFTER + key, self.adapter.flags())
        if not read:
            self.unread = value
            return
        self.recorder.array(label, value)
        self._check_input(given, x, recorded.INPUT + key)
        self.gradient = value

    def do_start(self, step: Step) -> None:
        """What the user of a toolkit does before its call."""
        model, mode, x = self.models[step["model"]], self.modes[step["mode"]], self.inputs["x"]
        given, cotangent = self.adapter.tensor(x), self._cotangent(step["mode"], x)
        self.recorder.step("start", lambda: self.adapter.start(model, given, cotangent, mode["name"]))

    def do_train(self, step: Step) -> None:
        """One training step, on what the mode under test is asked about."""
        model, x = self.models[step["model"]], self.inputs["x"]
        given, cotangent = self.adapter.tensor(x), self._cotangent("tested", x)
        self.recorder.step("train", lambda: self.adapter.train(model, given, cotangent))

    def do_reuse(self, step: Step) -> None:
        """What users do with a network after a toolkit's call; the trial goes on where it raises.

        A model that cannot be loaded is none.
        """
        what, key, x = step["what"], step["model"], self.inputs["x"]
        model, given, cotangent = self.models[key], self.adapter.tensor(x), self._cotangent("tested", x)

        def reused() -> Optional[Array]:
            value = self.adapter.reuse(model, what, given, cotangent)
            return None if value is None else self.adapter.numpy(value)

        done, value = self.recorder.attempt(recorded.REUSE + what, reused)
        if value is not None:
            self.recorder.array(recorded.REUSE + what, value)
        if what == recorded.LOAD and not done:
            self.models[key] = None

    def do_read(self, step: Step) -> None:
        """The result of the last `ask` that was not read."""
        kind = recorded.GRADIENT if self.modes["tested"]["asks"] == "gradient" else recorded.FORWARD
        key, value = self._key(step), self.unread
        self.recorder.array(kind + key, self.recorder.step("read/" + key, lambda: self.adapter.numpy(value)))

    def do_snapshot(self, step: Step) -> None:
        """Every persistent tensor, the runtime's public parameter view, and what else calls left behind."""
        key, model = self._key(step), self.models[step["model"]]

        def read() -> None:
            adapter = self.adapter
            for kind, view in (
                (recorded.STATE, adapter.state),
                (recorded.PARAMETERS, adapter.parameters),
                (recorded.LEFT, adapter.left),
                (recorded.SWITCHED, adapter.switched),
            ):
                for name, value in sorted(view(model).items()):
                    self.recorder.array(recorded.tensor(kind, key, name), self.adapter.numpy(value))

        self.recorder.step("state/" + key, read)

    def do_settle(self, step: Step) -> None:
        """Wait for all asynchronous work."""
        self.recorder.step("settle/" + self._key(step), lambda: self.adapter.settle(self.models[step["model"]]))

    def do_hold(self, step: Step) -> None:
        """Hold the runtime's other threads back."""
        self.cpus = self.recorder.step(recorded.HOLD, pace.hold)

    def do_release(self, step: Step) -> None:
        """Let the runtime's other threads run again."""
        pace.release(self.cpus)

    def do_rest(self, step: Step) -> None:
        """Wait until the runtime's other threads sleep."""
        self.recorder.step(recorded.REST, pace.rest)

    def do_layers(self, step: Step) -> None:
        """What every node puts out in the mode under test."""
        mode, x = self.modes["tested"]["name"], self.inputs["x"]

        def read() -> None:
            shown = self.adapter.layers(self.models[step["model"]], self.adapter.tensor(x), mode)
            for name, value in shown.items():
                self.recorder.array(recorded.LAYER + name, self.adapter.numpy(value))

        self.recorder.step("layers", read)
        self.asked = True

    def do_ascend(self, step: Step) -> None:
        """One step of gradient ascent on the image."""
        self.image = rescale(self.image + rescale(np.asarray(self.gradient)) / np.float32(10))

    def do_image(self, step: Step) -> None:
        """The image that gradient ascent made."""
        self.recorder.array(recorded.IMAGE + self._key(step), self.image)

    def do_export(self, step: Step) -> None:
        """The export; ONNX files are recorded, and what is read back becomes a model."""
        model, mode = self.models[step["model"]], self.modes["tested"]["name"]
        folder = os.path.join(self.networks["network"].scratch, "files")
        os.makedirs(folder, exist_ok=True)
        self.recorder.flags(recorded.FLAGS_BEFORE + recorded.FIRST, self.adapter.flags())
        self.models[step["as"]] = self.recorder.step("export", lambda: self.adapter.export(model, mode, folder))
        self.asked = True
        self.recorder.flags(recorded.FLAGS_AFTER + recorded.FIRST, self.adapter.flags())
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if name.endswith(".onnx") and not os.path.islink(path):
                self.recorder.array(recorded.FILE + name, np.fromfile(path, np.uint8))

    def _key(self, step: Step) -> str:
        return str(step["as"]).replace("#", str(self.repetition))

    def _input(self, source: str) -> Array:
        if source == "noise":
            return self.inputs["noise"][self.repetition - 1]
        return self.image if source == "image" else self.inputs["x"]

    def _cotangent(self, role: str, x: Array, ones: bool = False) -> Tensor:
        if ones:
            return self.adapter.tensor(np.ones((len(x), 1), np.float32))
        return self.adapter.tensor(self.inputs["classes" if self.modes[role].get("answers") else "cotangent"])

    def _predict(self, model: Model, x: Array, label: str) -> Tuple[Tensor, Array]:
        """The runtime's input array, and the prediction."""

        def predicted() -> Tuple[Tensor, Array]:
            given = self.adapter.tensor(x)
            return given, self.adapter.numpy(self.adapter.predict(model, given))

        return self.recorder.step(label, predicted)  # type: ignore[no-any-return]

    def _check_input(self, given: Tensor, x: Array, key: str) -> None:
        now = np.asarray(self.adapter.numpy(given))
        if now.tobytes() != np.asarray(x, dtype=now.dtype).tobytes():
            self.recorder.array(key, now)


def rescale(image: Array) -> Array:
    """Map the smallest entry to 0 and the largest to 1; a constant array becomes zero. Keeps shape and dtype."""
    low, high = image.min(), image.max()
    return (image - low) / (high - low) if high > low else np.zeros_like(image)
