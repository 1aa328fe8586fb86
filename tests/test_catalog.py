"""What the runtimes' folders say of their modes: titles of APIs, and a summary of each mode."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from crosscheck.runtimes.catalog import Runtime, catalog, forms, load_runtime

#: Characters that fit on a line beside the longest names of modes.
LONGEST = 100
#: Modes that a reader overlooks without headings.
FEW = 6
RUNTIMES = sorted(catalog())


def title(apis: Mapping[str, str], mode: str) -> str | None:
    """The first glob that fits."""
    return next((glob for glob in apis if fnmatchcase(mode, glob)), None)


@pytest.mark.parametrize("name", RUNTIMES)
def test_every_mode_has_a_short_summary_of_its_own(name: str) -> None:
    runtime = catalog()[name]
    summaries = {mode.name: runtime.summary(mode) for mode in runtime.modes}
    assert [] == [mode for mode, summary in summaries.items() if not summary]
    assert [] == [mode for mode, summary in summaries.items() if len(summary) > LONGEST or summary.endswith(".")]
    assert [] == [summary for summary, count in Counter(summaries.values()).items() if count > 1]


@pytest.mark.parametrize("name", RUNTIMES)
def test_every_phrase_and_every_title_is_that_of_some_mode(name: str) -> None:
    runtime = catalog()[name]
    modes = [mode.name for mode in runtime.modes]
    globs = [glob for globs in runtime.phrases.values() for glob in globs]
    assert [] == [glob for glob in globs if not any(fnmatchcase(mode, glob) for mode in modes)]
    assert set(runtime.apis) - {title(runtime.apis, mode) for mode in modes} == set()


@pytest.mark.parametrize("name", [name for name in RUNTIMES if len(catalog()[name].modes) > FEW])
def test_every_one_of_many_modes_has_the_title_of_its_api(name: str) -> None:
    runtime = catalog()[name]
    assert [] == [mode.name for mode in runtime.modes if title(runtime.apis, mode.name) is None]


def test_every_phrase_of_forms_is_that_of_some_form_which_a_runtime_reads() -> None:
    read = {mode.form for runtime in catalog().values() for mode in runtime.modes if mode.form}
    globs = [glob for globs in forms().phrases.values() for glob in globs]
    assert [] == [glob for glob in globs if not any(fnmatchcase(form, glob) for form in read)]


def test_a_summary_has_the_phrases_of_the_form_and_then_those_of_the_mode() -> None:
    runtime = catalog()["onnxruntime"]
    bound = next(mode for mode in runtime.modes if mode.name == "opset-15-fed-bound")
    assert "ONNX opset 15, statistics fed as inputs, by IO binding" == runtime.summary(bound)


FOLDER = {
    "releases.toml": """
[runtime]
package = "toolkit"
title = "A toolkit"
link = "https://example.com"
{tables}
[[release]]
version = "1.0"
released = 2026-01-01
python = ["3.11"]
requires = []
""",
    "modes.py": """
from crosscheck.runtimes.mode import Contract, Modes

MODES = Modes()
MODES.prediction("train.call", "training", Contract("stay", "", ""), "y = net(x)\\n")
MODES.prediction("eval.call", "inference", Contract("stay", "", ""), "y = net(x)\\n")
""",
    "network.py": "def source(request):\n    raise NotImplementedError\n",
}


def toolkit(folder: Path, tables: str = "") -> Runtime:
    """A folder as a package has one."""
    folder.mkdir()
    for file, text in FOLDER.items():
        (folder / file).write_text(text.replace("{tables}", tables))
    return load_runtime(folder)


def test_phrases_are_joined_in_the_order_of_their_table(tmp_path: Path) -> None:
    tables = '[runtime.phrases]\n"net.call" = ["*.call"]\n"in training" = ["no.*", "train.*"]\n'
    runtime = toolkit(tmp_path / "toolkit", tables)
    assert ["net.call, in training", "net.call"] == [runtime.summary(mode) for mode in runtime.modes]


def test_a_folder_without_phrases_and_titles_is_a_runtime(tmp_path: Path) -> None:
    runtime = toolkit(tmp_path / "toolkit")
    assert (["", ""], {}) == ([runtime.summary(mode) for mode in runtime.modes], runtime.apis)
