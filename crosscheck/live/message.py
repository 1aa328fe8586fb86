"""What a failed assertion says: the findings, the law, and a call that leaves such a model as it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from crosscheck.cells import Finding
from crosscheck.live.findings import Found, findings, moved_state
from crosscheck.live.law import law_of
from crosscheck.live.model import LiveModel
from crosscheck.live.observed import Observed
from crosscheck.runtimes.catalog import catalog
from crosscheck.runtimes.mode import Mode

__all__ = ["message", "recipe"]

#: Maximum lines of one finding.
TOLD = 8
#: Findings that another way of asking removes.
BY_THE_CALL = frozenset(
    {Finding.LEAK, Finding.STATE_MOVED, Finding.CORRUPTED, Finding.POISONED, Finding.GRADIENTS_LEFT}
)
#: What to do about the others.
REMEDIES = {
    Finding.PARAMETERS_WRITTEN: "ask a copy of the model",
    Finding.INPUT_WRITTEN: "give the call a copy of the input",
    Finding.MODE_LEFT_CHANGED: "put the flags back after the call, also where it raises",
}


def message(observed: Observed) -> str:
    """The text; empty without a finding."""
    found = findings(observed)
    if not found:
        return ""
    words = [one.finding for one in found]
    head = f"the gradient is not pure: {', '.join(words)}"
    parts = [head, *("\n".join(_lines(one, observed)) for one in found), *_remedies(words, observed.model)]
    return "\n\n".join(parts)


def _lines(found: Found, observed: Observed) -> Iterator[str]:
    yield f"{found.finding}: {found.sentence}"
    yield from (f"    {line}" for line in found.lines[:TOLD])
    if len(found.lines) > TOLD:
        yield f"    and {len(found.lines) - TOLD} more"
    if found.finding in (Finding.LEAK, Finding.STATE_MOVED) and moved_state(observed):
        yield f"    {law_of(observed)}"


def _remedies(words: Sequence[Finding], model: LiveModel) -> Iterator[str]:
    for word in words:
        if word in REMEDIES:
            yield f"remedy for {word}: {REMEDIES[word]}"
    if not BY_THE_CALL.isdisjoint(words):
        mode = recipe(model.runtime, model.mode)
        call = "\n".join(f"    {line}".rstrip() for line in mode.call.splitlines())
        yield f"a call that leaves such a model as it was (`cotangent`: a weight for each output):\n{call}"


def recipe(runtime: str, mode: str) -> Mode:
    """The way of asking that the matrix measures under this name."""
    return next(one for one in catalog()[runtime].modes if one.name == mode)
