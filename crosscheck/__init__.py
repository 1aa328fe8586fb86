"""crosscheck: which runtimes leak training-mode statistics when they compute an input gradient.

    result = crosscheck.run(crosscheck.Job(["mxnet@1.9.1"], networks=["conv"]))
    results = crosscheck.load(result.folder)
    [cell.id for cell in results.cells if "leak" in cell.findings]

These names are stable; what other modules have may change.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crosscheck.gradients.api import gradient
    from crosscheck.job import Job, Result, run
    from crosscheck.live import assert_gradient_is_pure
    from crosscheck.report.results import Results, load

__all__ = ["Job", "Result", "Results", "assert_gradient_is_pure", "gradient", "load", "run"]

__version__ = "0.1.0"

#: Where the names are defined; each module is imported on first use, which takes longer than most commands.
MODULES = {
    "Job": "crosscheck.job",
    "Result": "crosscheck.job",
    "run": "crosscheck.job",
    "Results": "crosscheck.report.results",
    "load": "crosscheck.report.results",
    "gradient": "crosscheck.gradients.api",
    "assert_gradient_is_pure": "crosscheck.live",
}


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(MODULES[name]), name)
