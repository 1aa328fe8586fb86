"""Findings and statuses in the report: letter, meaning, remedy and order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from crosscheck.cells import Finding, Status

__all__ = ["FINDINGS", "STATUSES", "Word", "finding_word", "status_word", "worst_first"]


@dataclass(frozen=True)
class Word:
    """A finding or a status: meaning, letter and colours in the tables, and remedy."""

    name: str
    letter: str
    meaning: str
    tone: str = "unmeasured"
    remedy: str = ""


#: In order of severity: effects on later work precede effects on the call itself. Squares emphasise the first.
FINDINGS: tuple[Word, ...] = (
    Word(
        Finding.POISONED,
        "P",
        "later predictions, reads, copies, saves or double backward passes raise",
        "broken",
        remedy="Ask for gradients on a copy of the network, or in a process of its own.",
    ),
    Word(
        Finding.CORRUPTED,
        "X",
        "the change follows no update law: non-finite, or not the same in every trial",
        "broken",
        remedy="Load the network's parameters anew: there is no way to use it again. Use another call or release.",
    ),
    Word(
        Finding.LEAK,
        "L",
        "a later prediction changed",
        "leak",
        remedy="Ask in inference mode, in both passes. Or ask on a copy, or restore the moving statistics after it.",
    ),
    Word(
        Finding.PARAMETERS_WRITTEN,
        "B",
        "gamma, beta or weights changed",
        "written",
        remedy="Give each node arrays of its own, and compare parameters after the first call.",
    ),
    Word(
        Finding.EXPORT_CHANGED,
        "E",
        "the export altered the network, or the exported file predicts something else",
        "written",
        remedy="Export a copy, and compare a prediction of the file with the network's before you publish it.",
    ),
    Word(
        Finding.SAVE_CHANGED,
        "V",
        "the saved state, loaded into a new network, predicts otherwise than the network itself, or does not load",
        "written",
        remedy="Save the state before the call, or call on a copy.",
    ),
    Word(
        Finding.RACY,
        "R",
        "trials that wait for asynchronous work agree, trials that do not wait differ",
        "order",
        remedy="Wait before the next step: read the gradient, or call `mx.nd.waitall()`, `block_until_ready()`.",
    ),
    Word(
        Finding.UNREPEATABLE,
        "U",
        "trials of one reading differ: nondeterminism, or uninitialised memory",
        "order",
        remedy="Replace the operator at fault, or use a release that is right; a seed does not help.",
    ),
    Word(
        Finding.ORDER_DEPENDENT,
        "O",
        "a correct call is wrong after another mode ran in the same process",
        "order",
        remedy="Keep the two modes in two processes, or use a release that is right.",
    ),
    Word(
        Finding.WRONG_PREDICTION,
        "W",
        "the first prediction already disagrees with the float64 oracle",
        "wrong",
        remedy="Write attributes that are at their default explicitly, or export with another opset.",
    ),
    Word(
        Finding.NO_GRADIENT,
        "N",
        "the gradient is zero in every entry, which its mode's closed form is not",
        "wrong",
        remedy="Compare the gradient's largest entry with zero before you use it; another mode may have a gradient.",
    ),
    Word(
        Finding.WRONG_GRADIENT,
        "G",
        "the gradient matches neither mode's closed form",
        "wrong",
        remedy="Name the mode in both passes; if an operator is at fault, use a release that is right.",
    ),
    Word(
        Finding.MODE_IGNORED,
        "M",
        "the gradient or the prediction is the other mode's, which is not zero",
        "wrong",
        remedy="Set the flag where the layer reads it, and build or trace the graph for each mode anew.",
    ),
    Word(
        Finding.STATE_MOVED,
        "S",
        "statistics or other values that predictions read changed, the probed predictions did not",
        "written",
        remedy="Ask in inference mode, or on a copy; seed a generator again that the call drew from.",
    ),
    Word(
        Finding.INPUT_WRITTEN,
        "I",
        "an array of the caller, the input or fed statistics, has other numbers afterwards",
        "written",
        remedy="Pass a copy of arrays that you need again.",
    ),
    Word(
        Finding.MODE_LEFT_CHANGED,
        "F",
        "a mode flag is not what the user's own lines set it to",
        "written",
        remedy="Set the flag yourself, of all layers, before the next prediction and before the next training step.",
    ),
    Word(
        Finding.GRADIENTS_LEFT,
        "D",
        "parameter gradients, hooks, attributes or `requires_grad` flags are left, or gradients of the user's own are "
        "gone; no prediction reads them, the next step does",
        "written",
        remedy="Ask for the input's gradient alone, or clear what is left before the next training step.",
    ),
    Word(
        Finding.CLEAN,
        "✓",
        "none of these: nothing observed changed by more than rounding, and the numbers are right",
        "clean",
    ),
)

_DOCTOR = "`crosscheck doctor` lists missing requirements and how to install them."

STATUSES: tuple[Word, ...] = (
    Word(Status.OK, "", "measured"),
    Word(
        Status.CRASHED,
        "k",
        "the process died; the data recorded before are judged",
        remedy="See the cell's stderr, or run its command.",
    ),
    Word(
        Status.REFUSED,
        "r",
        "the runtime raised before its first result",
        remedy="The runtime raised this error; the cell's command runs it alone.",
    ),
    Word(
        Status.TIMED_OUT,
        "t",
        "no result within the time limit",
        remedy="Run the cell alone on an idle machine, by its command.",
    ),
    Word(Status.OUT_OF_MEMORY, "o", "the memory limit was reached", remedy="Run fewer jobs at once (`--jobs`)."),
    Word(
        Status.NOT_ASKED,
        "b",
        "the time for measuring (`--budget`) was used up before",
        remedy="Run the same command again, which goes on, or allow more by `--budget`.",
    ),
    Word(Status.IMPORT_FAILED, "m", "installed, but cannot be imported here", remedy=_DOCTOR),
    Word(
        Status.INSTALL_FAILED,
        "i",
        "the installer failed",
        remedy="The reason quotes it; run the same command to retry.",
    ),
    Word(
        Status.UNAVAILABLE,
        "u",
        "this machine lacks a requirement of the release, such as an interpreter or a wheel",
        remedy=_DOCTOR,
    ),
    Word(Status.NOT_IN_RELEASE, "\N{EN DASH}", "the release does not have this mode"),
)

_FINDING = {word.name: (rank, word) for rank, word in enumerate(FINDINGS)}
_STATUS = {word.name: (rank, word) for rank, word in enumerate(STATUSES)}


def finding_word(name: str) -> Word:
    """The word of a finding; unknown findings have a question mark."""
    return _FINDING[name][1] if name in _FINDING else Word(name, "?", "a finding unknown to this report")


def status_word(name: str) -> Word:
    """The word of a status; unknown statuses have a question mark."""
    return _STATUS[name][1] if name in _STATUS else Word(name, "?", "a status unknown to this report")


def worst_first(names: Iterable[str]) -> tuple[str, ...]:
    """Distinct findings or statuses in order of severity, unknown ones first."""
    ranks = {**_FINDING, **_STATUS}
    return tuple(sorted(set(names), key=lambda name: (ranks[name][0] if name in ranks else -1, name)))
