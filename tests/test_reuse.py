"""Findings about a network that is saved, copied, pickled or differentiated twice after a toolkit's call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest

from crosscheck.cells import Array, Cell, Finding, Observation, Scenario, Status, Step
from crosscheck.judge import Truth, judge
from crosscheck.networks import load
from crosscheck.records import Judgement
from crosscheck.runtimes.answer import OTHER
from crosscheck.runtimes.mode import Contract, Mode

SEED = load("seed")
TRUTH = Truth.of(SEED)
CELL = Cell("toolkit", "1.0", "plain", "eval.call", "seed", Scenario.GRADIENT)
MODE = Mode(
    "eval.call", "inference", "gradient", "dx = x\n", Contract("undocumented", "", ""), answers=OTHER, starts="eval"
)
PREDICTION = TRUTH.prediction().astype(np.float32)
USES = ("save", "copy", "pickle", "differentiate-twice", "load")


def trial(
    reading: str, called: bool, arrays: Mapping[str, Array], errors: Mapping[str, str] = MappingProxyType({})
) -> Observation:
    """A trial whose uses of the network raise these errors, and record these arrays."""
    steps = [Step("gradient/first", 0.0)] * called
    steps += [Step(f"reuse/{what}", 0.0, errors.get(what)) for what in USES]
    return Observation(reading, Status.OK, None, tuple(steps), arrays, 0.0, 0.0, 0)


UNDISTURBED = Observation(
    "undisturbed",
    Status.OK,
    None,
    (),
    {"prediction/before": PREDICTION, "prediction/after": PREDICTION, "gradient/first": SEED.x},
    0.0,
    0.0,
    0,
)


def restored(factor: float) -> dict[str, Array]:
    """The prediction of a network made anew."""
    return {"prediction/restored": PREDICTION * np.float32(factor)}


def judged(saved: Observation, without: Observation | None, undisturbed: Observation = UNDISTURBED) -> Judgement:
    rows = [row for row in (undisturbed, saved, without) if row is not None]
    return judge(CELL, MODE, SEED, TRUTH, rows)


@pytest.mark.parametrize(
    ("factor", "expected"), [(1.0, Finding.CLEAN), (1.000001, Finding.CLEAN), (1.01, Finding.SAVE_CHANGED)]
)
def test_a_restored_network_has_to_predict_as_without_the_call_up_to_rounding(factor: float, expected: Finding) -> None:
    judgement = judged(trial("saved", True, restored(factor)), trial("unexplained", False, restored(1)))
    assert (expected,) == judgement.findings


def test_what_the_users_own_lines_have_moved_is_not_the_calls() -> None:
    judgement = judged(trial("saved", True, restored(1.01)), trial("unexplained", False, restored(1.01)))
    assert (Finding.CLEAN,) == judgement.findings


def test_a_leak_is_not_told_twice() -> None:
    after = replace(UNDISTURBED, arrays={**UNDISTURBED.arrays, "prediction/after": PREDICTION * np.float32(1.01)})
    judgement = judged(trial("saved", True, restored(1.01)), trial("unexplained", False, restored(1)), after)
    assert (Finding.LEAK,) == judgement.findings


def test_a_state_that_cannot_be_saved_is_not_said_not_to_load() -> None:
    errors = {"save": "RuntimeError: gone", "load": "FileNotFoundError: net.pt"}
    judgement = judged(trial("saved", True, {}, errors), trial("unexplained", False, restored(1)))
    assert (Finding.POISONED,) == judgement.findings
    assert ["RuntimeError: gone"] == [item.detail for item in judgement.evidence]


@pytest.mark.parametrize("what", USES)
def test_what_raises_without_the_call_too_is_no_finding(what: str) -> None:
    errors = {what: "TypeError: no"}
    saved, without = trial("saved", True, {}, errors), trial("unexplained", False, {}, errors)
    assert (Finding.CLEAN,) == judged(saved, without).findings
    expected = Finding.SAVE_CHANGED if what == "load" else Finding.POISONED
    assert (expected,) == judged(saved, trial("unexplained", False, {})).findings


def test_without_a_trial_of_the_users_own_lines_nothing_is_said() -> None:
    assert (Finding.CLEAN,) == judged(trial("saved", True, restored(1.01), {"copy": "TypeError: no"}), None).findings


@pytest.mark.parametrize(("factor", "expected"), [(1.00001, Finding.CLEAN), (1.01, Finding.ORDER_DEPENDENT)])
def test_a_second_derivative_has_to_be_what_it_is_without_the_call(factor: float, expected: Finding) -> None:
    rows = [
        trial(reading, called, {"reuse/differentiate-twice": SEED.x * np.float32(scale)})
        for reading, called, scale in (("saved", True, factor), ("unexplained", False, 1.0))
    ]
    assert (expected,) == judged(*rows).findings
