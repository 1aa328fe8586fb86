"""Where a finding begins and ends along a runtime's releases."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosscheck.bisect import Answer, Request, bisect
from crosscheck.bisect.search import Border, Search
from crosscheck.bisect.told import sentences
from crosscheck.errors import UsageError
from crosscheck.job import Job, run
from crosscheck.runtimes.catalog import Runtime, load_runtime
from tests.conftest import SilentProgress

TOY = Path(__file__).parent / "toy"
#: A mode that leaks up to 1.8.2, not up to 1.8.8, and again afterwards.
COMES_AND_GOES = """
CALL = 'net.forward(x, "{0}")\\n---\\ndx = net.backward(cotangent, "{0}")\\n'
gradient(
    "comes-and-goes",
    text=CALL.format("leak-both"),
    editions=(Edition("1.8.2", CALL.format("leak-both")), Edition("1.8.8", CALL.format("training"))),
)
"""
RELEASES = 12


def searched(outcomes: Sequence[bool | None], anchors: Sequence[int] = ()) -> Search:
    """The search at its end, where these are the outcomes of all places."""
    search = Search(len(outcomes), frozenset(anchors))
    while places := search.wanted():
        assert not places & search.outcomes.keys()
        search.outcomes |= {place: outcomes[place] for place in places}
    return search


@given(st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=40), st.data())
def test_the_places_beside_a_border_are_neighbours(outcomes: list[bool | None], data: st.DataObject) -> None:
    anchors = data.draw(st.lists(st.integers(0, len(outcomes) - 1)))
    search = searched(outcomes, anchors)
    assert set(anchors) <= search.outcomes.keys()
    for border in search.borders():
        assert outcomes[border.before] is not None
        assert border.begins == outcomes[border.after] != outcomes[border.before]
        assert [None] * (border.after - border.before - 1) == [outcomes[place] for place in border.unknown]


@given(st.integers(2, 500), st.integers(0, 500), st.booleans())
def test_one_change_takes_a_logarithm_of_questions(count: int, at: int, begins: bool) -> None:
    at = at % (count - 1) + 1
    search = searched([begins is (place >= at) for place in range(count)])
    assert [Border(at - 1, at, begins, ())] == search.borders()
    assert len(search.outcomes) <= 3 + math.ceil(math.log2(count))


def test_the_first_and_the_last_place_that_can_be_measured_are_asked() -> None:
    search = searched([None, None, True, *[True] * 20, None])
    assert {0, 1, 2, 22, 23} == search.outcomes.keys()
    assert [] == search.borders()


def test_a_change_back_and_forth_is_seen_if_a_place_within_it_is_asked() -> None:
    outcomes = [True] * 10 + [False] * 10 + [True] * 10
    assert [] == searched(outcomes).borders()
    assert [(9, 10), (19, 20)] == [(border.before, border.after) for border in searched(outcomes, [14]).borders()]


def test_both_sides_of_a_border_and_the_anchors_are_confirmed() -> None:
    search = searched([False] * 8 + [True] * 8, [3])
    assert {3, 7, 8} == search.unconfirmed()
    search.confirmed |= {3, 7, 8}
    assert set() == search.unconfirmed()


def test_an_outcome_that_is_not_confirmed_continues_the_search() -> None:
    truth = [False] * 6 + [True] * 10
    search = searched([False] * 8 + [True] * 8)
    while places := search.wanted() or search.unconfirmed():
        search.confirmed |= places & search.outcomes.keys()
        search.outcomes |= {place: truth[place] for place in places}
    assert [(5, 6)] == [(border.before, border.after) for border in search.borders()]


@pytest.fixture
def changing(tmp_path: Path) -> Runtime:
    """The toy in twelve releases, the newest in the default matrix, with the mode that leaks, does not, and leaks."""
    folder = tmp_path / "twelve" / "toy"
    shutil.copytree(TOY, folder, ignore=shutil.ignore_patterns("__pycache__"))
    modes, table = folder / "modes.py", folder / "releases.toml"
    modes.write_text(modes.read_text().replace("import Contract,", "import Contract, Edition,") + COMES_AND_GOES)
    versions = [f"1.8.{number}" for number in range(RELEASES)]
    rows = [f'[[release]]\nversion = "{version}"\nreleased = 2025-05-05\n' for version in versions]
    table.write_text("\n".join([table.read_text().partition("[[release]]")[0], *rows]) + "default = true\n")
    for version in versions[1:]:
        shutil.copy(folder / "locks" / "1.8.0.txt", folder / "locks" / f"{version}.txt")
    return load_runtime(folder)


def request(tmp_path: Path, **options: Any) -> Request:
    usual = {"what": ["toy"], "modes": ["comes-and-goes"], "networks": ["seed"], "out": tmp_path / "out"}
    return Request(**{**usual, **options})


def borders(answer: Answer) -> list[tuple[str, str, bool]]:
    """The releases beside each border, and whether the finding begins there."""
    versions = [planned.target.release.version for planned in answer.cells]
    return [(versions[border.before], versions[border.after], border.begins) for border in answer.borders]


def test_a_finding_that_comes_goes_and_comes_back_is_found_from_the_ranges_of_a_run(
    changing: Runtime, tmp_path: Path, progress: SilentProgress
) -> None:
    asked = request(tmp_path)
    (alone,) = bisect(asked, progress, {"toy": changing})
    assert [] == borders(alone)
    assert "comes and goes between the asked releases is not seen" in list(sentences(alone, "leak"))[-1]
    run(
        Job(["toy@1.8.4"], modes=["comes-and-goes"], networks=["seed"], scenarios=["gradient"], out=asked.out),
        progress,
        {"toy": changing},
    )
    (answer,) = bisect(asked, progress, {"toy": changing})
    assert [("1.8.2", "1.8.3", False), ("1.8.8", "1.8.9", True)] == borders(answer)
    assert answer.search.confirmed >= {2, 3, 4, 8, 9}
    assert [
        "comes-and-goes/seed/gradient: 8 of 12 releases asked",
        "  1.8.0 to 1.8.2: leak",
        "  1.8.3 to 1.8.8: no leak",
        "  1.8.9 to 1.8.11: leak",
        "  leak ends between 1.8.2 (2025-05-05) and 1.8.3 (2025-05-05)",
        "  leak begins between 1.8.8 (2025-05-05) and 1.8.9 (2025-05-05)",
    ] == list(sentences(answer, "leak"))


def test_a_release_that_cannot_be_measured_is_said_with_its_reason(
    changing: Runtime, tmp_path: Path, progress: SilentProgress
) -> None:
    for version in ("1.8.2", "1.8.3", "1.8.1"):
        (changing.folder / "locks" / f"{version}.txt").write_text("nonexistent-package==1.0\n")
    broken = load_runtime(changing.folder)
    (answer,) = bisect(request(tmp_path, what=["toy@1.8.0..1.8.6"]), progress, {"toy": broken})
    assert [("1.8.0", "1.8.4", False)] == borders(answer)
    assert {1, 2, 3} == answer.reasons.keys()
    told = list(sentences(answer, "leak"))
    assert "1.8.1, 1.8.2, 1.8.3 could not be measured" in told[3]
    assert all("not measured: 1.8." in line and "install-failed" in line for line in told[4:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"finding": "laek"}, "'laek' is no finding. Did you mean leak"),
        ({"what": ["toy@1.8.0"]}, "no mode is in two of these releases"),
        ({"modes": ["nothing"]}, "no mode matches 'nothing'"),
        ({"networks": ["nothing"]}, "no network matches 'nothing'"),
        ({"what": ["toy@3"]}, "toy has no release '3'"),
    ],
)
def test_words_that_match_nothing(
    changing: Runtime, tmp_path: Path, progress: SilentProgress, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message.replace("(", "\\(")):
        bisect(request(tmp_path, **options), progress, {"toy": changing})
