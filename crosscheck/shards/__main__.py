"""Prints the contents of `figures.json` from the run in a folder: `python -m crosscheck.shards RUN`.

A run on this machine that had nothing else to do, without earlier measurements and with every runtime, gives good
figures.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crosscheck.environments.environment import cache_folder
from crosscheck.exchange import FROM
from crosscheck.records.run import EnvironmentFacts
from crosscheck.report import load
from crosscheck.shards.times import imports_of, means, trial

#: Digits of a figure: runs differ by more than one percent.
DIGITS = 3


def _figures(folder: Path) -> dict[str, Any]:
    """Seconds of an import by runtime, and of a trial by runtime, scenario and shipped network; sizes by runtime."""
    results = load(folder)
    shipped = [
        cell
        for cell in results.cells
        if cell.trials and FROM not in cell.network and results.run.networks[cell.network].file is None
    ]
    trials: dict[str, dict[str, dict[str, float]]] = {}
    rows = means(((cell.runtime, cell.scenario.value, cell.network), trial(cell)) for cell in shipped)
    for (runtime, scenario, network), seconds in sorted(rows.items()):
        trials.setdefault(runtime, {}).setdefault(scenario, {})[network] = _rounded(seconds)
    imports = sorted(imports_of(results.run.import_seconds).items())
    return {
        "imports": {name: _rounded(seconds) for name, seconds in imports if name},
        "disk_mb": dict(sorted(_sizes(results.run.environments).items())),
        "trials": trials,
    }


def _sizes(environments: Mapping[str, EnvironmentFacts]) -> dict[str, int]:
    """Megabytes of the environments that are still there: files that they have in common count in each."""
    rows = []
    for target, facts in environments.items():
        runtime, _, rest = target.partition("@")
        folder = cache_folder() / "environments" / f"{runtime}-{rest.partition('+')[0]}-{facts.key}"
        files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
        if files:
            rows.append((runtime, sum(path.stat().st_size for path in files) / 1e6))
    return {runtime: round(size) for runtime, size in means(rows).items()}


def _rounded(seconds: float) -> float:
    return float(f"{seconds:.{DIGITS}g}")


print(json.dumps(_figures(Path(sys.argv[1])), indent=1))
