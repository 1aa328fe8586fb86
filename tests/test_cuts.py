"""Long lists of a judgement are cut to their largest entries, and the rest is counted."""

from __future__ import annotations

import math

import numpy as np

from crosscheck.cells import Finding, Status
from crosscheck.judge.cuts import CHANGES, EVIDENCE, NUMBERS, PREDICTION, cut
from crosscheck.records import Evidence, Judgement, TensorPair


def evidence(finding: Finding, value: float | None) -> Evidence:
    return Evidence(finding, f"undisturbed: {value}", value, 0.0, "reason")


def test_a_judgement_with_short_lists_stays_as_it_is() -> None:
    judgement = Judgement(
        status=Status.OK,
        evidence=tuple(evidence(Finding.LEAK, float(value)) for value in range(EVIDENCE)),
        state_changes={f"t{number}": 0.0 for number in range(CHANGES)},
        tensors={"t0": TensorPair([1.0] * (NUMBERS // 2), [2.0] * (NUMBERS // 2))},
        prediction_before=np.full((1, PREDICTION), 0.5),
    )
    assert judgement == cut(judgement)


def test_the_largest_evidence_of_each_finding_stays_in_its_order() -> None:
    values = [float(value) for value in range(EVIDENCE)]
    rows = [evidence(Finding.LEAK, value) for value in [*values, math.nan, 0.5]]
    event = evidence(Finding.POISONED, None)
    shorter = cut(Judgement(status=Status.OK, evidence=(rows[0], event, *rows[1:])))
    assert (event, *rows[1:EVIDENCE], rows[EVIDENCE]) == shorter.evidence
    assert {"evidence": 2} == shorter.omitted


def test_the_largest_changes_stay() -> None:
    changes = {f"t{number:03}": float(number) for number in range(CHANGES + 5)} | {"u": math.inf}
    shorter = cut(Judgement(status=Status.OK, state_changes=changes))
    assert [*(f"t{number:03}" for number in range(6, CHANGES + 5)), "u"] == list(shorter.state_changes)
    assert {"state_changes": 6} == shorter.omitted


def test_tensors_with_the_largest_changes_stay_up_to_a_number_of_entries() -> None:
    half = [1.0] * (NUMBERS // 2)
    tensors = {"a": TensorPair(half, None), "b": TensorPair(half, half), "c": TensorPair([1.0], [4.0])}
    shorter = cut(Judgement(status=Status.OK, tensors=tensors, state_changes={"a": 0.0, "b": 1.0, "c": 2.0}))
    assert ["c"] == list(shorter.tensors)
    assert {"tensors": 2} == shorter.omitted
    shorter = cut(Judgement(status=Status.OK, tensors=tensors, state_changes={"a": 3.0, "b": 1.0, "c": 2.0}))
    assert ["a", "c"] == list(shorter.tensors)
    assert {"tensors": 1} == shorter.omitted


def test_a_large_prediction_is_left_out_as_a_whole() -> None:
    before = np.full(PREDICTION + 1, 0.5)
    after = np.ones((1, 1))
    shorter = cut(Judgement(status=Status.OK, prediction_before=before, prediction_after=after))
    assert shorter.prediction_before is None
    assert shorter.prediction_after is after
    assert {"prediction_before": PREDICTION + 1} == shorter.omitted
