"""`models/defects`: every page has scripts that run by themselves, names their releases, and shows its defect."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from crosscheck.environments.environment import describe, make
from crosscheck.runtimes.catalog import Release, Runtime, catalog

DEFECTS = Path(__file__).parents[1] / "models" / "defects"
PAGES = sorted(path.parent for path in DEFECTS.glob("*/README.md"))
#: `defect.py`, or `defect_TOOLKIT.py` for each toolkit that a page is about.
SCRIPTS = sorted(DEFECTS.glob("*/defect*.py"))
#: Package of a script -> the runtime's name in the catalog.
NAMES = {
    "ai-edge-litert": "litert",
    "onnxruntime-training-cpu": "onnxruntime-training",
    "opencv-python-headless": "opencv",
}
#: Page -> the toolkit of its script, whose package has a folder for each of its bases.
TOOLKITS = {
    "art-mxnet-backward-in-training": "adversarial-robustness-toolbox-mxnet",
    "foolbox-mxnet-sign": "foolbox-mxnet",
}
#: Runtimes that the ordinary tests install.
INSTALLED = ("mxnet", "onnx", "onnxruntime")
#: The longest script, in lines, without its metadata.
LONGEST = 60


def metadata(script: Path) -> dict[str, str]:
    """The packages that a script asks for, with their versions, the runtime's first."""
    block = re.match(r"# /// script\n(.*?)# ///\n", script.read_text(), re.DOTALL)
    assert block
    head = tomllib.loads("".join(line[2:] + "\n" for line in block[1].splitlines()))
    return dict(package.split("==") for package in head["dependencies"])


def name(script: Path) -> str:
    """The page's name, with the script's behind it where a page has several."""
    return "/".join((script.parent.name, script.stem)).removesuffix("/defect")


def target(script: Path) -> tuple[Runtime, Release]:
    """The runtime and the release that a script runs in."""
    package, version = next(iter(metadata(script).items()))
    runtime = catalog()[TOOLKITS.get(script.parent.name, NAMES.get(package, package))]
    (release,) = [release for release in runtime.releases if release.version == version]
    return runtime, release


def run(script: Path, folder: Path) -> list[str]:
    """The lines that a script prints in its release's environment."""
    runtime, release = target(script)
    environment = describe(runtime, release, release.variants[0])
    make(runtime, release, environment)
    libraries = {"LD_LIBRARY_PATH": ":".join(map(str, environment.library_path))} if environment.library_path else {}
    command = [str(environment.python), "-W", "ignore", str(script)]
    ended = subprocess.run(command, cwd=folder, env=libraries, capture_output=True, text=True, check=False, timeout=120)
    assert 0 == ended.returncode, ended.stderr
    return ended.stdout.splitlines()


def test_the_index_lists_every_page_and_every_page_has_a_script() -> None:
    listed = re.findall(r"^\| \[`([^`]+)`\]\(\1/README\.md\) \|", (DEFECTS / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == [page.name for page in PAGES]
    assert {page.name for page in PAGES} == {script.parent.name for script in SCRIPTS}
    assert {page.name for page in PAGES} == {path.name for path in DEFECTS.iterdir() if path.is_dir()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_releases_and_its_scripts(page: Path) -> None:
    text = (page / "README.md").read_text()
    releases = text.partition("## Releases\n")[2].partition("\n## ")[0]
    scripts = [script for script in SCRIPTS if script.parent == page]
    for script in scripts:
        _, release = target(script)
        assert release.version in releases
        assert f"    uv run {script.name}" in text
    assert "Measured with the script" in releases
    assert "## Upstream" in text
    files = {path.name for path in page.iterdir()}
    assert files <= {"README.md", "defect.onnx", *(script.name for script in scripts)}
    assert ("defect.onnx" in files) == ("`defect.onnx`" in text)
    assert all(path.stat().st_size < 5000 for path in page.iterdir())
    for link in re.findall(r"\]\((?!https)([^)]+)\)", text):
        assert (page / link).exists(), link


@pytest.mark.parametrize("script", SCRIPTS, ids=name)
def test_a_script_is_short_and_compiles(script: Path) -> None:
    text = script.read_text()
    _, release = target(script)
    program = ast.parse(text)
    assert (ast.get_docstring(program) or "").count("\n") == 0
    assert release.version in (ast.get_docstring(program) or "")
    assert len(text.partition("\n# ///\n")[2].splitlines()) <= LONGEST
    assert "crosscheck" not in text
    assert '"no defect" if ' in text.splitlines()[-1]


@pytest.mark.parametrize("script", [script for script in SCRIPTS if target(script)[0].name in INSTALLED], ids=name)
def test_a_script_shows_its_defect(script: Path, tmp_path: Path) -> None:
    shows_its_defect(script, tmp_path)


@pytest.mark.large
@pytest.mark.parametrize("script", [script for script in SCRIPTS if target(script)[0].name not in INSTALLED], ids=name)
def test_a_script_of_another_runtime_shows_its_defect(script: Path, tmp_path: Path) -> None:
    shows_its_defect(script, tmp_path)


def shows_its_defect(script: Path, tmp_path: Path) -> None:
    lines = run(script, tmp_path)
    assert "defect" == lines[-1], lines
    assert any("expected:" in line for line in lines)
