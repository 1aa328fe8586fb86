"""A part of the judge's confusion matrix: what it says of runtimes whose behaviour is known."""

from __future__ import annotations

import pytest

from tests.benchmarks.judge_confusion import classes, markdown, row

SMALL = classes(small=True)
#: Classes whose trials agree by chance now and then: the probability is in the table, not in this test.
BY_CHANCE = ("chance in all trials",)


@pytest.mark.parametrize("name", [name for name in SMALL if name not in BY_CHANCE])
def test_every_cell_has_the_findings_that_its_behaviour_calls_for_and_no_wrong_law(name: str) -> None:
    told = row(name, SMALL[name]())
    assert [] == told.wrong
    assert told.cells == told.right
    assert (0, 0, 0) == (told.false_leaks, told.missed, told.laws["another"])


@pytest.mark.parametrize("name", BY_CHANCE)
def test_chance_is_never_a_false_leak(name: str) -> None:
    told = row(name, SMALL[name]())
    assert (0, 0) == (told.false_leaks, told.missed)


def test_the_table_has_a_line_for_each_class() -> None:
    rows = [row(name, SMALL[name]()) for name in ("tiny leaks", "stale reads")]
    lines = markdown(rows).splitlines()
    assert ["class", "tiny leaks", "stale reads"] == [line.split("|")[1].strip() for line in lines if "---" not in line]
    assert "2 | 2 | 0 | 0 | 1 / 0 / 0 / 0 | leak 2" in lines[-1]
