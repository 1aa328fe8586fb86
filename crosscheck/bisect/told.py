"""Says where a finding begins and ends, in lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from crosscheck.bisect.command import Answer
from crosscheck.bisect.search import Border
from crosscheck.matrix.plan import Planned

__all__ = ["sentences"]

#: Most characters of a reason.
LONGEST = 160


def sentences(answer: Answer, finding: str) -> Iterator[str]:
    """The ranges, the borders with the dates of both sides, and what could not be measured or seen."""
    search, cells = answer.search, answer.cells
    yield f"{answer.name}: {len(search.outcomes)} of {len(cells)} releases asked"
    if not search.measured:
        yield "  no release could be measured"
    else:
        for first, last, has in answer.ranges():
            releases = first.target.release.version
            if last is not first:
                releases += f" to {last.target.release.version}"
            yield f"  {releases}: {finding}" if has else f"  {releases}: no {finding}"
        for border in answer.borders:
            yield f"  {_border(answer, border, finding)}"
        if not answer.borders and len(search.outcomes) < len(cells):
            yield "  what comes and goes between the asked releases is not seen: ask about fewer of them"
    for place, reason in sorted(answer.reasons.items()):
        text = " ".join(reason.split())
        short = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
        yield f"  not measured: {_dated(cells[place])}, {short}"


def _border(answer: Answer, border: Border, finding: str) -> str:
    before, after = (_dated(answer.cells[place]) for place in (border.before, border.after))
    what = f"{finding} begins" if border.begins else f"{finding} ends"
    unknown = ", ".join(answer.cells[place].target.release.version for place in border.unknown)
    return f"{what} between {before} and {after}" + (f"; {unknown} could not be measured" if unknown else "")


def _dated(planned: Planned) -> str:
    release = planned.target.release
    return f"{release.version} ({release.released or 'date unknown'})"
