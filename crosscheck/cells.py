"""Core data types: cell, trial, observation, status, finding. Frozen, without behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np

__all__ = [
    "MEASURED",
    "PLAIN",
    "UNWRITTEN",
    "Array",
    "Asks",
    "Cell",
    "Finding",
    "Intent",
    "Observation",
    "Scenario",
    "Status",
    "Step",
    "Trial",
    "name_of_release",
    "name_of_target",
]

Array = np.ndarray[Any, np.dtype[Any]]


class Status(StrEnum):
    """The outcome of a measurement. Only `ok` and `crashed` cells have findings."""

    OK = "ok"
    UNAVAILABLE = "unavailable"
    INSTALL_FAILED = "install-failed"
    IMPORT_FAILED = "import-failed"
    NOT_IN_RELEASE = "not-in-release"
    REFUSED = "refused"
    CRASHED = "crashed"
    TIMED_OUT = "timed-out"
    OUT_OF_MEMORY = "out-of-memory"
    NOT_ASKED = "not-asked"


#: The statuses of what was measured: only such cells are judged and have findings.
MEASURED = frozenset({Status.OK, Status.CRASHED})
#: What the reason of a cell begins with that was refused by crosscheck itself: its runtime was not asked.
UNWRITTEN = "crosscheck does not write "
#: The variant of a release as it is installed.
PLAIN = "plain"


def name_of_release(release: str, variant: str) -> str:
    """`1.9.1`, or `1.9.1+naive-engine` for another variant than the plain one."""
    return release if variant == PLAIN else f"{release}+{variant}"


def name_of_target(runtime: str, release: str, variant: str) -> str:
    """`mxnet@1.9.1`, `mxnet@1.9.1+naive-engine`: what is installed, in words that commands take."""
    return f"{runtime}@{name_of_release(release, variant)}"


class Finding(StrEnum):
    """A result derived from a cell's observations."""

    CLEAN = "clean"
    LEAK = "leak"
    STATE_MOVED = "state-moved"
    CORRUPTED = "corrupted"
    POISONED = "poisoned"
    WRONG_GRADIENT = "wrong-gradient"
    NO_GRADIENT = "no-gradient"
    MODE_IGNORED = "mode-ignored"
    WRONG_PREDICTION = "wrong-prediction"
    ORDER_DEPENDENT = "order-dependent"
    RACY = "racy"
    UNREPEATABLE = "unrepeatable"
    PARAMETERS_WRITTEN = "parameters-written"
    INPUT_WRITTEN = "input-written"
    GRADIENTS_LEFT = "gradients-left"
    MODE_LEFT_CHANGED = "mode-left-changed"
    EXPORT_CHANGED = "export-changed"
    SAVE_CHANGED = "save-changed"


class Intent(StrEnum):
    """The statistics a call is meant to use: the moving ones, or the batch's own."""

    INFERENCE = "inference"
    TRAINING = "training"


class Asks(StrEnum):
    """What a mode requests from the runtime."""

    GRADIENT = "gradient"
    PREDICTION = "prediction"
    EXPORT = "export"


class Scenario(StrEnum):
    """A fixed sequence of steps; `crosscheck.scenarios.facts` has the purpose of each."""

    GRADIENT = "gradient"
    PREDICT_ONLY = "predict-only"
    ORDER = "order"
    TWENTY = "twenty"
    ASCENT = "ascent"
    SIBLING = "sibling"
    EXPORT = "export"
    INTERLEAVED = "interleaved"


@dataclass(frozen=True, order=True)
class Cell:
    """One square of the matrix. `variant` is `plain` for a release as it is installed."""

    runtime: str
    release: str
    variant: str
    mode: str
    network: str
    scenario: Scenario

    @property
    def id(self) -> str:
        """Stable and easy to type: `mxnet@1.9.1/executor.train.train/seed/gradient`, `mxnet@1.9.1+naive-engine/...`."""
        return f"{self.target}/{self.mode}/{self.network}/{self.scenario}"

    @property
    def target(self) -> str:
        """The name of runtime, release and variant."""
        return name_of_target(self.runtime, self.release, self.variant)


@dataclass(frozen=True, order=True)
class Trial:
    """One run of a cell in a fresh process: the reading (`undisturbed`, `timed`, ...) and its repeat number, from 0."""

    cell: Cell
    reading: str
    repeat: int = 0


@dataclass(frozen=True)
class Step:
    """One step of a trial: label, duration (s), and the runtime's message if it raised."""

    label: str
    seconds: float
    error: str | None = None
    flags: Mapping[str, bool] | None = None


@dataclass(frozen=True)
class Observation:
    """One trial's measurements. Arrays are keyed by quantity and time: `prediction/after`, `state/between/bn.mean`.

    A failed trial keeps the arrays recorded so far; `status` and `reason` describe the failure.
    """

    reading: str
    status: Status
    reason: str | None
    steps: tuple[Step, ...]
    arrays: Mapping[str, Array] = field(repr=False)
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    stderr: str = ""

    @cached_property
    def snapshots(self) -> Mapping[str, Mapping[str, Array]]:
        """The arrays of tensors, by kind and time: `state/after` -> the tensor's name -> its value."""
        found: dict[str, dict[str, Array]] = {}
        for key, value in self.arrays.items():
            kind, _, rest = key.partition("/")
            when, slash, name = rest.partition("/")
            if slash:
                found.setdefault(f"{kind}/{when}", {})[name] = value
        return found
