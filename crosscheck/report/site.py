"""The report as a folder for a static host: the page, the cells, and a badge for each runtime as SVG and as JSON."""

from __future__ import annotations

import json
import re
import shutil
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from crosscheck.cells import Intent
from crosscheck.errors import CrosscheckError, UsageError
from crosscheck.report.order import runtime_order
from crosscheck.report.reading import read_cells, read_run
from crosscheck.report.records import JudgedCell, Run
from crosscheck.report.summary import Answer, answer

__all__ = ["Badge", "badges", "write_site"]

#: Backgrounds on which white text has a contrast of 4.5 or more (WCAG 2.2, AA). The words say the same.
SAFE, WAY_OUT, NO_WAY_OUT, UNKNOWN = "#17643a", "#0b5394", "#8a4b00", "#565d66"
#: Pixels that a sign takes in 11 px Verdana and what stands in for it; the text is fitted to the sum.
SIGN, WIDE_SIGN, MARGIN = 6.6, 11.0, 6
#: As many signs of a text as a badge shows.
LONGEST = 90
#: What XML 1.0 cannot hold, however it is escaped (https://www.w3.org/TR/xml/#charsets).
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Badge:
    """What a badge says of one runtime: the subject, the statement, its background, and how to understand it."""

    runtime: str
    label: str
    message: str
    color: str
    meaning: str


def write_site(page: Path, into: Path) -> Path:
    """Put the report `page` and what stands beside it into the folder `into`; return the path of its `index.html`.

    There will be `index.html`, `cells.jsonl`, `run.json` if the run has one, `badge/<runtime>.svg` and `.json`, and no
    arrays. What else lies in the folder stays, badges of earlier runs' runtimes too.
    Raises UsageError for the run's own folder, CrosscheckError where nothing can be written.
    """
    folder = page.parent
    if into.resolve() == folder.resolve():
        raise UsageError(f"--site {into}: that is the folder of the run. Name another one.")
    cells = read_cells(folder)
    found = badges(read_run(folder / "run.json", cells), cells)
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
        for badge in found:
            name = quote(badge.runtime, safe="", errors="replace")
            widths = [round(_width(text) + 2 * MARGIN) for text in (badge.label, badge.message)]
            svg = template.render(badge=badge, widths=widths, margin=MARGIN)
            (into / "badge" / f"{name}.svg").write_text(svg, encoding="utf-8")
            (into / "badge" / f"{name}.json").write_text(json.dumps(endpoint(badge)) + "\n", encoding="utf-8")
    except OSError as problem:
        raise CrosscheckError(
            f"--site {into}: {problem.strerror or problem}. Name a folder that can be written."
        ) from problem
    return into / "index.html"


def badges(run: Run, cells: Sequence[JudgedCell]) -> tuple[Badge, ...]:
    """Make a badge for each runtime of the run.

    It says in how many of the releases that were measured some way of asking for an input gradient leaks, and since
    which release there is a way with the intent `inference` that is clean, in all that was measured as installed, up to
    the newest. It compares no runtime with another.
    """
    told = answer(run, cells)
    return tuple(_badge(run, told, runtime) for runtime in runtime_order(run, cells))


def endpoint(badge: Badge) -> dict[str, int | str]:
    """Return what shields.io's endpoint badge reads: https://shields.io/badges/endpoint-badge.

    There `schemaVersion` is always 1, `label` and `message` are the texts on the left and on the right, and `color` is
    the right side's background, for one as a hexadecimal number.
    """
    return {"schemaVersion": 1, "label": badge.label, "message": badge.message, "color": badge.color}


def _badge(run: Run, told: Answer, runtime: str) -> Badge:
    label = _text(f"{runtime} input gradients")
    measured = [release for name, release in told.measured if name == runtime]
    unmeasured = sum(name == runtime for name, _ in told.unmeasured)
    date = f", {run['started'][:10]}" if run["started"] else ""
    if not measured:
        return Badge(runtime, label, "not measured", UNKNOWN, _text(f"crosscheck{date}: no gradient was measured"))
    leaking = sum(name == runtime for name, _ in told.leaking)
    several = len(measured) > 1
    if several:
        leak = f"leak in {leaking} of {len(measured)} releases" if leaking else f"no leak in {len(measured)} releases"
    else:
        leak = f"{'leak' if leaking else 'no leak'} in {measured[0]}"
    way, way_out = _clean_way(told, runtime, measured)
    message = ", ".join(filter(None, (leak, way)))
    color = SAFE if way_out is not False and not leaking else WAY_OUT if way_out else NO_WAY_OUT
    meaning = (
        f"crosscheck{date}, {len(measured)} releases measured, {unmeasured} could not be. Leak: a later prediction "
        "changed after some way of asking for an input gradient. Clean way: a way of asking for the inference-mode "
        "gradient with no finding in that release and every later one measured, as installed."
    )
    return Badge(runtime, label, _text(message), color, _text(meaning, longest=1000))


def _clean_way(told: Answer, runtime: str, measured: Sequence[str]) -> tuple[str, bool | None]:
    """Say since when there is one, and whether there is one in the newest release; None where nobody asked."""
    asked = [mode for mode in told.asked if mode.runtime == runtime and mode.intent == Intent.INFERENCE]
    here = [release for release in measured if any(release in mode.as_installed for mode in asked)]
    if not here:
        return "", None
    starts = [mode.clean_from for mode in asked if mode.clean_from and here[-1] in mode.as_installed]
    if not starts:
        return ("no clean way" if len(measured) == 1 else f"no clean way in {here[-1]}"), False
    return ("clean way" if len(measured) == 1 else f"clean way since {min(starts, key=measured.index)}"), True


def _text(text: str, longest: int = LONGEST) -> str:
    """A text that XML can hold, cut where it is too long to be a name."""
    whole = _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
    return whole if len(whole) <= longest else whole[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _width(text: str) -> float:
    return sum(WIDE_SIGN if unicodedata.east_asian_width(sign) in "WF" else SIGN for sign in text)
