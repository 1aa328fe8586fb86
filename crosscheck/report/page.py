"""Renders a run's files as `report.html`. All text is escaped; the page makes no request."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from crosscheck.cells import PLAIN
from crosscheck.expectations import Expectations, Outcome
from crosscheck.expectations import compare as compare_with
from crosscheck.records import JudgedCell
from crosscheck.records.run import Run
from crosscheck.report import (
    curves,
    matrix,
    number_text,
    order,
    overview,
    pictures,
    sections,
    seed,
    summary,
    vocabulary,
)
from crosscheck.report.arrays import Arrays
from crosscheck.report.causes import causes, lines
from crosscheck.report.cell_diff import MEANINGS
from crosscheck.report.embedded_data import Scripts, embedded
from crosscheck.report.exchange_table import exchange
from crosscheck.report.known import known_cases, verdicts
from crosscheck.report.own_networks import own_networks
from crosscheck.report.recipes import Examples, recipes
from crosscheck.report.results import Results, load
from crosscheck.report.run_diff import Comparison, compare
from crosscheck.report.saliency import PERCENTILE
from crosscheck.whole_files import whole

__all__ = ["render", "write"]

#: The page's JavaScript, in order of concatenation: later files use definitions of earlier ones.
SCRIPTS = ("embedded_data.js", "text.js", "query.js", "panel.js", "squares.js", "view.js")

#: Most cells that the list of unexpected or fixed ones names, since the answer follows; the search shows all.
LISTED = 5


def write(
    folder: Path,
    against: Results | None = None,
    scripts: Scripts | None = None,
    examples: Examples | None = None,
    arrays: Path | None = None,
    expectations: Expectations | None = None,
) -> Path:
    """Read `cells.jsonl` and, if present, `run.json` in `folder`; write `report.html` there and return its path.

    `against` is an earlier run: the page lists the changes since then.
    `scripts` makes the standalone script of a cell, `examples` the program of a recipe. `arrays` is the folder that
    has `arrays/`, if it is another one. `expectations` mark cells as unexpected, fixed or expected.
    Raises CrosscheckError for an invalid file.
    """
    results = load(folder / "cells.jsonl")
    comparison = None if against is None else compare(results.cells, against.cells, str(against.folder))
    outcome = None if expectations is None else compare_with(results.cells, expectations)
    page = render(results.run, results.cells, comparison, scripts, examples, Arrays(arrays or folder), outcome)
    path = folder / "report.html"
    with whole(path) as unfinished:
        # Runtimes' messages can contain lone surrogates, which UTF-8 cannot encode.
        unfinished.write_text(page, encoding="utf-8", errors="replace")
    return path


def render(
    run: Run,
    cells: Sequence[JudgedCell],
    comparison: Comparison | None = None,
    scripts: Scripts | None = None,
    examples: Examples | None = None,
    arrays: Arrays | None = None,
    outcome: Outcome | None = None,
) -> str:
    """The page as text.

    `comparison` adds the changes since another run, `arrays` pictures and their gradients, `outcome` what is
    unexpected, fixed or expected.
    """
    style, script = _asset("style.css"), Markup("").join(_asset(name) for name in SCRIPTS)
    indices = {cell.id: index for index, cell in enumerate(cells)}
    runtimes = list(dict.fromkeys([*run.runtimes, *(cell.runtime for cell in cells)]))
    located = causes(run, cells)
    environment = _environment()
    short = _short_names(run)
    environment.filters["short"] = lambda name: short.get(name, name)
    template = environment.get_template("page.html")
    return template.render(
        run=run,
        style=style,
        script=script,
        policy=_policy(style, script),
        answer=summary.answer(run, cells),
        causes=located,
        overview=overview.overview(run, cells),
        columns=overview.COLUMNS,
        toolkits=overview.toolkits(run, cells),
        states=overview.STATES,
        own_networks=own_networks(run, cells, arrays or Arrays(None)),
        seed_rows=seed.seed_rows(run, cells),
        panels=curves.panels(run, cells),
        exchange=exchange(run, cells),
        recipes=recipes(run, cells, examples),
        known=verdicts(run, cells, known_cases()),
        runtimes=[_runtime(run, cells, name, indices, outcome) for name in runtimes],
        orders={name: order.release_order(run, cells, name) for name in runtimes},
        titles={name: run.runtimes[name].title if name in run.runtimes else name for name in runtimes},
        unmeasured=sections.unmeasured(run, cells),
        findings=vocabulary.FINDINGS,
        statuses=vocabulary.STATUSES,
        comparison=comparison,
        outcome=outcome,
        listed=LISTED,
        kinds=MEANINGS,
        networks=order.distinct(cell.network for cell in cells),
        scenarios=order.distinct(cell.scenario for cell in cells),
        words=_words(),
        data=embedded(
            cells,
            {} if comparison is None else comparison.kinds,
            scripts,
            lines(located),
            {} if outcome is None else outcome.verdicts,
        ),
    )


def _runtime(
    run: Run, cells: Sequence[JudgedCell], name: str, indices: Mapping[str, int], outcome: Outcome | None
) -> dict[str, Any]:
    facts = run.runtimes.get(name)
    return {
        "name": name,
        "title": facts.title if facts else name,
        "link": facts.link if facts else "",
        "unlisted": facts.unlisted if facts else {},
        "tables": matrix.tables(run, cells, name, {} if outcome is None else outcome.verdicts),
        "sections": sections.sections(run, cells, name, indices),
    }


def _short_names(run: Run) -> dict[str, str]:
    """Name -> the short name of a network, where no other network of the run has it."""
    short = {name: facts.short or name for name, facts in run.networks.items()}
    return {name: text for name, text in short.items() if list(short.values()).count(text) == 1}


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("crosscheck.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        duration=number_text.duration,
        finding=vocabulary.finding_word,
        plural=_plural,
        scientific=number_text.scientific,
        significant=number_text.significant,
        size=_size,
        status=vocabulary.status_word,
    )
    environment.globals.update(
        chart=curves.chart,
        mode_anchor=matrix.mode_anchor,
        picture=pictures.picture,
        percentile=PERCENTILE,
        plain=PLAIN,
        spans=number_text.release_spans,
    )
    environment.tests["web_address"] = _is_web_address
    return environment


def _asset(name: str) -> Markup:
    text = resources.files("crosscheck.report").joinpath("templates", name).read_text(encoding="utf-8")
    return Markup(text)  # noqa: S704 - our own file


def _words() -> Markup:
    """Findings and statuses as JSON for the page's JavaScript: letters and ranks are defined once."""
    words = {
        "findings": [[word.name, word.letter, word.tone, word.meaning, word.remedy] for word in vocabulary.FINDINGS],
        "statuses": [[word.name, word.letter] for word in vocabulary.STATUSES],
        "documentation": matrix.DOCUMENTATION,
        "letters": matrix.LETTERS,
    }
    return Markup(json.dumps(words, ensure_ascii=True))  # noqa: S704 - our own words, none of which has a "<"


def _policy(style: str, script: str) -> str:
    """A content security policy that allows the page's own style, script and images, and no request."""
    style_hash, script_hash = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)
    )
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _is_web_address(text: str) -> bool:
    """Whether a text of a runtime's folder may become a link: http and https only."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB"
