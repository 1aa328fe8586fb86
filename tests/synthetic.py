"""A small runtime that evaluates a network by the oracle and carries out the steps of real scenarios.

Subclasses misbehave in one way at a time: the judge's tests and its benchmark know what each of them does.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from crosscheck import oracle
from crosscheck.cells import Array, Asks, Cell, Intent, Observation, Scenario, Status, Step
from crosscheck.judge import Truth, fields_of, judge, line
from crosscheck.networks import fixed_cotangent, load, readout
from crosscheck.networks.prepare import noise
from crosscheck.oracle import Statistics, updated
from crosscheck.probe.steps import rescale
from crosscheck.records import CellEnvironment, Judgement
from crosscheck.records.schema import validate
from crosscheck.runtimes.mode import Contract, Mode
from crosscheck.scenarios import steps as scenarios

DIGITS = load("digits")
assert DIGITS.images is not None
assert DIGITS.labels is not None
NETWORKS = {
    name: load(name)
    for name in ("seed", "seed-batch", "conv", "conv-plain", "conv-norm", "conv-norm-plain", "dense", "residual")
}
NETWORKS["digits"] = replace(DIGITS, images=DIGITS.images[:40], labels=DIGITS.labels[:40])
EPSILON = float(np.finfo(np.float32).eps)
TRUTHS = {name: Truth.of(network) for name, network in NETWORKS.items()}


def variation(network: str, momentum: float | None = None, channels: int = 1, near: float | None = None) -> str:
    """The name of a variation of a network, which it adds to `NETWORKS` and `TRUTHS`.

    momentum: declared by every batch normalization. channels: how often the channels of a network that consists of one
    batch normalization are repeated, each time with another input. near: how far the moving statistics are from the
    batch's, as a fraction of where they were.
    """
    name = f"{network}, {momentum=}, {channels=}, {near=}"
    if name in NETWORKS:
        return name
    here = NETWORKS[network]
    graph: Any = copy.deepcopy(here.graph)
    for node in graph["nodes"]:
        if node["op"] == "BatchNormalization" and momentum is not None:
            node["attributes"]["momentum"] = momentum
    weights, x, cotangent = dict(here.weights), here.x, here.cotangent
    if channels > 1:
        weights = {key: np.tile(value, channels) for key, value in weights.items()}
        x = np.concatenate([x * np.float32(1 + index / channels) for index in range(channels)], axis=1)
        cotangent = fixed_cotangent(x.shape)
    if near is not None:
        for norm in here.batch_norms:
            seen = TRUTHS[network].batch_statistics[norm.node]
            for key, value in ((norm.mean, seen.mean), (norm.variance, seen.variance)):
                weights[key] = (value + near * (weights[key] - value)).astype(np.float32)
    NETWORKS[name] = replace(here, name=name, graph=graph, weights=weights, x=x, cotangent=cotangent)
    TRUTHS[name] = Truth.of(NETWORKS[name])
    return name


class Runtime:
    """Evaluates a network by the oracle, rounded to float32, and behaves well. Subclasses do not."""

    intent = Intent.INFERENCE
    asks = Asks.GRADIENT
    can_take_apart = True
    #: Whether the statistics are fed by the caller, and whether the caller adopts returned ones.
    fed = False
    adopts = False
    #: Whether the mode says that its layers renormalize.
    renormalized = False

    def __init__(self, network: str) -> None:
        self.network = NETWORKS[network]
        #: The network and the input of the call.
        self.asked, self.x = self.network, self.network.x
        #: The image that gradient ascent makes.
        self.image = self.network.x
        self.tensors = {name: np.array(value) for name, value in self.network.weights.items()}
        self.arrays: dict[str, Array] = {}
        self.steps: list[Step] = []
        self.calls = 0
        self.flag = False

    # What subclasses change.
    def forward(self) -> None:
        """What the call does to the tensors before `between`."""

    def backward(self) -> None:
        """What the call does to the tensors after `between`."""

    def settled(self) -> None:
        """What happens to the tensors when somebody waits."""

    def broken(self) -> bool:
        return False

    def prediction(self) -> Array:
        with np.errstate(all="ignore"):
            return oracle.predict(self.network.graph, self.tensors, self.network.x).astype(np.float32)

    def answer(self) -> Array:
        training = self.intent is Intent.TRAINING
        if self.asks is Asks.PREDICTION:
            return oracle.predict(self.network.graph, self.tensors, self.x, training).astype(np.float32)
        return self.gradient(training)

    def gradient(self, training: bool) -> Array:
        here = self.asked
        weights = {**here.weights, **self.tensors}
        return oracle.gradient(here.graph, weights, self.x, here.cotangent, training).astype(np.float32)

    # What a trial asks for.
    def step(self, label: str, action: Callable[[], None]) -> None:
        if self.broken():
            self.steps.append(Step(label, 0.001, "RuntimeError: the engine is in an error state"))
            raise InterruptedError(label)
        action()
        self.steps.append(Step(label, 0.001))

    def predict(self, when: str) -> None:
        self.step(f"predict/{when}", lambda: self.arrays.update({f"prediction/{when}": self.prediction()}))

    def ask(self, when: str, between: Callable[[], None] = lambda: None) -> None:
        kind = "gradient" if self.asks is Asks.GRADIENT else "forward"

        def call() -> None:
            self.arrays[f"{kind}/{when}"] = self.answer()
            self.forward()
            if self.can_take_apart:
                between()
            self.backward()
            self.calls += 1

        self.steps.append(Step(f"flags/before-{when}", 0.0, flags={"training": self.flag}))
        self.step(f"{kind}/{when}", call)
        self.steps.append(Step(f"flags/after-{when}", 0.0, flags={"training": self.flag}))

    def snapshot(self, when: str) -> None:
        self.arrays |= {f"state/{when}/{name}": np.array(value) for name, value in self.tensors.items()}
        self.arrays |= {f"parameters/{when}/{name}": np.array(value) for name, value in self.public().items()}

    def public(self) -> dict[str, Array]:
        return self.tensors

    def update(self, variance: Any = "biased", keep: float | None = None, count: int = 1) -> None:
        """Update every batch normalization's moving statistics in place."""
        seen = TRUTHS[self.network.name].batch_statistics
        for norm in self.network.batch_norms:
            before = Statistics(self.tensors[norm.mean], self.tensors[norm.variance])
            after = updated(
                before,
                seen[norm.node],
                norm.momentum if keep is None else keep,
                count,
                variance=variance,
                epsilon=norm.epsilon,
            )
            self.tensors[norm.mean] = after.mean.astype(np.float32)
            self.tensors[norm.variance] = after.variance.astype(np.float32)

    def inference_afterwards(self) -> None:
        self.arrays["gradient/inference"] = self.gradient(training=False)

    def carry_out(self, steps: Sequence[scenarios.Step], repetition: int = 0) -> None:
        """The steps of a scenario, as `crosscheck.scenarios.steps` has them. A second model counts as the first."""
        for step in steps:
            when = str(step.get("as", "")).replace("#", str(repetition))
            match step["do"]:
                case "repeat":
                    for count in range(1, step["times"] + 1):
                        self.carry_out(step["steps"], count)
                case "predict":
                    self.predict(when)
                case "classify":
                    self.arrays[f"classes/{when}"] = self.classes()
                    self.arrays[f"confidence/{when}"] = np.linspace(0.1, 1, len(self.arrays[f"classes/{when}"]))
                case "ask" if step["mode"] == "inference":
                    self.inference_afterwards()
                case "ask":
                    if step["model"] == "readout":
                        assert self.network.target is not None
                        self.asked = readout(self.network, self.network.target)
                    inputs = {"x": self.network.x, "image": self.image}
                    self.x = noise(self.network)[repetition - 1] if step["input"] == "noise" else inputs[step["input"]]
                    self.ask(when, lambda step=step: self.carry_out(step["between"]))  # type: ignore[misc]
                case "ascend":
                    self.image = rescale(self.image + rescale(self.arrays[f"gradient/{repetition}"]) / np.float32(10))
                case "snapshot":
                    self.snapshot(when)
                case "settle":
                    self.settled()
                case "export":
                    self.step("export", self.backward)

    def classes(self) -> Array:
        assert self.network.images is not None
        found: Array = np.argmax(oracle.predict(self.network.graph, self.tensors, self.network.images), axis=1).astype(
            np.uint8
        )
        return found


class Training(Runtime):
    """Behaves well, and is asked for the training-mode gradient."""

    intent = Intent.TRAINING


class Racy(Training):
    """Another thread updates a little later; an immediate prediction may not see it."""

    pending = False

    def backward(self) -> None:
        self.pending = True

    def settled(self) -> None:
        if self.pending:
            self.update()
        self.pending = False


class StaleAtOnce(Training):
    """Shows the old tensors right after the call."""

    def backward(self) -> None:
        self.update()

    def snapshot(self, when: str) -> None:
        kept = self.tensors
        if when == "at-once":
            self.tensors = dict(self.network.weights)
        super().snapshot(when)
        self.tensors = kept


class Blind(Training):
    """The same, and shows no tensor."""

    def snapshot(self, when: str) -> None:
        pass


def noisy(roundings: float, seed: int, base: type[Runtime]) -> type[Runtime]:
    """Each prediction is off by up to so many roundings of its largest entry."""
    chance = np.random.default_rng(seed)

    class Noisy(base):  # type: ignore[misc, valid-type]
        def prediction(self) -> Array:
            value = super().prediction()
            error = chance.uniform(-1, 1, value.shape) * roundings * EPSILON * np.abs(value).max()
            off: Array = (value + error).astype(np.float32)
            return off

    return Noisy


def warming(roundings: float, base: type[Runtime]) -> type[Runtime]:
    """The first prediction of a process differs from all later ones."""

    class Warming(base):  # type: ignore[misc, valid-type]
        predicted = 0

        def prediction(self) -> Array:
            self.predicted += 1
            value: Array = super().prediction() * np.float32(1 + roundings * EPSILON * (self.predicted == 1))
            return value

    return Warming


def reading(scenario: Scenario, name: str) -> Callable[[Runtime], None]:
    """The steps of one reading, with all that a mode may name for comparison."""

    def carry_out(run: Runtime) -> None:
        run.carry_out(scenarios.steps(scenario, name, ["inference", "training"]))

    carry_out.__name__ = name
    return carry_out


undisturbed, timed, unsettled, immediate = (
    reading(Scenario.GRADIENT, name) for name in ("undisturbed", "timed", "unsettled", "immediate")
)
alone = reading(Scenario.ORDER, "alone")
twenty, ascent, sibling, export = (
    reading(scenario, "undisturbed")
    for scenario in (Scenario.TWENTY, Scenario.ASCENT, Scenario.SIBLING, Scenario.EXPORT)
)

READINGS: dict[Scenario, list[Callable[[Runtime], None]]] = {
    Scenario.GRADIENT: [undisturbed, undisturbed, timed, unsettled, immediate],
    Scenario.PREDICT_ONLY: [undisturbed, undisturbed, timed, unsettled, immediate],
    Scenario.ORDER: [alone],
    Scenario.TWENTY: [twenty, twenty],
    Scenario.ASCENT: [ascent, ascent],
    Scenario.SIBLING: [sibling],
    Scenario.EXPORT: [export],
}


def observe(kind: type[Runtime], steps: Callable[[Runtime], None], network: str, name: str = "") -> Observation:
    run = kind(network)
    reason = None
    try:
        steps(run)
    except InterruptedError as problem:
        reason = str(problem)
    return Observation(name or steps.__name__, Status.OK, reason, tuple(run.steps), run.arrays, 0.01, 0.01, 0)


STAYS = Contract("stay", "statistics stay", "https://example.org/manual")


def observations(kind: type[Runtime], network: str, scenario: Scenario) -> list[Observation]:
    return [observe(kind, steps, network) for steps in READINGS[scenario]]


def subject(kind: type[Runtime], network: str, scenario: Scenario, contract: Contract) -> tuple[Cell, Mode]:
    """The cell and the mode of a runtime."""
    cell = Cell("tiny", "1.0", "plain", "tiny.mode", network, scenario)
    asks = "export" if scenario is Scenario.EXPORT else kind.asks.value
    mode = Mode(
        "tiny.mode",
        kind.intent.value,
        asks,
        "tiny.mode()",
        contract,
        inference="tiny.inference",
        fed=kind.fed,
        adopts=kind.adopts,
        renormalized=kind.renormalized,
    )
    return cell, mode


def judgement(kind: type[Runtime], network: str, trials: Sequence[Observation]) -> Judgement:
    """What the judge says of trials of scenario `gradient`."""
    cell, mode = subject(kind, network, Scenario.GRADIENT, STAYS)
    return judge(cell, mode, NETWORKS[network], TRUTHS[network], trials)


def judged(
    kind: type[Runtime],
    network: str = "seed-batch",
    scenario: Scenario = Scenario.GRADIENT,
    trials: Sequence[Observation] | None = None,
    inference: Sequence[Observation] = (),
    contract: Contract = STAYS,
) -> Judgement:
    """What the judge says; the line that it makes of it is valid."""
    cell, mode = subject(kind, network, scenario, contract)
    if trials is None:
        trials = observations(kind, network, scenario)
    verdict = judge(cell, mode, NETWORKS[network], TRUTHS[network], trials, inference)
    told = line(cell, mode, fields_of(verdict), released="", environment=ENVIRONMENT, reproduce="crosscheck run")
    validate(json.loads(json.dumps(told, allow_nan=False)))
    return verdict


ENVIRONMENT = CellEnvironment(python="3.11.7", lock="1.0.txt", packages={"tiny": "1.0"})
