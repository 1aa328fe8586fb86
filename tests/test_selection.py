"""Selection: arguments of the command line -> releases, and their networks."""

from __future__ import annotations

import pytest

from crosscheck.cells import Scenario, Trial
from crosscheck.errors import UsageError
from crosscheck.matrix.plan import Wanted, expand
from crosscheck.matrix.selection import Target, matching, targets
from crosscheck.networks import load, names
from crosscheck.repeatability import NOT_WAITING
from crosscheck.runtimes.catalog import Runtime, catalog
from crosscheck.runtimes.known import check_names
from crosscheck.scenarios.facts import SCENARIOS


def selected(*words: str, everything: bool = False) -> list[str]:
    return [target.id for target in targets(words, catalog(), everything)]


def test_a_release_by_its_version() -> None:
    assert ["mxnet@1.9.1"] == selected("mxnet@1.9.1")


def test_newest() -> None:
    assert [f"onnxruntime@{catalog()['onnxruntime'].releases[-1].version}"] == selected("onnxruntime@newest")


def test_a_version_prefix_selects_its_releases() -> None:
    assert ["mxnet@0.9.5.post2"] == selected("mxnet@0.9.5")
    assert ["mxnet@1.3.0", "mxnet@1.3.0.post0", "mxnet@1.3.1"] == selected("mxnet@1.3")


def test_a_range_includes_both_ends() -> None:
    result = selected("mxnet@0.9.5..1.3")
    assert (result[0], result[-1]) == ("mxnet@0.9.5.post2", "mxnet@1.3.1")
    assert "mxnet@1.2.1" in result


def test_an_open_range() -> None:
    assert ["mxnet@1.9.0", "mxnet@1.9.1"] == selected("mxnet@1.9..")
    assert ["mxnet@0.9.5.post2"] == selected("mxnet@..0.9.5.post2")


def test_a_variant() -> None:
    assert ["mxnet@1.9.1+naive-engine"] == selected("mxnet@1.9.1+naive-engine")


def test_all_selects_every_release_in_every_variant() -> None:
    everything = selected("mxnet", everything=True)
    assert len(catalog()["mxnet"].releases) == len([name for name in everything if "+" not in name])
    assert any("+" in name for name in everything)


def test_a_runtime_without_version_selects_the_default_releases() -> None:
    default = {f"mxnet@{release.version}" for release in catalog()["mxnet"].releases if release.default}
    assert default == {name for name in selected("mxnet") if "+" not in name}


def test_a_runtime_outside_the_default_matrix_selects_its_newest_release() -> None:
    assert [f"keras@{catalog()['keras'].releases[-1].version}"] == selected("keras")
    assert not [target for target in selected() if target.startswith("keras@")]


def test_the_name_of_torch_selects_the_newest_of_which_the_small_build_is_locked() -> None:
    assert ["torch@2.13.0"] == selected("torch")
    assert selected("torch@newest") != selected("torch")
    assert not [target for target in selected() if target.startswith("torch@")]


def test_repeated_arguments_count_once() -> None:
    assert ["mxnet@1.9.1"] == selected("mxnet@1.9.1", "mxnet@1.9.1..")


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("mxnett", "mxnet"),
        ("mxnet@1.9.2", "1.9.1"),
        ("mxnet@", "mxnet@1.9.1"),
        ("mxnet@1.9.1+naive", "naive-engine"),
        ("mxnet@abc..1.3", "abc"),
        ("mxnet@1.9.1..1.2", r"Name the older release first: mxnet@1\.2\.\.1\.9\.1"),
    ],
)
def test_errors_name_the_nearest_choices_in_one_line(word: str, near: str) -> None:
    with pytest.raises(UsageError, match=near) as mistake:
        selected(word)
    assert "\n" not in str(mistake.value)


def test_globs() -> None:
    assert ["seed", "seed-batch"] == matching(["seed*"], ["conv", "seed", "seed-batch"], "network")
    with pytest.raises(UsageError, match="seed"):
        matching(["sead"], ["conv", "seed"], "network")


def asked(target: Target, wanted: Wanted, *, scenario: Scenario, default: bool = True) -> set[str]:
    """The networks of the target's default modes, or of its other modes."""
    networks = [load(name) for name in names()]
    return {
        planned.cell.network
        for planned in expand([target], networks, wanted)
        if planned.cell.scenario is scenario and planned.mode.default is default
    }


def test_slow_runtimes_run_only_small_networks_unless_named() -> None:
    (target,) = targets(["tinygrad"], catalog(), everything=False)
    assert {"seed", "seed-batch", "dense"} == asked(target, Wanted(), scenario=Scenario.GRADIENT)
    assert {"seed", "seed-batch", "dense"} == asked(target, Wanted(everything=True), scenario=Scenario.GRADIENT)
    assert set(names()) == asked(target, Wanted(networks=["*"]), scenario=Scenario.GRADIENT)


def test_all_extends_the_default_matrix_along_each_axis() -> None:
    everything, gradient = Wanted(everything=True), Scenario.GRADIENT
    usual, networks = SCENARIOS[gradient].default_networks, set(names())
    older, newest = (targets([f"mxnet@{release}"], catalog(), everything=False)[0] for release in ("1.3.1", "1.9.1"))
    assert asked(newest, everything, scenario=gradient) == networks
    assert asked(newest, everything, scenario=gradient, default=False) == usual
    assert asked(older, everything, scenario=gradient) == usual
    assert {"seed-batch"} == asked(older, everything, scenario=gradient, default=False)
    assert asked(older, Wanted(everything=True, networks=["*"]), scenario=gradient, default=False) == networks


@pytest.mark.parametrize("scenario", [Scenario.GRADIENT, Scenario.ORDER, Scenario.SIBLING])
@pytest.mark.parametrize("release", ["1.3.1", "1.6.0", "1.9.1"])
def test_a_network_without_a_pool_is_asked_about_in_every_release(scenario: Scenario, release: str) -> None:
    (target,) = targets([f"mxnet@{release}"], catalog(), everything=False)
    for everything in (False, True):
        assert "conv-norm" in asked(target, Wanted(everything=everything), scenario=scenario)


def test_all_measures_less_in_older_releases_and_variants() -> None:
    words = "mxnet@1.4.1", "mxnet@1.4.1+mkl", "mxnet@1.9.1+mkldnn-off"
    plain, older, newest = (targets([word], catalog(), everything=False)[0] for word in words)
    everything, gradient = Wanted(everything=True), Scenario.GRADIENT
    assert asked(newest, everything, scenario=gradient) == SCENARIOS[gradient].variant_networks
    assert {"seed-batch"} == asked(older, everything, scenario=gradient)
    assert {"conv-norm"} == asked(newest, everything, scenario=Scenario.ORDER)
    assert {"conv-norm", "seed-batch"} == asked(older, everything, scenario=Scenario.ORDER)
    assert not asked(older, everything, scenario=Scenario.SIBLING)
    assert not asked(plain, everything, scenario=Scenario.TWENTY)

    def repeats(target: Target) -> set[int]:
        planned = expand([target], [load("seed"), load("seed-batch")], everything)
        return {trial.repeat for cell in planned for trial in cell.trials}

    assert {0} == repeats(plain) == repeats(older)
    assert {0, 1} == repeats(newest)


def test_all_has_every_trial_of_the_default_matrix() -> None:
    networks = [load(name) for name in names()]

    def trials(everything: bool) -> set[Trial]:
        planned = expand(targets([], catalog(), everything), networks, Wanted(everything=everything))
        return {trial for cell in planned for trial in cell.trials}

    assert trials(everything=False) < trials(everything=True)


def trials_at_once(word: str, network: str, wanted: Wanted | None = None) -> set[int]:
    """How many trials the readings that do not wait have, in the cells of scenario `gradient`."""
    planned = expand(targets([word], catalog(), everything=False), [load(network)], wanted or Wanted())
    cells = [cell for cell in planned if cell.cell.scenario is Scenario.GRADIENT and cell.trials]
    return {sum(trial.reading == reading for trial in cell.trials) for cell in cells for reading in NOT_WAITING}


def test_asynchronous_runtimes_have_more_trials_that_do_not_wait_where_a_trial_is_cheap() -> None:
    assert {3} == trials_at_once("mxnet@1.9.1", "seed-batch") == trials_at_once("flax", "conv")
    assert {1} == trials_at_once("mxnet@1.9.1", "seed") == trials_at_once("torch", "seed-batch")
    assert {1} == trials_at_once("mxnet@1.9.1+naive-engine", "conv", Wanted(networks=["conv"]))
    assert {1} == trials_at_once("mxnet@1.9.1", "conv", Wanted(trials=1))
    assert {1} == trials_at_once("mxnet@1.3.1", "conv", Wanted(everything=True))


def test_trials_that_do_not_wait_have_each_pace_in_turn_in_asynchronous_runtimes_alone() -> None:
    def paces(word: str) -> list[set[str]]:
        (target,) = targets([word], catalog(), everything=False)
        wanted = Wanted(networks=["conv"], scenarios=["gradient"])
        cell = next(cell for cell in expand([target], [load("conv")], wanted) if cell.trials)
        trials = [Trial(cell.cell, "unsettled", repeat) for repeat in range(6)]
        return [{step["do"] for step in cell.work(trial)["steps"]} & {"hold", "release", "rest"} for trial in trials]

    assert [{"hold", "release"}, {"rest"}, set()] * 2 == paces("mxnet@1.9.1")
    assert [set()] * 6 == paces("mxnet@1.9.1+naive-engine") == paces("onnxruntime@newest")


def test_looking_for_races_costs_the_default_matrix_less_than_a_tenth() -> None:
    planned = expand(targets([], catalog(), everything=False), [load(name) for name in names()], Wanted())
    trials = [trial for cell in planned for trial in cell.trials]
    further = [trial for trial in trials if trial.reading in NOT_WAITING and trial.repeat]
    assert 0 < len(further) < (len(trials) - len(further)) / 10


def test_runtimes_that_wait_for_other_threads_are_asynchronous() -> None:
    """Those whose adapter has work to wait for; MLX and Jittor are lazy: what asks for a value computes it."""
    bases = {"crosscheck.probe.jax": "JaxAdapter"}
    for runtime in catalog().values():
        text = runtime.adapter.read_text()
        waits = "def settle" in text or any(f"from {module} import {name}" in text for module, name in bases.items())
        plain = runtime.releases[-1].variants[0]
        assert plain.asynchronous == (waits and runtime.name not in ("mlx", "jittor")), runtime.name


@pytest.mark.parametrize("runtime", catalog().values(), ids=lambda runtime: runtime.name)
def test_skipped_modes_and_networks_exist(runtime: Runtime) -> None:
    known = {*SCENARIOS, *names()}
    assert known.issuperset(runtime.only_when_named)
    assert known.issuperset(runtime.default_networks)


def test_a_mistyped_runtime_is_told_before_the_catalog_is_read() -> None:
    check_names([f"{name}@newest" for name in catalog()])
    with pytest.raises(UsageError, match="unknown runtime"):
        check_names(["mxnet", "mxnt@1.9.1"])
