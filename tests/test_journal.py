"""What the journal keeps, and what a kept trial depends on: with anything of that changed, it is measured again."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from crosscheck.cells import Status, Trial
from crosscheck.environments.environment import describe
from crosscheck.matrix import cache
from crosscheck.matrix.agreement import SERVERS
from crosscheck.matrix.journal import Journal, Record
from crosscheck.matrix.ledger import Ledger
from crosscheck.matrix.plan import Planned, Wanted, expand
from crosscheck.matrix.selection import Target, targets
from crosscheck.networks import load
from crosscheck.runtimes.catalog import Runtime, catalog, load_runtime

Copied = Callable[[str], Path]


def planned(runtime: Runtime, mode: str = "inference", scenario: str = "gradient") -> Planned:
    """A cell of the runtime's newest release, on the seed."""
    selected = targets([f"{runtime.name}@newest"], {runtime.name: runtime}, everything=False)
    return expand(selected, [load("seed")], Wanted([mode], [scenario], ["seed"]))[0]


def key(plan: Planned, reading: str = "timed", repeat: int = 0, isolation: str = "fork") -> str:
    """The key of one of its trials."""
    target = plan.target
    environment = describe(target.runtime, target.release, target.variant)
    return cache.key(plan, Trial(plan.cell, reading, repeat), environment, isolation)


@pytest.fixture
def plan(toy: Runtime) -> Planned:
    return planned(toy)


@pytest.fixture
def copied(toy: Runtime, tmp_path: Path) -> Copied:
    """A copy of the toy's folder, named after what is to be changed in it."""

    def copy(what: str) -> Path:
        return Path(shutil.copytree(toy.folder, tmp_path / what / "toy"))

    return copy


def edited(folder: Path, file: str, old: str, new: str) -> Runtime:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    return load_runtime(folder)


def test_the_same_trial_has_the_same_key(plan: Planned, toy: Runtime, copied: Copied) -> None:
    assert key(plan) == key(planned(toy)) == key(planned(load_runtime(copied("same"))))


def test_readings_repeats_and_isolations_are_kept_apart(plan: Planned) -> None:
    keys = [key(plan), key(plan, "unsettled"), key(plan, repeat=1), key(plan, isolation="new-interpreter")]
    assert 4 == len(set(keys))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("adapter.py", "import sys\n", "import sys\n\n"),
        (
            "modes.py",
            'dx = net.backward(cotangent, "{way or name}")',
            'dx = 1 * net.backward(cotangent, "{way or name}")',
        ),
        ("network.py", "y = net.predict", "y = 1 * net.predict"),
        ("locks/1.8.0.txt", "autograd==", "# autograd\nautograd=="),
    ],
)
def test_a_trial_depends_on_adapter_texts_and_lock(
    plan: Planned, copied: Copied, file: str, old: str, new: str
) -> None:
    assert key(plan) != key(planned(edited(copied("edited"), file, old, new)))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("modes.py", "MODES = Modes(", "# a comment\nMODES = Modes("),
        ("modes.py", "y = net.leaking_forward(x)", "y = 1 * net.leaking_forward(x)"),
        ("modes.py", "the toy's manual promises", "the manual of the toy promises"),
        ("releases.toml", 'title = "Toy runtime"', 'title = "The toy"'),
    ],
)
def test_a_trial_does_not_depend_on_words_about_it_nor_on_other_modes(
    plan: Planned, copied: Copied, file: str, old: str, new: str
) -> None:
    assert key(plan) == key(planned(edited(copied("edited"), file, old, new)))


def test_a_trial_depends_on_what_its_mode_is_compared_with(toy: Runtime, copied: Copied) -> None:
    other = edited(copied("edited"), "modes.py", 'gradient("training")', 'gradient("training", way="leak-forward")')
    plans = [planned(runtime, "order-dependent", "order") for runtime in (toy, other)]
    one, two = (key(plan, "after-other") for plan in plans)
    assert one != two


def test_a_trial_depends_on_network_and_variables(plan: Planned) -> None:
    network = dataclasses.replace(plan.network, x=plan.network.x * 2)
    variant = dataclasses.replace(plan.target.variant, environment={"A": "1"})
    changed = [
        dataclasses.replace(plan, network=network),
        dataclasses.replace(plan, target=dataclasses.replace(plan.target, variant=variant)),
    ]
    assert 3 == len({key(one) for one in (plan, *changed)})


@pytest.mark.parametrize(
    ("package", "runtime", "mode"), [("probe", "toy", "inference"), ("networks", "onnx", "opset-15")]
)
def test_a_trial_depends_on_the_probe_and_one_that_reads_onnx_on_what_writes_it(
    toy: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, runtime: str, mode: str
) -> None:
    plan = planned(
        toy if runtime == "toy" else catalog()[runtime], mode, "gradient" if runtime == "toy" else "predict-only"
    )
    before = key(plan)
    code = Path(getattr(cache, package).__file__).parent
    copy = Path(shutil.copytree(code, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")))
    monkeypatch.setattr(cache, package, types.SimpleNamespace(__file__=str(copy / "__init__.py")))
    assert before == key(plan)
    changed = Path(shutil.copytree(copy, tmp_path / "changed"))
    (changed / "__init__.py").write_text("# changed\n")
    monkeypatch.setattr(cache, package, types.SimpleNamespace(__file__=str(changed / "__init__.py")))
    assert before != key(plan)


def record(
    reading: str = "undisturbed",
    status: Status = Status.OK,
    reason: str | None = None,
    steps: str = "",
    value: float = 1.0,
) -> Record:
    keys = json.dumps(["prediction/after", "<f4", [1]]) + "\n"
    return Record(reading, status, reason, steps, keys, np.array([value], "<f4").tobytes(), 0.0, 0.0, 0, "")


def test_a_trial_that_ran_out_of_time_is_measured_again(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        for status in (Status.OK, Status.TIMED_OUT, Status.CRASHED, Status.REFUSED):
            journal.append(status.value, "cell", 0, record(status=status))
        assert {"ok", "crashed", "refused"} == journal.reusable().keys()


def test_the_step_in_which_a_process_died_is_kept() -> None:
    lines = (
        {"label": "build/model", "begun": True},
        {"label": "build/model", "seconds": 0.1},
        {"label": "gradient/first", "begun": True},
    )
    build, last = record(steps="\n".join(map(json.dumps, lines))).observation().steps
    assert ("build/model", None) == (build.label, build.error)
    assert ("gradient/first", "the process ended in this step") == (last.label, last.error)
    assert math.isnan(last.seconds)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


def begun(toy: Runtime, journal: Journal, isolation: str = "fork") -> tuple[Ledger, Target]:
    plan = planned(toy)
    return Ledger([plan], journal, isolation, lambda cell: None), plan.target


@pytest.mark.parametrize("status", [Status.CRASHED, Status.TIMED_OUT])
def test_what_a_fork_may_have_caused_is_tried_in_a_new_interpreter_and_that_counts(
    toy: Runtime, journal: Journal, status: Status
) -> None:
    ledger, target = begun(toy, journal)
    _, trial, isolation = ledger.take(target)
    assert "fork" == isolation
    ledger.record(trial, record(trial.reading, status, "signal 11"))
    assert not journal.reusable()
    _, again, isolation = ledger.take(target)
    assert (trial, "new-interpreter") == (again, isolation)
    ledger.record(again, record(trial.reading))
    (kept,) = journal.records(journal.reusable())
    assert Status.OK == kept.status
    assert f"a forked trial {status} (signal 11), one in a new interpreter did not" == kept.reason


def test_a_crash_that_a_new_interpreter_confirmed_is_not_confirmed_again(toy: Runtime, journal: Journal) -> None:
    ledger, target = begun(toy, journal)
    for _ in range(2):
        _, trial, _ = ledger.take(target)
        ledger.record(trial, record(trial.reading, Status.CRASHED, "signal 11"))
    _, trial, isolation = ledger.take(target)
    assert "fork" == isolation
    ledger.record(trial, record(trial.reading, Status.CRASHED, "signal 11"))
    assert 2 == len(journal.reusable())
    assert {"signal 11"} == {row.reason for row in journal.records(journal.reusable())}


def test_a_crash_without_a_fork_counts_at_once(toy: Runtime, journal: Journal) -> None:
    ledger, target = begun(toy, journal, "new-interpreter")
    _, trial, _ = ledger.take(target)
    ledger.record(trial, record(trial.reading, Status.CRASHED))
    assert [Status.CRASHED] == list(journal.reusable().values())


@pytest.mark.parametrize("status", [Status.REFUSED, Status.OUT_OF_MEMORY])
def test_after_a_refusal_no_other_trial_is_run(toy: Runtime, journal: Journal, status: Status) -> None:
    ledger, target = begun(toy, journal)
    _, trial, _ = ledger.take(target)
    ledger.record(trial, record(trial.reading, status, "no"))
    assert not ledger.queues[target]
    assert 1 == ledger.done.ran


def measure_all(ledger: Ledger, target: Target, disagreeing: frozenset[str], readings: tuple[str, ...]) -> list[str]:
    """Record every queued trial, of disagreeing cells each with another number; returns the cells, in order."""
    asked = []
    while ledger.queues[target]:
        planned, trial, _ = ledger.take(target)
        asked.append("/".join(planned.cell.id.rsplit("/", 2)[1:]))
        chance = asked[-1] in disagreeing and trial.reading in readings
        ledger.record(trial, record(trial.reading, value=float(len(asked)) if chance else 1.0))
    return asked


def of_several_networks(toy: Runtime, journal: Journal) -> tuple[Ledger, Target]:
    names = ["seed-batch", "conv", "conv-plain", "conv-norm-plain"]
    selected = targets(["toy@newest"], {"toy": toy}, everything=False)
    plan = expand(selected, [load(name) for name in names], Wanted(["inference"], ["gradient", "order"], names))
    return Ledger(plan, journal, "fork", lambda cell: None), plan[0].target


def test_where_trials_disagree_further_servers_ask_what_may_read_the_same_memory(
    toy: Runtime, journal: Journal
) -> None:
    """All cells of the networks that disagree, one of a network that has an operator of all these, none of others."""
    disagreeing = frozenset({"conv/gradient", "conv-plain/gradient"})
    ledger, target = of_several_networks(toy, journal)
    measure_all(ledger, target, disagreeing, ("undisturbed",))
    before, rounds = len(journal.reusable()), []
    while ledger.ask_again(target):
        rounds.append(sorted(measure_all(ledger, target, disagreeing, ("undisturbed",))))
    assert [["conv-norm-plain/gradient", "conv-plain/order", "conv/order"]] * SERVERS == rounds
    assert 3 * SERVERS == len(journal.reusable()) - before  # each a trial of its own


def test_a_run_that_was_stopped_before_its_further_servers_goes_on_with_them(toy: Runtime, journal: Journal) -> None:
    disagreeing = frozenset({"conv/gradient", "conv-plain/gradient"})
    ledger, target = of_several_networks(toy, journal)
    measure_all(ledger, target, disagreeing, ("undisturbed",))
    again, _ = of_several_networks(toy, journal)
    expected = ["conv-norm-plain/gradient", "conv-plain/order", "conv/order"]
    assert expected == sorted(measure_all(again, target, disagreeing, ("undisturbed",)))


def test_a_cell_that_a_further_server_shows_to_disagree_has_its_network_asked_whole(
    toy: Runtime, journal: Journal
) -> None:
    ledger, target = of_several_networks(toy, journal)
    measure_all(ledger, target, frozenset({"conv-plain/gradient"}), ("undisturbed",))
    assert ledger.ask_again(target)
    measure_all(ledger, target, frozenset({"conv-norm-plain/gradient"}), ("undisturbed",))
    assert ledger.ask_again(target)
    assert "conv-norm-plain/order" in measure_all(ledger, target, frozenset(), ())


def test_a_race_asks_for_no_further_server(toy: Runtime, journal: Journal) -> None:
    """Further servers repeat the first reading, which waits."""
    ledger, target = of_several_networks(toy, journal)
    measure_all(ledger, target, frozenset({"conv/gradient"}), ("immediate", "unsettled"))
    assert not ledger.ask_again(target)


def test_a_target_that_is_given_up_takes_no_other_with_it(toy: Runtime, journal: Journal) -> None:
    selected = targets(["toy@1.7.0", "toy@1.8.0"], {"toy": toy}, everything=False)
    plan = expand(selected, [load("seed")], Wanted(["inference"], ["gradient"], ["seed"]))
    ledger = Ledger(plan, journal, "fork", lambda cell: None)
    ledger.give_up(selected[0], Status.IMPORT_FAILED, "no such module")
    assert [plan[0].cell.id] == list(ledger.done.statuses)
    assert ledger.queues[selected[1]]
    assert not ledger.queues[selected[0]]
