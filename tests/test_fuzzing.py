"""The short form of the campaigns in `tests.fuzz`: changed inputs raise nothing but what their readers document."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.campaign import fault, input_of
from tests.fuzz.targets import TARGETS, Target

#: Inputs of each target that are read in this process, and those that hypothesis draws.
INPUTS, DRAWN = 60, 20


def accepted(target: Target, content: bytes) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        try:
            target.run(content, Path(folder))
        except target.allowed:
            return False
        return True


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_most_of_the_corpus_is_accepted(name: str) -> None:
    """What is changed means something to its reader."""
    target = TARGETS[name]
    contents = target.seeds()
    assert sum(accepted(target, content) for content in contents) > len(contents) / 3


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_changed_inputs_are_read_or_refused(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    seeds = target.seeds()
    faults = {number: fault(target, input_of(target, seeds, 14, number), tmp_path) for number in range(INPUTS)}
    assert {} == {number: text for number, text in faults.items() if text is not None}


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_inputs_that_hypothesis_changes_are_read_or_refused(name: str) -> None:
    """A failing one is made smaller."""
    target = TARGETS[name]

    @settings(max_examples=DRAWN, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(target.seeds()), st.randoms(use_true_random=False))
    def holds(seed: bytes, draw: Random) -> None:
        content = target.mutate(seed, draw)
        with tempfile.TemporaryDirectory() as folder:
            assert fault(target, content, Path(folder)) is None

    holds()


def test_an_undocumented_exception_is_a_fault(tmp_path: Path) -> None:
    def fails(content: bytes, folder: Path) -> None:
        raise KeyError(content)

    target = Target(fails, TARGETS["wire"].mutate, (ValueError,), "wire")
    assert "KeyError: " in (fault(target, b"", tmp_path) or "")
    assert fault(Target(fails, target.mutate, (LookupError,), "wire"), b"", tmp_path) is None
