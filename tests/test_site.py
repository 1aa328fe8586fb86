"""Publication of the report: the site folder, its badges, and `crosscheck open`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from crosscheck.cli import main
from tests.test_report import make_cell, make_run, saved, unmeasured_cell

SVG = "{http://www.w3.org/2000/svg}"
CLEAN: tuple[str, ...] = ("clean",)
INFERENCE = "executor.eval.eval"
HOSTILE = '../../<script>alert("1")</script>&{{ 7 * 7 }}\x00\x1b\ud800'


def site_of(tmp_path: Path, cells: list[dict[str, Any]], run: dict[str, Any] | None = None) -> Path:
    """The folder written by `crosscheck report RUN --site DIR`."""
    (tmp_path / "run").mkdir(exist_ok=True)
    folder = saved(tmp_path / "run", cells, run)
    assert 0 == main(["report", str(folder), "--site", str(tmp_path / "site")])
    return tmp_path / "site"


def badge_of(tmp_path: Path, cells: list[dict[str, Any]]) -> dict[str, Any]:
    """The JSON of mxnet's badge for shields.io."""
    badge: dict[str, Any] = json.loads((site_of(tmp_path, cells) / "badge" / "mxnet.json").read_text())
    return badge


def test_the_site_contains_the_report_and_its_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run" / "arrays").mkdir(parents=True)
    site = site_of(tmp_path, [make_cell()])
    assert f"report: {tmp_path}/run/report.html\nsite: {site}/index.html\n" == capsys.readouterr().out
    names = sorted(str(path.relative_to(site)) for path in site.rglob("*") if path.is_file())
    badges = [f"badge/{name}.{kind}" for name in ("mxnet", "onnxruntime") for kind in ("json", "svg")]
    assert [*badges, "cells.jsonl", "index.html", "run.json"] == names
    for name, original in (("index.html", "report.html"), ("cells.jsonl", "cells.jsonl"), ("run.json", "run.json")):
        assert (tmp_path / "run" / original).read_bytes() == (site / name).read_bytes()


def test_the_site_of_a_run_without_run_json(tmp_path: Path) -> None:
    site = site_of(tmp_path, [make_cell()])
    (tmp_path / "run" / "run.json").unlink()
    assert 0 == main(["report", str(tmp_path / "run"), "--site", str(site)])
    assert not (site / "run.json").exists()


def test_an_unwritable_site_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("a file")
    assert 3 == main(["report", str(saved(tmp_path, [make_cell()])), "--site", str(tmp_path / "taken")])
    assert "--site" in capsys.readouterr().err
    assert "a file" == (tmp_path / "taken").read_text()


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            [make_cell(release) for release in ("0.11.0", "1.9.1")]
            + [make_cell("0.11.0", INFERENCE), make_cell("1.9.1", INFERENCE, findings=CLEAN)],
            "leak in 2 of 2 releases, clean mode since 1.9.1",
        ),
        (
            [
                make_cell("0.11.0", INFERENCE),
                make_cell("1.2.0", INFERENCE, findings=CLEAN),
                make_cell("1.9.1", INFERENCE, findings=CLEAN),
            ],
            "leak in 1 of 3 releases, clean mode since 1.2.0",
        ),
        (
            [make_cell(release, INFERENCE, findings=CLEAN) for release in ("0.11.0", "1.9.1")],
            "no leak in 2 releases, clean mode since 0.11.0",
        ),
        ([make_cell("1.9.1", INFERENCE, findings=CLEAN)], "no leak in 1.9.1, clean mode"),
        ([make_cell("1.9.1", INFERENCE, findings=("wrong-gradient",))], "no leak in 1.9.1, no clean mode"),
        ([make_cell("1.9.1")], "leak in 1.9.1"),
        (
            # A mode that the newest release no longer has does not count.
            [make_cell("0.11.0", INFERENCE, findings=CLEAN), make_cell("1.9.1", "executor.eval.default")],
            "leak in 1 of 2 releases, no clean mode in 1.9.1",
        ),
        ([unmeasured_cell("unavailable", "no wheel")], "not measured"),
        ([make_cell("1.9.1", "executor.predict", findings=CLEAN)], "not measured"),
    ],
)
def test_badges_summarise_the_measurements(tmp_path: Path, cells: list[dict[str, Any]], message: str) -> None:
    badge = badge_of(tmp_path, cells)
    assert ("schemaVersion", "label", "message", "color") == tuple(badge)
    assert (1, "mxnet input gradients", message) == (badge["schemaVersion"], badge["label"], badge["message"])


def test_svg_and_json_badges_have_the_same_text(tmp_path: Path) -> None:
    badge = badge_of(tmp_path, [make_cell(), unmeasured_cell("unavailable", "no", release="1.2.0")])
    drawing = ElementTree.parse(tmp_path / "site" / "badge" / "mxnet.svg").getroot()  # noqa: S314 - our own file
    title = drawing.find(f"{SVG}title")
    meaning = drawing.find(f"{SVG}desc")
    assert title is not None
    assert meaning is not None
    assert f"{badge['label']}: {badge['message']}" == title.text
    assert ("img", title.get("id")) == (drawing.get("role"), drawing.get("aria-labelledby"))
    assert [badge["label"], badge["message"]] == [text.text for text in drawing.iter(f"{SVG}text")]
    assert badge["color"] in [path.get("fill") for path in drawing.iter(f"{SVG}path")]
    assert "2026-11-22, 1 releases measured, 1 not measurable" in (meaning.text or "")


@pytest.mark.parametrize(
    "cells",
    [
        [make_cell("1.9.1", INFERENCE, findings=CLEAN)],
        [make_cell("1.9.1", INFERENCE, findings=CLEAN), make_cell()],
        [make_cell("1.9.1", INFERENCE)],
        [unmeasured_cell("unavailable")],
    ],
)
def test_badges_have_enough_contrast(tmp_path: Path, cells: list[dict[str, Any]]) -> None:
    badge_of(tmp_path, cells)
    drawing = ElementTree.parse(tmp_path / "site" / "badge" / "mxnet.svg").getroot()  # noqa: S314 - our own file
    (ink,) = [group.get("fill", "") for group in drawing.iter(f"{SVG}g")]
    for ground in [path.get("fill", "") for path in drawing.iter(f"{SVG}path")]:
        assert (luminance(ink) + 0.05) / (luminance(ground) + 0.05) >= 4.5


def luminance(color: str) -> float:
    """The relative luminance of "#rrggbb" (WCAG 2.2)."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_hostile_names_are_escaped_in_badges_and_paths(tmp_path: Path) -> None:
    site = site_of(tmp_path, [make_cell(release=HOSTILE, runtime=HOSTILE)], make_run(runtimes={}))
    assert {"badge", "cells.jsonl", "index.html", "run.json"} == {path.name for path in site.iterdir()}
    (svg,) = (site / "badge").glob("*.svg")
    (endpoint,) = (site / "badge").glob("*.json")
    root = ElementTree.parse(svg).getroot()  # noqa: S314 - our own file
    assert {"svg", "title", "desc", "path", "g", "text"} == {element.tag.removeprefix(SVG) for element in root.iter()}
    shown = HOSTILE.replace("\x00", "\ufffd").replace("\x1b", "\ufffd").replace("\ud800", "\ufffd")
    assert f"{shown} input gradients" == json.loads(endpoint.read_text())["label"]
    assert f"{shown} input gradients" in [text.text for text in root.iter(f"{SVG}text")]


def test_open_opens_the_report_in_the_browser(tmp_path: Path) -> None:
    folder = saved(tmp_path, [make_cell()])
    assert 0 == main(["report", str(folder)])
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > "{tmp_path}/opened"\n')
    browser.chmod(0o755)
    done = opening(folder, BROWSER=f"{browser} %s")
    assert (0, f"opened {folder}/report.html\n", "") == (done.returncode, done.stdout, done.stderr)
    assert (folder / "report.html").as_uri() == (tmp_path / "opened").read_text()


def test_open_prints_the_path_without_a_browser(tmp_path: Path) -> None:
    folder = saved(tmp_path, [make_cell()])
    assert 0 == main(["report", str(folder)])
    done = opening(folder)
    assert 0 == done.returncode
    assert f"no browser found; the report is {folder}/report.html\n" == done.stdout


def opening(folder: Path, **browser: str) -> subprocess.CompletedProcess[str]:
    """Run `crosscheck open` with only the given browser."""
    hidden = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")
    variables = {name: value for name, value in os.environ.items() if name not in hidden}
    command = [sys.executable, "-c", "import sys; from crosscheck.cli import main; sys.exit(main())", "open"]
    return subprocess.run(
        [*command, str(folder)], capture_output=True, text=True, env={**variables, "PATH": str(folder), **browser}
    )
