"""Operators of real classifiers in runtimes' own layers: their texts, and what the newest releases make of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
import pytest

from crosscheck.job import Job, run
from crosscheck.networks import Network, load
from crosscheck.runtimes.catalog import catalog
from crosscheck.runtimes.program import Subject, source_of
from crosscheck.runtimes.source import Unwritten
from tests.conftest import SilentProgress, read_cells
from tests.test_lowering import IMAGES, model

#: Release -> a gradient mode of each way in which its writer writes networks.
MODES = {
    "chainer@7.8.1": ["eval.grad"],
    "equinox@0.13.8": ["batch.inference-mode.grad"],
    "flax@0.12.8": ["linen.eval.grad", "nnx.eval.grad"],
    "haiku@0.0.17": ["eval.grad"],
    "keras@3.15.1": ["tf.tape.eval"],
    "megengine@1.13.0": ["eval.backward"],
    "mindspore@2.10.0": ["pynative.eval.grad"],
    "mlx@0.32.4": ["eval.grad"],
    "mxnet@1.9.1": ["executor.eval.default", "gluon.eval.eval", "nd.eval.default"],
    "nnabla@1.39.0": ["eval.grad"],
    "oneflow@0.9.0": ["eval.autograd-grad"],
    "paddlepaddle@3.3.1": ["eval.grad", "static.eval.gradients"],
    "tensorflow@2.21.0": ["tape.eval"],
    "tinygrad@0.14.0": ["eval.gradient"],
    "torch@2.13.0": ["eval.autograd-grad"],
}
#: Case -> the operator in it that some writers do not have.
RARE = {
    "dilated transposed convolution": "ConvTranspose",
    "grouped transposed convolution": "ConvTranspose with groups",
    "interpolated": "Resize (linear, half_pixel)",
    "interpolated between corners": "Resize (linear, align_corners)",
    "local response normalization": "LRN",
    "repeated": "Resize (nearest)",
    "repeated around centres": "Resize (nearest)",
    "transposed convolution": "ConvTranspose",
    "transposed convolution to a shape": "ConvTranspose",
    "uneven transposed convolution": "ConvTranspose",
}
#: Likewise, of one writer alone.
ERROR_FUNCTION = {"erf": "Erf", "gelu": "Erf"}
GROUPED, CORNERS = "grouped transposed convolution", "interpolated between corners"
TRANSPOSED = {case for case in RARE if "transposed" in case}
#: Release -> the cases that its writer refuses.
REFUSED: Mapping[str, set[str]] = {
    **{name: set(RARE) for name in MODES},
    "equinox@0.13.8": TRANSPOSED | {CORNERS},
    "flax@0.12.8": {GROUPED, CORNERS},
    "haiku@0.0.17": TRANSPOSED | {CORNERS},
    "keras@3.15.1": {GROUPED, CORNERS},
    "megengine@1.13.0": {*RARE, *ERROR_FUNCTION},
    "mxnet@1.9.1": set(),
    "oneflow@0.9.0": {"local response normalization"},
    "tensorflow@2.21.0": {GROUPED, CORNERS},
    "torch@2.13.0": set(),
}
#: Release -> case that its runtime gets wrong -> what is seen: the gradient of MaxPool in `models/defects`, and a
#: kernel for gradients of slices that raises "input memory out of bounds".
DEFECTS: Mapping[str, Mapping[str, str]] = {
    "mindspore@2.10.0": {"slice with a step": "refused"},
    "mxnet@1.9.1": {"global maximum": "wrong-gradient", "maximum pool with ceil_mode": "wrong-gradient"},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("cases")
    named = {case: folder / f"{case.replace(' ', '-')}.onnx" for case in IMAGES}
    for case, file in named.items():
        onnx.save(model(IMAGES[case]), file)
    return named


@pytest.fixture(scope="module")
def networks(files: dict[str, Path]) -> dict[str, Network]:
    return {case: load(str(file)) for case, file in files.items()}


@pytest.mark.parametrize("name", MODES)
def test_writers_refuse_by_name_what_their_libraries_lack(networks: dict[str, Network], name: str) -> None:
    runtime, _, version = name.partition("@")
    entry = catalog()[runtime]
    release = next(release for release in entry.releases if release.version == version)
    refused: dict[str, set[str]] = {}
    for mode in (mode for mode in entry.modes if mode.name in MODES[name]):
        for case, network in networks.items():
            subject = Subject(network.graph, network.weights, len(network.x))
            try:
                text = source_of(entry, release, release.variants[0], mode, subject).text
                compile(text, case, "exec")
            except Unwritten as lack:
                refused.setdefault(case, set()).add(str(lack))
    expected = {case: {(RARE | ERROR_FUNCTION)[case]} for case in REFUSED[name]}
    if GROUPED in expected and REFUSED[name] >= TRANSPOSED:
        expected[GROUPED] = {"ConvTranspose and ConvTranspose with groups"}
    assert expected == refused


@pytest.mark.large
@pytest.mark.parametrize("name", MODES)
def test_every_operator_that_is_written_is_right(tmp_path: Path, files: dict[str, Path], name: str) -> None:
    job = Job(
        [name],
        networks=[str(file) for file in files.values()],
        modes=MODES[name],
        scenarios=["gradient"],
        trials=1,
        out=tmp_path,
    )
    run(job, SilentProgress())
    measured: dict[str, set[tuple[str, ...]]] = {}
    for cell in read_cells(tmp_path).values():
        case = cell["network"].rpartition("-")[0].replace("-", " ")
        measured.setdefault(case, set()).add((cell["status"], *cell["findings"]))
    expected = {case: {("refused",) if case in REFUSED[name] else ("ok", "clean")} for case in IMAGES}
    for case, word in DEFECTS.get(name, {}).items():
        assert word in {seen for outcome in measured.pop(case) for seen in outcome}
        del expected[case]
    assert expected == measured
