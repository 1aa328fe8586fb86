"""Exports the report for a static host: the page, the cells, and a badge per runtime as SVG and JSON."""

from __future__ import annotations

import json
import shutil
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from crosscheck.cells import Intent
from crosscheck.errors import CrosscheckError, UsageError
from crosscheck.records import JudgedCell
from crosscheck.records.run import Run
from crosscheck.report.order import runtime_order
from crosscheck.report.results import load
from crosscheck.report.summary import Answer, answer
from crosscheck.report.xml_text import xml_text

__all__ = ["Badge", "badges", "write_site"]

#: Backgrounds with a contrast of at least 4.5 to white text (WCAG 2.2, AA); the text has the same meaning.
SAFE, WAY_OUT, NO_WAY_OUT, UNKNOWN = "#17643a", "#0b5394", "#8a4b00", "#565d66"
#: Width of a character in 11 px Verdana or its substitutes, in pixels; the text is fitted to the sum.
SIGN, WIDE_SIGN, MARGIN = 6.6, 11.0, 6
#: Maximum characters of a badge's text.
LONGEST = 90


@dataclass(frozen=True)
class Badge:
    """A runtime's badge: label, message, background colour, and explanation."""

    runtime: str
    label: str
    message: str
    color: str
    meaning: str


def write_site(page: Path, into: Path) -> Path:
    """Copy the report `page` and its data into the folder `into`; return the path of its `index.html`.

    Writes `index.html`, `cells.jsonl`, `run.json` if the run has one, `badge/<runtime>.svg` and `.json`, but no arrays.
    Keeps other files of the folder, including badges of earlier runs.
    Raises UsageError for the run's own folder, CrosscheckError if the folder is not writable.
    """
    folder = page.parent
    if into.resolve() == folder.resolve():
        raise UsageError(f"--site {into}: this is the folder of the run. Name another one.")
    results = load(folder)
    site_badges = badges(results.run, results.cells)
    loader = PackageLoader("crosscheck.report")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.get_template("badge.svg")
    try:
        (into / "badge").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(page, into / "index.html")
        shutil.copyfile(folder / "cells.jsonl", into / "cells.jsonl")
        if (folder / "run.json").exists():
            shutil.copyfile(folder / "run.json", into / "run.json")
        else:
            (into / "run.json").unlink(missing_ok=True)  # another run's
        for badge in site_badges:
            name = quote(badge.runtime, safe="", errors="replace")
            widths = [round(_width(text) + 2 * MARGIN) for text in (badge.label, badge.message)]
            svg = template.render(badge=badge, widths=widths, margin=MARGIN)
            (into / "badge" / f"{name}.svg").write_text(svg, encoding="utf-8")
            (into / "badge" / f"{name}.json").write_text(json.dumps(endpoint(badge)) + "\n", encoding="utf-8")
    except OSError as problem:
        raise CrosscheckError(f"--site {into}: {problem.strerror or problem}. Name a writable folder.") from problem
    return into / "index.html"


def badges(run: Run, cells: Sequence[JudgedCell]) -> tuple[Badge, ...]:
    """A badge per runtime.

    States the number of measured releases with a leaking input gradient, and the first release with an
    inference-intent mode that is clean, as installed, up to the newest release. Badges do not compare runtimes.
    """
    summary = answer(run, cells)
    return tuple(_badge(run, summary, runtime) for runtime in runtime_order(run, cells))


def endpoint(badge: Badge) -> dict[str, int | str]:
    """The JSON of shields.io's endpoint badge: https://shields.io/badges/endpoint-badge.

    `schemaVersion` is always 1, `label` and `message` are the left and right texts, and `color` is the right side's
    background, here in hexadecimal.
    """
    return {"schemaVersion": 1, "label": badge.label, "message": badge.message, "color": badge.color}


def _badge(run: Run, summary: Answer, runtime: str) -> Badge:
    label = _text(f"{runtime} input gradients")
    measured = [release for name, release in summary.measured if name == runtime]
    unmeasured = sum(name == runtime for name, _ in summary.unmeasured)
    date = f", {run.started[:10]}" if run.started else ""
    if not measured:
        return Badge(runtime, label, "not measured", UNKNOWN, _text(f"crosscheck{date}: no gradient was measured"))
    leaking = sum(name == runtime for name, _ in summary.leaking)
    several = len(measured) > 1
    if several:
        leak = f"leak in {leaking} of {len(measured)} releases" if leaking else f"no leak in {len(measured)} releases"
    else:
        leak = f"{'leak' if leaking else 'no leak'} in {measured[0]}"
    way, way_out = _clean_mode(summary, runtime, measured)
    message = ", ".join(filter(None, (leak, way)))
    color = SAFE if way_out is not False and not leaking else WAY_OUT if way_out else NO_WAY_OUT
    meaning = (
        f"crosscheck{date}, {len(measured)} releases measured, {unmeasured} not measurable. Leak: a later prediction "
        "changed after an input gradient in some mode. Clean mode: an inference-mode gradient without findings in that "
        "release and every later measured one, as installed."
    )
    return Badge(runtime, label, _text(message), color, _text(meaning, longest=1000))


def _clean_mode(summary: Answer, runtime: str, measured: Sequence[str]) -> tuple[str, bool | None]:
    """The first release with a clean mode, as text, and whether the newest has one; None if not measured."""
    modes = [mode for mode in summary.asked if mode.runtime == runtime and mode.intent == Intent.INFERENCE]
    here = [release for release in measured if any(release in mode.as_installed for mode in modes)]
    if not here:
        return "", None
    starts = [mode.clean_from for mode in modes if mode.clean_from and here[-1] in mode.as_installed]
    if not starts:
        return ("no clean mode" if len(measured) == 1 else f"no clean mode in {here[-1]}"), False
    return ("clean mode" if len(measured) == 1 else f"clean mode since {min(starts, key=measured.index)}"), True


def _text(text: str, longest: int = LONGEST) -> str:
    """A text valid in XML, truncated to `longest` characters."""
    whole = xml_text(text)
    return whole if len(whole) <= longest else whole[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _width(text: str) -> float:
    return sum(WIDE_SIGN if unicodedata.east_asian_width(sign) in "WF" else SIGN for sign in text)
