"""Formats numbers as text: predictions with six significant digits, errors with an exponent, excerpts of arrays."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from crosscheck.cells import PLAIN
from crosscheck.records import Errors, JudgedCell, Update, rows_of

__all__ = [
    "DASH",
    "before_and_after",
    "duration",
    "gradient_error_text",
    "largest_change",
    "prediction_text",
    "release_spans",
    "scientific",
    "significant",
    "update_text",
]

#: Text of a missing number.
DASH = "\N{EN DASH}"

#: Moments of an update that are not said as "in <moment>".
WHENS = {"adopted": "as the caller adopts what was returned", "second": "in the second call only"}

#: Maximum numbers of a prediction in a table's column.
SHOWN_WHOLE = 8


def significant(value: float) -> str:
    """Format with six significant digits: 0.29985, 0.379263."""
    return _non_finite(value) or f"{value:.6g}"


def scientific(value: float | None) -> str:
    """Format an error with two digits and an exponent; zero is "0", a missing error a dash."""
    if value is None:
        return DASH
    return _non_finite(value) or ("0" if value == 0 else f"{value:.1e}")


def duration(seconds: float) -> str:
    """Format seconds: `0.4 s`, `74 s`, `12 min 5 s`, `2 h 3 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def prediction_text(prediction: Sequence[Sequence[float]]) -> str:
    """Write the numbers of a prediction [rows][classes]; a slash separates rows."""
    return " / ".join(" ".join(significant(value) for value in row) for row in prediction)


def before_and_after(cell: JudgedCell) -> tuple[str, str]:
    """Format a prediction before and after: whole if small, else the entry with the largest change and the classes.

    Cells with a curve show the accuracy and the probe image's class instead.
    """
    curve = cell.curve
    if curve is not None and curve.accuracy and curve.top1:
        ends = ((curve.accuracy[at], curve.top1[at]) for at in (0, -1))
        before, after = (f"accuracy {significant(accuracy)}, class {top1}" for accuracy, top1 in ends)
        return before, after
    earlier, later = (
        None if value is None else rows_of(value) for value in (cell.prediction_before, cell.prediction_after)
    )
    if "prediction_before" in cell.omitted or "prediction_after" in cell.omitted:
        return _classes(cell.top1_before), _classes(cell.top1_after)
    if earlier is None:
        return DASH, DASH if later is None else _excerpt(later, 0, 0)
    if later is None:
        return _excerpt(earlier, 0, 0), DASH
    row, column = _largest_change_at(earlier, later)
    before, after = _excerpt(earlier, row, column), _excerpt(later, row, column)
    classes_before, classes_after = cell.top1_before, cell.top1_after
    if classes_before is not None and classes_after is not None and classes_before != classes_after:
        pairs = enumerate(zip(classes_before, classes_after, strict=False))
        for at, (old, new) in [(at, pair) for at, pair in pairs if pair[0] != pair[1]][:1]:
            before += f" (row {at}: class {old})"
            after += f" (row {at}: class {new})"
    return before, after


def largest_change(cell: JudgedCell) -> str:
    """The persistent tensor with the largest change, and that change (absolute)."""
    moved = {name: change for name, change in cell.state_changes.items() if change != 0}
    if not moved:
        return "none" if cell.state_changes else DASH
    name = max(moved, key=lambda key: math.inf if math.isnan(moved[key]) else moved[key])
    least = "at least " if "state_changes" in cell.omitted and len(moved) == len(cell.state_changes) else ""
    others = f" and {least}{len(moved) - 1} more" if len(moved) > 1 else ""
    return f"{name} {scientific(moved[name])}{others}"


def gradient_error_text(errors: Errors | None) -> str:
    """Write the errors of a gradient against the inference-mode and the training-mode closed form."""
    if errors is None:
        return DASH
    return f"{scientific(errors.inference)} / {scientific(errors.training)}"


#: Kinds of average besides the exponential one -> text.
AVERAGES = {
    "cumulative": "cumulative average",
    "debiased": "debiased average",
    "first-replaces": "first batch replaces",
    "debiased-mean": "first batch replaces the mean",
    "overcorrected": "debiased average, not started at zero",
    "renormalized": "standard deviation averaged (renormalization)",
    "renormalized-twice": "averages averaged (renormalization)",
    "replaced": "statistics replaced",
}


#: Kinds of batch variance -> formula; `variance` in panel.js.
VARIANCES = {
    "unbiased-epsilon": "(biased + epsilon) x n/(n - 1)",
    "keras-2": "biased x n/(n - 1 - epsilon)",
    "keras-2-fused": "unbiased x n/(n - 1 - epsilon)",
    "keras-2-theano": "(biased + epsilon) x n/(n - 1 - epsilon)",
}


def update_text(update: Update | None) -> str:
    """Describe the update law."""
    if update is None or update.when == "none":
        return DASH if update is None else "none"
    count, momentum = update.count, update.momentum
    updates = "moved" if count is None else "1 update" if count == 1 else f"{count} updates"
    variance = VARIANCES.get(update.variance, update.variance)
    law = "" if momentum is None else f", momentum {significant(momentum)}, variance {variance}"
    average = update.average or "exponential"
    named = "" if average == "exponential" else f", {AVERAGES[average]}"
    when = WHENS.get(update.when, f"in {update.when}")
    return f"{updates} {when}{named}{law}"


def release_spans(members: Sequence[tuple[str, str]], order: Sequence[str]) -> str:
    """Format (release, variant) pairs; three or more consecutive in `order` become "1.2.0 to 1.4.1 (5 releases)"."""
    texts: list[str] = []
    for variant in dict.fromkeys(variant for _, variant in members):
        named = {release for release, of in members if of == variant}
        spans: list[list[str]] = [[]]
        for release in order:
            if release in named:
                spans[-1].append(release)
            elif spans[-1]:
                spans.append([])
        spans.extend([release] for release in sorted(named.difference(order)))
        suffix = "" if variant == PLAIN else f" +{variant}"
        for span in spans:
            if len(span) < 3:
                texts.extend(f"{name}{suffix}" for name in span)
            else:
                texts.append(f"{span[0]} to {span[-1]}{suffix} ({len(span)} releases)")
    return ", ".join(texts)


def _classes(top1: Sequence[int] | None) -> str:
    """The class of the first rows."""
    if not top1:
        return DASH
    return f"class {', '.join(map(str, top1[:SHOWN_WHOLE]))}{' ...' if len(top1) > SHOWN_WHOLE else ''}"


def _excerpt(prediction: Sequence[Sequence[float]], row: int, column: int) -> str:
    if sum(len(values) for values in prediction) <= SHOWN_WHOLE:
        return prediction_text(prediction)
    return f"row {row}, class {column}: {significant(prediction[row][column])}"


def _largest_change_at(before: Sequence[Sequence[float]], after: Sequence[Sequence[float]]) -> tuple[int, int]:
    # The shapes may differ between the two calls; only common entries are compared.
    def changes() -> Iterator[tuple[float, int, int]]:
        for row, pair in enumerate(zip(before, after, strict=False)):
            for column, (old, new) in enumerate(zip(*pair, strict=False)):
                same = old == new or (math.isnan(old) and math.isnan(new))
                change = 0.0 if same else abs(new - old)
                yield (math.inf if math.isnan(change) else change), -row, -column

    _, row, column = max(changes(), default=(0.0, 0, 0))
    return -row, -column


def _non_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return ""
