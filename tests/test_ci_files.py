"""The CI files of the documentation are executed as they stand, by stand-ins for the systems that read them.

Each job installs crosscheck anew: the ordinary tests have one night, the large ones the others.
"""

from __future__ import annotations

import json
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from junitparser import JUnitXml
from ruamel.yaml import YAML

from tests.ci_systems.github import GitHub
from tests.ci_systems.gitlab import GitLab
from tests.ci_systems.machine import ROOT, Project, python_of, shell

CI = ROOT / "docs" / "ci"
PROJECT = Project({name: (CI / name).read_text() for name in ("crosscheck.toml", "expect.toml")})
#: File -> the name of its schema, as the package check-jsonschema carries it from schemastore.org and from GitLab.
SCHEMAS = {"github.yml": "github-workflows", "gitlab.yml": "gitlab-ci"}
#: What a night leaves.
RESULTS = ("crosscheck-out/report.html", "crosscheck-junit.xml", "crosscheck.sarif", "crosscheck.md")


def read(name: str) -> Any:
    """A file as the CI systems read it: by YAML 1.2, in which `on` is a text."""
    return YAML(typ="safe", pure=True).load(CI / name)


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_file_is_valid_by_the_published_schema(name: str) -> None:
    path = f"check_jsonschema/builtin_schemas/vendor/{SCHEMAS[name]}.json"
    schema = json.loads(Path(str(distribution("check-jsonschema").locate_file(path))).read_text())
    jsonschema.validators.validator_for(schema)(schema).validate(read(name))


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return python_of(tmp_path_factory.mktemp("runner") / "python")


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str]) -> GitHub:
    """A night, as long as it is green."""
    run = GitHub(read("github.yml"), PROJECT, tmp_path_factory.mktemp("github"), variables)
    assert all(run.run(name) for name in run.workflow["jobs"]), run.log
    return run


@pytest.fixture(scope="module")
def gitlab(tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str]) -> GitLab:
    run = GitLab(read("gitlab.yml"), PROJECT, tmp_path_factory.mktemp("gitlab"), variables)
    assert all(run.run(name) for name in run.jobs), run.log
    return run


def check(results: Path, runtimes: set[str]) -> None:
    """That the results of a night are whole."""
    assert [] == [name for name in RESULTS if not (results / name).is_file()]
    cells = [json.loads(line) for line in (results / "crosscheck-out" / "cells.jsonl").read_text().splitlines()]
    assert runtimes == {cell["runtime"] for cell in cells}
    assert {"leak"} < {finding for cell in cells for finding in cell["findings"]}
    report = JUnitXml.fromfile(str(results / "crosscheck-junit.xml"))
    assert len(cells) == sum(suite.tests for suite in report)
    assert 0 == sum(suite.failures for suite in report)


def broken() -> Project:
    """The project after somebody took a finding out of its expectations."""
    text = PROJECT.files["expect.toml"]
    assert 1 == text.count('"leak", "gradients-left"')
    return Project({**PROJECT.files, "expect.toml": text.replace('"leak", "gradients-left"', '"gradients-left"')})


def test_a_night_on_github_measures_the_shards_and_uploads_the_whole(github: GitHub) -> None:
    assert {"shard-0", "shard-1", "crosscheck"} == {path.name for path in github.artifacts.iterdir()}
    check(github.artifacts / "crosscheck", {"chainer", "tract"})
    assert "0 unexpected" in github.summaries["merge"]


@pytest.mark.large
def test_github_turns_red_on_an_unexpected_finding_and_still_uploads_the_report(github: GitHub, tmp_path: Path) -> None:
    again = GitHub(github.workflow, broken(), tmp_path, github.variables, github.outputs)
    for shard in github.artifacts.glob("shard-*"):
        (again.artifacts / shard.name).parent.mkdir(exist_ok=True)
        (again.artifacts / shard.name).symlink_to(shard)
    assert not again.run("merge")
    assert "unexpected: chainer@7.8.1/default.backward/seed-batch/gradient: leak" in again.log, again.log
    assert [] == [name for name in RESULTS if not (again.artifacts / "crosscheck" / name).is_file()]


@pytest.mark.parametrize(("code", "green"), [(0, True), (3, False), (4, True)])
def test_a_shard_on_github_is_red_unless_cells_could_not_be_measured(code: int, green: bool, tmp_path: Path) -> None:
    (step,) = (step for step in read("github.yml")["jobs"]["shard"]["steps"] if "matrix.command" in step.get("run", ""))
    script = step["run"].replace("${{ matrix.command }}", f"bash -c 'exit {code}'")
    assert green == (shell("-e", script, tmp_path, {})[0] == 0)


@pytest.mark.large
def test_a_night_on_gitlab_measures_the_shards_and_keeps_the_whole(gitlab: GitLab) -> None:
    assert {"1", "2"} == {path.name for path in (gitlab.artifacts / "shards").iterdir()}
    check(gitlab.artifacts, {"chainer", "tract"})


@pytest.mark.large
def test_gitlab_turns_red_on_an_unexpected_finding_and_still_keeps_the_report(gitlab: GitLab, tmp_path: Path) -> None:
    again = GitLab(gitlab.pipeline, broken(), tmp_path, gitlab.variables)
    again.artifacts.mkdir()
    (again.artifacts / "shards").symlink_to(gitlab.artifacts / "shards")
    assert not again.run("merge")
    assert "unexpected: chainer@7.8.1/default.backward/seed-batch/gradient: leak" in again.log, again.log
    assert [] == [name for name in RESULTS if not (again.artifacts / name).is_file()]


def test_gitlab_plans_as_many_shards_as_it_runs() -> None:
    pipeline = read("gitlab.yml")
    assert pipeline["variables"]["SHARDS"] == pipeline["shard"]["parallel"]
