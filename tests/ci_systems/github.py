"""GitHub Actions: jobs of a workflow, their matrices, expressions, and the actions that the documentation uses."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.ci_systems.machine import Project, copy, shell

#: `bash -e {0}`, which runs a step that names no shell.
SHELL = "-e"
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}", re.DOTALL)
#: A job's result as `needs` has it.
Outputs = dict[str, Any]


@dataclass
class GitHub:
    """A workflow's run. variables: of a shell with Python. artifacts, summaries: what the jobs leave."""

    workflow: Mapping[str, Any]
    project: Project
    folder: Path
    variables: Mapping[str, str]
    outputs: dict[str, Outputs] = field(default_factory=dict)
    summaries: dict[str, str] = field(default_factory=dict)
    log: str = ""

    @property
    def artifacts(self) -> Path:
        """A folder for each artifact."""
        return self.folder / "artifacts"

    def run(self, name: str) -> bool:
        """Run a job, and all of its matrix; return whether it is green."""
        job = self.workflow["jobs"][name]
        needs = {needed: {"outputs": self.outputs[needed]} for needed in _listed(job.get("needs", []))}
        context = {"needs": needs, "matrix": {}, "strategy": {"job-index": 0}}
        if "strategy" not in job:
            return self._run_one(name, job, context)
        entries = _evaluated(job["strategy"]["matrix"]["include"], context, self.folder)
        green = [
            self._run_one(name, job, {**context, "matrix": entry, "strategy": {"job-index": index}})
            for index, entry in enumerate(entries)
        ]
        return all(green)

    def _run_one(self, name: str, job: Mapping[str, Any], context: dict[str, Any]) -> bool:
        workspace = Path(tempfile.mkdtemp(dir=self.folder, prefix=f"{name}-"))
        context = {**context, "steps": {}}
        green = True
        for step in job["steps"]:
            if green or _evaluated(step.get("if", False), context, workspace):
                green = self._step(name, job, step, context, workspace) and green
        self.outputs[name] = {
            key: _evaluated(value, context, workspace) for key, value in job.get("outputs", {}).items()
        }
        return green

    def _step(
        self, name: str, job: Mapping[str, Any], step: Mapping[str, Any], context: dict[str, Any], workspace: Path
    ) -> bool:
        if "uses" in step:
            action, _, version = step["uses"].partition("@")
            assert re.fullmatch(r"v\d+", version)
            inputs = {key: _evaluated(value, context, workspace) for key, value in step.get("with", {}).items()}
            outputs = ACTIONS[action](self, job, inputs, workspace)
            context["steps"][step.get("id")] = {"outputs": outputs}
            assert {} == inputs, f"{action}: {inputs}"
            return True
        with tempfile.TemporaryDirectory() as temporary:
            output, summary = Path(temporary, "output"), Path(temporary, "summary")
            scopes = [scope.get("env", {}) for scope in (self.workflow, job, step)]
            environment = {
                **self.variables,
                **{key: str(value) for scope in scopes for key, value in scope.items()},
                "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(summary),
            }
            code, printed = shell(SHELL, _evaluated(step["run"], context, workspace), workspace, environment)
            self.log += f"{name}: {step['run']}\n{printed}\nexit code {code}\n"
            context["steps"][step.get("id")] = {"outputs": _read_outputs(output)}
            self.summaries[name] = self.summaries.get(name, "") + (summary.read_text() if summary.exists() else "")
        return code == 0


def _listed(needs: Any) -> list[str]:
    return [needs] if isinstance(needs, str) else needs


def _evaluated(text: Any, context: Mapping[str, Any], workspace: Path) -> Any:
    """A value of the file with its expressions replaced; one that is an expression alone keeps its type."""
    if not isinstance(text, str):
        return text
    if alone := EXPRESSION.fullmatch(text.strip()):
        return _value(alone[1], context, workspace)
    return EXPRESSION.sub(lambda match: str(_value(match[1], context, workspace)), text)


def _value(expression: str, context: Mapping[str, Any], workspace: Path) -> Any:
    """What is not here is a mistake of the file: GitHub would silently take an empty text for it."""
    if expression == "!cancelled()":
        return True
    if call := re.fullmatch(r"fromJSON\((.*)\)", expression):
        return json.loads(_value(call[1], context, workspace))
    if call := re.fullmatch(r"hashFiles\((.*)\)", expression):
        for pattern in re.findall(r"'(.*?)'", call[1]):
            assert list(workspace.glob(pattern)), f"nothing matches {pattern}"
        return "digest"
    value: Any = context
    for name in expression.split("."):
        value = value[name]
    return value


def _read_outputs(path: Path) -> Outputs:
    """The outputs of a step: lines `name=value`, or `name<<END`, lines and `END`."""
    outputs: Outputs = {}
    lines = iter(path.read_text().splitlines() if path.exists() else [])
    for line in lines:
        name, delimiter, rest = line.partition("<<")
        if delimiter:
            block = []
            while (line := next(lines)) != rest:
                block.append(line)
            outputs[name] = "\n".join(block)
        else:
            name, _, outputs[name] = line.partition("=")
    return outputs


# Each takes the inputs that it knows, and returns its outputs.


def _checkout(run: GitHub, job: Mapping[str, Any], inputs: Outputs, workspace: Path) -> Outputs:
    run.project.check_out(workspace, inputs.pop("submodules", False))
    return {}


def _setup_python(run: GitHub, job: Mapping[str, Any], inputs: Outputs, workspace: Path) -> Outputs:
    version = inputs.pop("python-version")
    assert isinstance(version, str), "3.10 is the number 3.1"
    return {"python-version": f"{version}.0"}


def _cache(run: GitHub, job: Mapping[str, Any], inputs: Outputs, workspace: Path) -> Outputs:
    """The folders are outside the workspace, and this machine's are there."""
    assert all(path.startswith("~/") for path in inputs.pop("path").split())
    assert re.fullmatch(r"[^,]{1,512}", inputs.pop("key"))
    return {}


def _upload(run: GitHub, job: Mapping[str, Any], inputs: Outputs, workspace: Path) -> Outputs:
    """Paths relative to the folder that all have in common: of one folder, its contents."""
    name, paths = inputs.pop("name"), [workspace / path for path in inputs.pop("path").split()]
    required = inputs.pop("if-no-files-found", "warn") == "error"
    assert not re.search(r'["\\/:<>|*?]', name)
    there = [path for path in paths if path.exists()]
    assert there or not required, f"{name}: no file"
    root = Path(os.path.commonpath(paths))
    for path in there:
        copy(path, run.artifacts / name / path.relative_to(root))
    return {}


def _download(run: GitHub, job: Mapping[str, Any], inputs: Outputs, workspace: Path) -> Outputs:
    """Each artifact in a folder of its name."""
    to = workspace / inputs.pop("path")
    for artifact in run.artifacts.glob(inputs.pop("pattern")):
        copy(artifact, to / artifact.name)
    return {}


def _upload_sarif(run: GitHub, job: Mapping[str, Any], inputs: Outputs, workspace: Path) -> Outputs:
    assert "write" == job["permissions"]["security-events"]
    assert inputs.pop("category")
    assert json.loads((workspace / inputs.pop("sarif_file")).read_text())["runs"]
    return {}


ACTIONS = {
    "actions/checkout": _checkout,
    "actions/setup-python": _setup_python,
    "actions/cache": _cache,
    "actions/upload-artifact": _upload,
    "actions/download-artifact": _download,
    "github/codeql-action/upload-sarif": _upload_sarif,
}
