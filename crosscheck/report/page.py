"""The page: the run's files in, `report.html` out. All text is escaped, and nothing is fetched from anywhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from crosscheck.report import curves, figures, matrix, order, sections, seed, summary, vocabulary
from crosscheck.report.archive import embedded
from crosscheck.report.reading import read_cells, read_run
from crosscheck.report.records import PLAIN, JudgedCell, Run

__all__ = ["render", "write"]


def write(folder: Path) -> Path:
    """Read `run.json` and `cells.jsonl` in `folder`, write `report.html` beside them and return its path.

    Raises CrosscheckError where a file cannot be read as what it should be.
    """
    page = render(read_run(folder / "run.json"), read_cells(folder / "cells.jsonl"))
    path = folder / "report.html"
    part = folder / "report.html.part"
    # Runtimes' messages can hold lone surrogates, which UTF-8 cannot.
    part.write_text(page, encoding="utf-8", errors="replace")
    part.replace(path)
    return path


def render(run: Run, cells: Sequence[JudgedCell]) -> str:
    """Return the page as text."""
    style, script = _asset("style.css"), _asset("details.js")
    embeddable = sections.embeddable(cells)
    indices = {cell["id"]: index for index, cell in enumerate(embeddable)}
    runtimes = list(dict.fromkeys([*run["runtimes"], *(cell["runtime"] for cell in cells)]))
    template = _environment().get_template("page.html")
    return template.render(
        run=run,
        style=style,
        script=script,
        policy=_policy(style, script),
        answer=summary.answer(run, cells),
        seed_rows=seed.seed_rows(run, cells),
        panels=curves.panels(run, cells),
        runtimes=[_runtime(run, cells, name, indices) for name in runtimes],
        orders={name: order.release_order(run, cells, name) for name in runtimes},
        titles={name: run["runtimes"][name]["title"] if name in run["runtimes"] else name for name in runtimes},
        unmeasured=sections.unmeasured(run, cells),
        findings=vocabulary.FINDINGS,
        statuses=vocabulary.STATUSES,
        data=embedded(embeddable),
    )


def _runtime(run: Run, cells: Sequence[JudgedCell], name: str, indices: Mapping[str, int]) -> dict[str, Any]:
    facts = run["runtimes"].get(name)
    return {
        "name": name,
        "title": facts["title"] if facts else name,
        "link": facts["link"] if facts else "",
        "tables": matrix.tables(run, cells, name),
        "sections": sections.sections(run, cells, name, indices),
    }


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("crosscheck.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        duration=figures.duration,
        finding=vocabulary.finding_word,
        plural=_plural,
        scientific=figures.scientific,
        significant=figures.significant,
        size=_size,
        status=vocabulary.status_word,
    )
    environment.globals.update(
        curve_svg=curves.svg,
        mode_anchor=matrix.mode_anchor,
        plain=PLAIN,
        spans=figures.release_spans,
    )
    environment.tests["web_address"] = _is_web_address
    return environment


def _asset(name: str) -> Markup:
    text = resources.files("crosscheck.report").joinpath("templates", name).read_text(encoding="utf-8")
    return Markup(text)  # noqa: S704 - our own file


def _policy(style: str, script: str) -> str:
    """Return a content security policy that allows exactly the page's own style and script, and no request at all."""
    style_hash, script_hash = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)
    )
    return (
        f"default-src 'none'; style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _is_web_address(text: str) -> bool:
    """Whether a text from a runtime's folder may become a link: `javascript:` and its like may not."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB"
