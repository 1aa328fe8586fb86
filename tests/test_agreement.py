"""Repetition of trials: trials that disagree are repeated until their distribution is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from crosscheck.cells import Observation, Status, Step
from crosscheck.matrix.agreement import wanting
from crosscheck.repeatability import differing, same, waiting_disagree


def trial(reading: str, value: float, status: Status = Status.OK) -> Observation:
    return Observation(reading, status, None, (), {"prediction/after": np.array([value], "<f4")}, 0.0, 0.0, 0)


def trials(values: Sequence[float], reading: str = "undisturbed") -> list[Observation]:
    return [trial(reading, value) for value in values]


def test_agreeing_trials_are_not_repeated() -> None:
    assert {} == wanting([*trials([1, 1]), trial("timed", 2)])


def test_differences_within_rounding_are_agreement() -> None:
    assert {} == wanting(trials([1, 1 + 1e-6]))


@pytest.mark.parametrize("value", [1 + 0.9e-4, 1 + 1.5e-4])
def test_exactly_the_trials_that_the_judge_distinguishes_are_repeated(value: float) -> None:
    one, other = (row.arrays["prediction/after"] for row in trials([1, value]))
    assert same(one, other) == ({} == wanting(trials([1, value]))) == (value < 1 + 1e-4)


def test_one_round_suffices_if_all_trials_differ() -> None:
    assert {"undisturbed": 8} == wanting(trials([1, 2]))
    assert {} == wanting(trials(range(8)))


def test_four_trials_that_deviate_are_a_distribution() -> None:
    assert {"undisturbed": 16} == wanting(trials([1] * 5 + [2] * 3))
    assert {} == wanting(trials([1] * 4 + [2] * 4))


def test_a_rare_outcome_needs_more_rounds() -> None:
    assert {"undisturbed": 16} == wanting(trials([1] * 7 + [2]))
    assert {"undisturbed": 30} == wanting(trials([1] * 15 + [2]))
    assert {"undisturbed": 30} == wanting(trials([1] * 29 + [2]))


def test_readings_that_disagree_with_the_first_add_one_round_of_both() -> None:
    apart = [*trials([1, 1]), trial("immediate", 2)]
    assert {"undisturbed": 8, "immediate": 8} == wanting(apart)
    assert {"undisturbed": 8, "immediate": 8} == wanting([*trials([1] * 8), *trials([2] * 8, "immediate")])


def test_a_later_trial_that_does_not_wait_has_the_first_reading_repeated_too() -> None:
    assert {"undisturbed": 8, "immediate": 8} == wanting([*trials([1, 1]), *trials([1, 1, 2], "immediate")])


def test_more_trials_that_do_not_wait_than_that_wait_are_no_reason_to_repeat_those() -> None:
    assert {} == wanting([*trials([1]), *trials([1] * 3, "immediate")])


def test_trials_with_different_statuses_disagree() -> None:
    assert {"undisturbed": 8} == wanting([*trials([1]), trial("undisturbed", 1, Status.CRASHED)])


def test_what_a_second_mode_left_is_left_out_whichever_trial_it_ran_in() -> None:
    one, other = (trial("undisturbed", 1) for _ in range(2))
    ran = replace(other, arrays={**other.arrays, "gradient/inference": np.ones(1), "prediction/last": np.ones(1)})
    assert [] == differing(one, ran) == differing(ran, one)
    assert ["prediction/last"] == differing(one, replace(one, arrays={**one.arrays, "prediction/last": np.ones(1)}))


def test_chance_that_only_trials_without_a_wait_show_is_looked_for_in_as_many_that_wait() -> None:
    waiting, race = trials([1] * 8), trials([1] * 7 + [1.001], "immediate")
    assert {"undisturbed": 16, "immediate": 16} == wanting([*waiting, *race])
    assert {"undisturbed": 9, "immediate": 9} == wanting([*waiting, *trials([1] * 5 + [1.001] * 4, "immediate")])


def paced(value: float, step: str) -> Observation:
    return replace(trial("unsettled", value), steps=(Step(step, 0.0),))


def test_trials_that_differ_by_their_pace_alone_need_no_further_round() -> None:
    waiting, held, rested = trials([1] * 8), [paced(2, "hold")] * 3, [paced(1, "rest")] * 2
    eight = {"undisturbed": 8, "unsettled": 8}
    assert eight == wanting([*waiting, *trials([1, 1, 1], "unsettled"), *held, *rested])
    assert eight == wanting([*trials([1, 1]), trial("unsettled", 1), held[0], rested[0]])


def test_a_single_trial_that_reads_early_has_one_of_each_pace_beside_it() -> None:
    def read(at_once: float) -> Observation:
        early, settled = {"state/at-once/mean": np.array([at_once], "<f4")}, {"state/after/mean": np.ones(1, "<f4")}
        return replace(trial("unsettled", 1), arrays={**early, **settled})

    assert {"unsettled": 3} == wanting([*trials([1, 1]), read(0)])
    assert {} == wanting([*trials([1, 1]), read(1)])
    assert {} == wanting([*trials([1, 1]), *[read(0)] * 3])


def test_trials_of_one_pace_that_differ_are_repeated_and_so_are_those_that_wait() -> None:
    held, rested = [paced(2, "hold")] * 2, [paced(1, "rest")] * 2
    one = [*trials([1] * 8), *trials([1] * 3, "unsettled")]
    assert {"undisturbed": 16, "unsettled": 16} == wanting([*one, *held, paced(1, "hold"), *rested])
    assert {} == wanting([*one, *[paced(1, "hold")] * 3, *rested])


def test_other_cells_are_doubted_where_waiting_trials_disagree_and_not_for_a_race() -> None:
    agreeing = trials([1, 1])
    assert not waiting_disagree([*agreeing, *trials([2], "timed")])
    assert not waiting_disagree([*agreeing, *trials([2, 3], "immediate")])
    assert waiting_disagree(trials([1, 2]))
    assert waiting_disagree([*agreeing, *trials([1, 2], "timed")])
