"""GitLab CI: jobs in the order of their stages, variables, `parallel`, artifacts and the cache."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosscheck.environments.environment import cache_folder
from tests.ci_systems.machine import Project, copy, shell

#: GitLab's runner executes all lines of a job in one bash with these.
SHELL = "-eo pipefail"
#: Keywords beside jobs.
KEYWORDS = {"workflow", "stages", "variables", "default"}
#: Keywords of jobs that are executed here; others would be ignored.
OF_JOBS = {"stage", "script", "parallel", "cache", "allow_failure", "artifacts"}


@dataclass
class GitLab:
    """A pipeline. variables: of a shell with Python. artifacts: one folder, as all jobs see it."""

    pipeline: Mapping[str, Any]
    project: Project
    folder: Path
    variables: Mapping[str, str]
    log: str = ""

    @property
    def artifacts(self) -> Path:
        """What jobs of earlier stages left."""
        return self.folder / "artifacts"

    @property
    def jobs(self) -> list[str]:
        """Their names, by stage."""
        jobs = {name: job for name, job in self.pipeline.items() if name not in KEYWORDS}
        return sorted(jobs, key=lambda name: self.pipeline["stages"].index(jobs[name]["stage"]))

    def run(self, name: str) -> bool:
        """Run a job, as often as `parallel` says; return whether later stages follow."""
        job = self.pipeline[name]
        assert job.keys() <= OF_JOBS
        count = job.get("parallel", 1)
        green = [self._run_one(name, job, index, count) for index in range(1, count + 1)]
        return all(green)

    def _run_one(self, name: str, job: Mapping[str, Any], index: int, count: int) -> bool:
        workspace = Path(tempfile.mkdtemp(dir=self.folder, prefix=f"{name}-"))
        given = {"CI_PROJECT_DIR": str(workspace), "CI_NODE_INDEX": str(index), "CI_NODE_TOTAL": str(count)}
        own = {key: _expanded(str(value), given) for key, value in self.pipeline["variables"].items()}
        self.project.check_out(workspace, own.get("GIT_SUBMODULE_STRATEGY") in ("normal", "recursive"))
        if self.artifacts.exists():
            copy(self.artifacts, workspace)
        for path in job.get("cache", {}).get("paths", []):
            (workspace / path).parent.mkdir(exist_ok=True)
            if path.endswith("/crosscheck"):  # the machine's, as of the night before
                (workspace / path).symlink_to(cache_folder())
        lines = [*self.pipeline["default"]["before_script"], *job["script"]]
        code, printed = shell(SHELL, "\n".join(lines), workspace, {**self.variables, **given, **own})
        self.log += f"{name} {index}/{count}\n{printed}\nexit code {code}\n"
        kept = job.get("artifacts", {})
        if code == 0 or kept.get("when") == "always":
            for path in kept.get("paths", []):
                copy(workspace / path, self.artifacts / path)
            assert all((workspace / path).is_file() for path in kept.get("reports", {}).values())
        return code == 0 or code == job.get("allow_failure", {}).get("exit_codes")


def _expanded(text: str, variables: Mapping[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda match: variables[match[1]], text)
