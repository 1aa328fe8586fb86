"""Operators of real classifiers in runtimes' own layers: predictions and gradients of the newest releases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
import pytest

from crosscheck.job import Job, run
from tests.conftest import SilentProgress, read_cells
from tests.test_lowering import IMAGES, model

pytestmark = pytest.mark.large

#: Release -> a gradient mode of each way in which its writer writes networks.
MODES = {
    "equinox@0.13.8": ["batch.inference-mode.grad"],
    "haiku@0.0.17": ["eval.grad"],
    "paddlepaddle@3.3.1": ["eval.grad", "static.eval.gradients"],
}
#: Release -> case -> status and findings that are not ("ok", "clean").
DEVIATIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {}


@pytest.mark.parametrize("release", MODES)
def test_every_operator_is_written_and_right(tmp_path: Path, release: str) -> None:
    files = {case: tmp_path / f"{case.replace(' ', '-')}.onnx" for case in IMAGES}
    for case, file in files.items():
        onnx.save(model(IMAGES[case]), file)
    job = Job(
        [release],
        networks=[str(file) for file in files.values()],
        modes=MODES[release],
        scenarios=["gradient"],
        trials=1,
        out=tmp_path,
    )
    run(job, SilentProgress())
    measured: dict[str, set[tuple[str, ...]]] = {}
    for cell in read_cells(tmp_path).values():
        case = cell["network"].rpartition("-")[0].replace("-", " ")
        measured.setdefault(case, set()).add((cell["status"], *cell["findings"]))
    expected: dict[str, set[tuple[str, ...]]] = {case: {("ok", "clean")} for case in IMAGES}
    expected |= {case: {outcome} for case, outcome in DEVIATIONS.get(release, {}).items()}
    assert expected == measured
