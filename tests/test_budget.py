"""The time for measuring: shares of the targets, and what a run does when it is used up."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from crosscheck.errors import UsageError
from crosscheck.job import Result
from crosscheck.matrix.budget import Budget, seconds_of
from crosscheck.matrix.selection import Target, targets
from crosscheck.runtimes.catalog import Runtime


class Clock:
    """A clock that the test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def three(toy: Runtime) -> list[Target]:
    return targets(["toy"], {"toy": toy}, everything=True)[:3]


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("none", math.inf)])
def test_durations(text: str, seconds: float) -> None:
    assert seconds == seconds_of(text)


@pytest.mark.parametrize("text", ["10", "0s", "-3m", "10 m", "ten", "", "1d", "nanm"])
def test_a_duration_that_is_none_says_what_one_is(text: str) -> None:
    with pytest.raises(UsageError, match="--budget takes a duration, as in 90s, 10m or 2h, or none"):
        seconds_of(text)


def used(budget: Budget, clock: Clock, target: Target, seconds: float) -> bool:
    """Whether a server of the target that ran for so long has used its share up."""
    budget.begin(target)
    clock.now += seconds
    over = budget.over(target)
    budget.end(target)
    return over


def test_targets_have_equal_parts_and_leave_what_they_do_not_need(clock: Clock, three: list[Target]) -> None:
    budget = Budget(90, clock)
    budget.stage(targets=3, servers=1)
    seconds = dict(zip(three, (10, 39, 40), strict=True))
    assert not any(used(budget, clock, target, spent) for target, spent in seconds.items())
    budget.stage(targets=1, servers=1)
    assert used(budget, clock, three[0], 1)


def test_a_target_is_over_from_its_share_on(clock: Clock, three: list[Target]) -> None:
    budget = Budget(90, clock)
    budget.stage(targets=3, servers=1)
    budget.begin(three[0])
    for now, over in ((29.0, False), (30.0, True)):
        clock.now = now
        assert over is budget.over(three[0])


def test_several_servers_share_wall_time(clock: Clock, three: list[Target]) -> None:
    budget = Budget(90, clock)
    budget.stage(targets=3, servers=2)
    for target in three[:2]:
        budget.begin(target)
    clock.now = 59.0
    assert [budget.over(target) for target in three[:2]] == [False, False]
    clock.now = 60.0
    assert [budget.over(target) for target in three[:2]] == [True, True]
    for target in three[:2]:
        budget.end(target)
    # 120 of 180 seconds of two servers are spent.
    budget.begin(three[2])
    clock.now = 119.0
    assert not budget.over(three[2])
    clock.now = 120.0
    assert budget.over(three[2])


def test_a_second_server_of_a_target_goes_on_with_what_is_left(clock: Clock, three: list[Target]) -> None:
    budget = Budget(60, clock)
    budget.stage(targets=2, servers=1)
    assert not used(budget, clock, three[0], 20)
    budget.begin(three[0])  # half of the 40 seconds that are left
    clock.now += 19
    assert not budget.over(three[0])
    clock.now += 1
    assert budget.over(three[0])


def test_a_later_stage_has_what_earlier_ones_left(clock: Clock, three: list[Target]) -> None:
    budget = Budget(60, clock)
    budget.stage(targets=1, servers=2)
    assert not used(budget, clock, three[0], 50)
    clock.now += 1000  # no server runs
    budget.stage(targets=1, servers=2)
    assert not used(budget, clock, three[0], 9)
    budget.stage(targets=1, servers=2)
    assert used(budget, clock, three[0], 1)


def test_without_a_limit_nothing_is_over(clock: Clock, three: list[Target]) -> None:
    budget = Budget(clock=clock)
    budget.stage(targets=3, servers=2)
    assert not any(used(budget, clock, target, 1e9) for target in three)
    budget.stage(targets=3, servers=2)
    assert not any(used(budget, clock, target, 1e9) for target in three)


def lines(folder: Path) -> dict[str, dict[str, object]]:
    return {row["id"]: row for row in map(json.loads, (folder / "cells.jsonl").read_text().splitlines())}


def test_what_the_time_is_not_enough_for_is_named_and_measured_by_the_next_run(
    run_toy: Callable[..., Result], tmp_path: Path
) -> None:
    asked = {"networks": ["seed"], "modes": ["inference"], "scenarios": ["gradient"]}
    first = run_toy("toy@1.7.0", **asked, budget=1e-9)
    out = first.folder
    (row,) = lines(out).values()
    assert row["status"] == "not-asked"
    assert row["findings"] == []
    assert "--budget" in str(row["reason"])
    assert first.incomplete == 1
    assert "not-asked" in (out / "report.html").read_text()

    second = run_toy("toy@1.7.0", **asked)
    (row,) = lines(second.folder).values()
    assert (row["status"], row["findings"]) == ("ok", ["clean"])
    assert second.incomplete == 0
