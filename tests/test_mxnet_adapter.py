"""The table of MXNet's modes and releases, as the host reads it without MXNet."""

from collections.abc import Sequence

import pytest

from crosscheck.runtimes.catalog import Runtime, catalog
from crosscheck.runtimes.mode import Mode


@pytest.fixture(name="mxnet")
def _mxnet() -> Runtime:
    return catalog()["mxnet"]


def modes_of(mxnet: Runtime, version: str) -> Sequence[Mode]:
    release = next(release for release in mxnet.releases if release.version == version)
    return [mode for mode in mxnet.modes if release.has(mode)]


def test_all_releases_on_pypi_are_there_and_locked(mxnet: Runtime) -> None:
    assert len(mxnet.releases) == 34
    locks = {mxnet.lock(release, variant) for release in mxnet.releases for variant in release.variants}
    assert {lock for lock in locks if not lock.exists()} == set()
    assert len([lock for lock in locks if "+mxnet-mkl" in lock.name]) == 25


@pytest.mark.parametrize("version", ["0.9.5.post2", "0.10.0", "0.11.0", "1.0.0.post4", "1.2.0", "1.9.1"])
def test_a_mode_only_names_modes_that_its_release_has_and_that_take_its_model(mxnet: Runtime, version: str) -> None:
    having = {mode.name: mode for mode in modes_of(mxnet, version)}
    for mode in having.values():
        for intent, other in (("inference", mode.inference), ("training", mode.training)):
            if other is not None:
                assert having[other].intent == intent
                assert having[other].asks == "gradient"
                assert other.split(".")[0] == mode.name.split(".")[0]


def test_the_first_release_has_one_backward_and_no_imperative_gradient(mxnet: Runtime) -> None:
    names = {mode.name for mode in modes_of(mxnet, "0.9.5.post2") if mode.asks == "gradient"}
    assert names == {
        "executor.train.default",
        "executor.eval.default",
        "executor.global-stats",
        "module.train",
        "module.eval",
    }


def test_an_inference_gradient_can_be_compared_with_a_training_one(mxnet: Runtime) -> None:
    """But for files that other runtimes wrote: nobody asks those in scenario `order`."""
    assert [
        mode.name
        for mode in mxnet.modes
        if mode.asks == "gradient" and mode.intent == "inference" and mode.training is None and not mode.file
    ] == []
