"""What the journal keeps, and what a kept trial depends on: with anything of that changed, it is measured again."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import subprocess
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import crosscheck
from crosscheck.cells import Observation, Scenario, Status, Trial
from crosscheck.environments.environment import describe
from crosscheck.errors import CrosscheckError, InstallFailed, Unavailable
from crosscheck.matrix import cache
from crosscheck.matrix.agreement import SERVERS
from crosscheck.matrix.journal import Journal, Record, is_closed
from crosscheck.matrix.ledger import Ledger, Measured, status_of
from crosscheck.matrix.plan import Planned, Wanted, expand
from crosscheck.matrix.selection import Target, targets
from crosscheck.networks import load
from crosscheck.runtimes.catalog import Runtime, System, catalog, load_runtime

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
    def under(**switches: dict[str, str]) -> Planned:
        variant = dataclasses.replace(plan.target.variant, **switches)  # type: ignore[arg-type]
        return dataclasses.replace(plan, target=dataclasses.replace(plan.target, variant=variant))

    network = dataclasses.replace(plan.network, x=plan.network.x * 2)
    plans = (plan, dataclasses.replace(plan, network=network), under(environment={"A": "1"}), under(serving={"B": "1"}))
    assert 4 == len({key(one) for one in plans})


def test_a_trial_depends_on_its_cell_and_on_what_is_installed(plan: Planned) -> None:
    target = plan.target
    installed = describe(target.runtime, target.release, target.variant)
    renamed = dataclasses.replace(plan, cell=dataclasses.replace(plan.cell, network="other"))
    keys = {
        cache.key(planned, Trial(plan.cell, "timed", 0), environment, "fork")
        for planned in (plan, renamed)
        for environment in (installed, dataclasses.replace(installed, key="other"))
    }
    assert 4 == len(keys)


@pytest.mark.parametrize("file", ["a.py", "a.j2", "a.html", "a.css", "a.js", "a.json", "deeper/a.py"])
def test_every_source_file_of_a_folder_counts(tmp_path: Path, file: str) -> None:
    digests = set()
    for text in (None, "1", "2"):
        folder = tmp_path / str(text)
        (folder / file).parent.mkdir(parents=True)
        (folder / "kept.py").write_text("")
        if text is not None:
            (folder / file).write_text(text)
        digests.add(cache.folder_digest(folder))
    assert 3 == len(digests)


def test_files_that_are_no_source_do_not_count(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").write_text("")
        (tmp_path / name / "a.pyc").write_text(name)
    assert cache.folder_digest(tmp_path / "one") == cache.folder_digest(tmp_path / "two")


def test_a_trial_depends_on_the_probe(plan: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = key(plan)
    code = Path(crosscheck.__file__).parent / "probe"
    copy = Path(shutil.copytree(code, tmp_path / "probe", ignore=shutil.ignore_patterns("__pycache__")))
    monkeypatch.setattr(cache, "probe", types.SimpleNamespace(__file__=str(copy / "__init__.py")))
    assert before == key(plan)
    changed = Path(shutil.copytree(copy, tmp_path / "changed"))
    (changed / "__init__.py").write_text("# changed\n")
    monkeypatch.setattr(cache, "probe", types.SimpleNamespace(__file__=str(changed / "__init__.py")))
    assert before != key(plan)


@pytest.fixture
def code_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """Returns a function that sets where the code of crosscheck is that keys depend on."""

    def use(folder: Path) -> None:
        monkeypatch.setattr(cache, "crosscheck", types.SimpleNamespace(__file__=str(folder / "__init__.py")))
        cache.code_digest.cache_clear()

    yield use
    cache.code_digest.cache_clear()


@pytest.mark.parametrize("package", ["networks", "gradients", "onnx_models"])
def test_a_trial_that_reads_onnx_depends_on_what_writes_it(
    plan: Planned, tmp_path: Path, code_at: Callable[[Path], None], package: str
) -> None:
    reads = planned(catalog()["onnx"], "opset-15", "predict-only")
    before = key(reads), key(plan)
    for name in ("networks", "gradients", "onnx_models"):
        code = Path(crosscheck.__file__).parent / name
        shutil.copytree(code, tmp_path / "copy" / name, ignore=shutil.ignore_patterns("__pycache__"))
    code_at(tmp_path / "copy")
    assert before == (key(reads), key(plan))
    changed = Path(shutil.copytree(tmp_path / "copy", tmp_path / "changed"))
    (changed / package / "__init__.py").write_text("# changed\n")
    code_at(changed)
    assert before[0] != key(reads)
    assert before[1] == key(plan)


#: Bytes of memory that the trials were allowed.
LIMIT = 10**9


def record(
    reading: str = "undisturbed",
    status: Status = Status.OK,
    reason: str | None = None,
    steps: str = "",
    value: float = 1.0,
) -> Record:
    keys = json.dumps(["prediction/after", "<f4", [1], 0]) + "\n"
    return Record(reading, status, reason, steps, keys, np.array([value], "<f4").tobytes(), 0.0, 0.0, 0, LIMIT, "")


def recorded(arrays: Mapping[str, np.ndarray[Any, Any]]) -> Record:
    """A trial that recorded these arrays, one after the other."""
    keys, data = "", b""
    for name, value in arrays.items():
        keys += json.dumps([name, value.dtype.str, value.shape, len(data)]) + "\n"
        data += value.tobytes()
    return dataclasses.replace(record(), keys=keys, arrays=data)


def observed(*records: Record) -> list[Observation]:
    """The records, as a journal gives them back."""
    with Journal(Path(":memory:")) as journal:
        for number, row in enumerate(records):
            journal.append(str(number), "cell", number, row)
        return journal.observations(map(str, range(len(records))))


def test_a_trial_that_ran_out_of_time_is_measured_again(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        for status in Status:
            journal.append(f"key of {status}", "cell", 0, record(status=status))
        kept = {f"key of {status}": status for status in Status if status is not Status.TIMED_OUT}
        assert kept == journal.reusable()


def test_a_trial_that_is_measured_again_replaces_the_first(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        for status in (Status.TIMED_OUT, Status.OK):
            journal.append("key", "cell", 0, record(status=status))
        assert {"key": Status.OK} == journal.reusable()
        journal.forget()
        assert {} == journal.reusable()


@pytest.mark.parametrize(("limit", "again"), [(LIMIT // 2, False), (LIMIT, False), (LIMIT + 1, True)])
def test_a_trial_that_ran_out_of_memory_is_measured_again_under_a_larger_limit(
    tmp_path: Path, limit: int, again: bool
) -> None:
    with Journal(tmp_path / "journal") as journal:
        journal.append("ok", "cell", 0, record())
        journal.append("large", "cell", 0, record(status=Status.OUT_OF_MEMORY))
        kept = {"ok": Status.OK} | ({} if again else {"large": Status.OUT_OF_MEMORY})
        assert kept == journal.reusable(limit)


def test_observations_come_back_as_they_were_in_the_order_of_the_keys(tmp_path: Path) -> None:
    measured = dataclasses.replace(record("timed", Status.CRASHED, "signal 11"), seconds=1.5, cpu_seconds=2.5)
    measured = dataclasses.replace(measured, peak_bytes=7, stderr="about to crash")
    with Journal(tmp_path / "journal") as journal:
        journal.append("a", "cell", 0, measured)
        journal.append("b", "cell", 1, record())
    with Journal(tmp_path / "journal") as journal:
        first, second = journal.observations(["b", "absent", "a"])
    arrays = {"prediction/after": np.array([1.0], "<f4")}
    assert first == Observation("undisturbed", Status.OK, None, (), arrays, 0.0, 0.0, 0, "")
    assert second == Observation("timed", Status.CRASHED, "signal 11", (), arrays, 1.5, 2.5, 7, "about to crash")


def test_a_journal_that_a_process_holds_is_told_from_a_closed_one(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        journal.append("key", "cell", 0, record())
        assert not is_closed(tmp_path / "journal")
    assert is_closed(tmp_path / "journal")


def test_a_closed_journal_is_one_file(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        journal.append("key", "cell", 0, record())
    assert [tmp_path / "journal"] == list(tmp_path.iterdir())


def test_trials_with_equal_bytes_share_arrays_and_others_do_not(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        for key, row in {"a": record(), "b": record("timed"), "c": record(value=2.0)}.items():
            journal.append(key, "cell", 0, row)
        one, same, other = journal.observations(["a", "b", "c"])
    assert one.arrays is same.arrays
    assert ["undisturbed", "timed"] == [one.reading, same.reading]
    assert [1.0, 2.0] == [float(row.arrays["prediction/after"][0]) for row in (one, other)]


def test_arrays_come_back_as_the_probe_wrote_them() -> None:
    random = np.random.default_rng(0)
    arrays = {
        "x": np.arange(6, dtype="<f8").reshape(2, 3),
        "large": random.random((40, 30)),
        "n": np.array(3, "<i4"),
        "empty": np.zeros((0, 2), "<f4"),
        "y": np.ones((2, 1), "<f4"),
        "larger": random.random((50, 30)).astype("<f4"),
    }
    (row,) = observed(recorded(arrays))
    assert list(arrays) == list(row.arrays)
    for name, value in arrays.items():
        np.testing.assert_array_equal(value, row.arrays[name], strict=True)


def test_the_same_bytes_may_have_several_types_and_shapes() -> None:
    data = np.arange(2000, dtype="<i8")
    lines = (["a", "<i8", [2000], 0], ["b", "<i8", [20, 100], 0], ["c", "<f4", [4000], 0], ["d", "<i8", [2000], 0])
    keys = "".join(json.dumps(line) + "\n" for line in lines)
    (row,) = observed(dataclasses.replace(record(), keys=keys, arrays=data.tobytes()))
    expected = {"a": data, "b": data.reshape(20, 100), "c": data.view("<f4"), "d": data}
    assert list(expected) == list(row.arrays)
    for name, value in expected.items():
        np.testing.assert_array_equal(value, row.arrays[name], strict=True)
    assert row.arrays["a"] is row.arrays["d"]


def test_equal_small_arrays_of_a_trial_are_one_object() -> None:
    lines = (["a", "<i8", [3], 0], ["b", "<i4", [6], 0], ["c", "<i8", [3], 0])
    keys = "".join(json.dumps(line) + "\n" for line in lines)
    (row,) = observed(dataclasses.replace(record(), keys=keys, arrays=np.arange(3, dtype="<i8").tobytes()))
    assert row.arrays["a"] is row.arrays["c"]
    assert row.arrays["a"] is not row.arrays["b"]


def test_bytes_without_a_key_do_not_count() -> None:
    (row,) = observed(dataclasses.replace(record(), arrays=np.array([1.0, 2.0], "<f4").tobytes()))
    assert [("prediction/after", [1.0])] == [(name, value.tolist()) for name, value in row.arrays.items()]


def test_equal_tensors_of_different_trials_are_stored_and_held_once(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).random(100_000)
    trials = [recorded({"state/before/w": weight, "prediction/after": np.array([trial])}) for trial in range(50)]
    path = tmp_path / "journal"
    with Journal(path) as journal:
        for number, row in enumerate(trials):
            journal.append(str(number), "cell", number, row)
        rows = journal.observations(map(str, range(50)))
        (again,) = journal.observations(["7"])
    assert path.stat().st_size < 1.2 * weight.nbytes
    assert 1 == len({id(row.arrays["state/before/w"]) for row in (*rows, again)})
    assert list(range(50)) == [int(row.arrays["prediction/after"][0]) for row in rows]


def test_a_killed_process_leaves_whole_trials(tmp_path: Path) -> None:
    """A process that is killed while it appends: the next one reads every trial that is there, with its arrays."""
    path = tmp_path / "journal"
    process = subprocess.Popen([sys.executable, "-c", APPEND, path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(20):
        last = int(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdout.close()
    with Journal(path) as journal:
        keys = list(journal.reusable())
        assert last < len(keys)
        for key, row in zip(keys, journal.observations(keys), strict=True):
            assert [int(key)] * 30_000 == row.arrays["state/after/w"].tolist()


#: A program that appends trials with distinct arrays until it is killed, and prints the number of each.
APPEND = """\
import itertools, json, sys
from pathlib import Path
import numpy as np
from crosscheck.cells import Status
from crosscheck.matrix.journal import Journal, Record

with Journal(Path(sys.argv[1])) as journal:
    for number in itertools.count():
        data = np.full(30_000, number, "<i4").tobytes()
        keys = json.dumps(["state/after/w", "<i4", [30_000], 0]) + "\\n"
        row = Record("undisturbed", Status.OK, None, "", keys, data, 0.0, 0.0, 0, 0, "")
        journal.append(str(number), "cell", number, row)
        print(number, flush=True)
"""


def test_a_journal_takes_the_records_that_it_lacks_and_those_of_trials_that_ended(tmp_path: Path) -> None:
    with Journal(tmp_path / "one") as one, Journal(tmp_path / "other") as other:
        one.append("both", "cell", 0, record(value=1.0))
        one.append("slow", "cell", 1, record(status=Status.TIMED_OUT))
        one.derive({"both": b"one", "mine": b"one"})
        other.append("both", "cell", 0, record(value=2.0))
        other.append("slow", "cell", 1, record(value=3.0))
        other.append("new", "cell", 2, record(status=Status.TIMED_OUT))
        other.derive({"both": b"other", "theirs": b"other", "left": b"other"})
        one.take(other, leaving={"left"})
        both, slow, new = one.observations(["both", "slow", "new"])
        assert [1.0] == both.arrays["prediction/after"].tolist()
        assert [3.0] == slow.arrays["prediction/after"].tolist()
        assert Status.TIMED_OUT is new.status
        assert [b"one", b"one", b"other", None] == [one.derived(mark) for mark in ("both", "mine", "theirs", "left")]
        assert {"both", "slow"} == one.reusable().keys()
        assert {"both", "slow", "new"} == one.reusable(timed_out=True).keys()


def test_a_journal_of_another_version_is_refused(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        assert journal.connection.execute("pragma user_version").fetchone()[0] > 0
        journal.connection.execute("pragma user_version = 99")
    with pytest.raises(CrosscheckError, match="another version"):
        Journal(tmp_path / "journal")


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("not a database " * 100)
    with pytest.raises(CrosscheckError, match="cannot be used as a journal"):
        Journal(tmp_path / "journal")


def test_a_full_disk_is_told_with_the_journals_path_and_keeps_what_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path) as journal:
        journal.append("kept", "cell", 0, record())
        pages = journal.connection.execute("pragma page_count").fetchone()[0]
        journal.connection.execute(f"pragma max_page_count = {pages}")
        large = {"state/after/w": np.random.default_rng(0).random(100_000)}
        with pytest.raises(CrosscheckError, match=f"{path} cannot be written .*Free some space"):
            journal.append("lost", "cell", 0, recorded(large))
        assert ["kept"] == list(journal.reusable())
        journal.connection.execute("pragma max_page_count = 1000000")
        journal.append("later", "cell", 0, recorded(large))
        (row,) = journal.observations(["later"])
        np.testing.assert_array_equal(large["state/after/w"], row.arrays["state/after/w"])


def test_the_step_in_which_a_process_died_is_kept() -> None:
    lines = (
        {"label": "build/model", "begun": True},
        {"label": "build/model", "seconds": 0.1},
        {"label": "gradient/first", "begun": True},
    )
    (row,) = observed(record(steps="\n".join(map(json.dumps, lines))))
    build, last = row.steps
    assert ("build/model", None) == (build.label, build.error)
    assert ("gradient/first", "the process ended in this step") == (last.label, last.error)
    assert math.isnan(last.seconds)


def test_a_process_that_ended_after_its_last_step_died_in_none() -> None:
    lines = (
        {"label": "build/model", "begun": True},
        {"label": "build/model", "seconds": 0.1, "flags": {"training": False}},
        {"label": "gradient/first", "begun": True},
        {"label": "gradient/first", "seconds": 0.2, "error": "no gradient"},
    )
    (row,) = observed(record(steps="\n".join(map(json.dumps, lines))))
    build, last = row.steps
    assert ("build/model", 0.1, None, {"training": False}) == (build.label, build.seconds, build.error, build.flags)
    assert ("gradient/first", 0.2, "no gradient", None) == (last.label, last.seconds, last.error, last.flags)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


def begun(toy: Runtime, journal: Journal, isolation: str = "fork") -> tuple[Ledger, Target]:
    plan = planned(toy)
    return Ledger([plan], journal, isolation, lambda cell: None), plan.target


@pytest.mark.parametrize("status", [Status.CRASHED, Status.TIMED_OUT])
@pytest.mark.parametrize(("reason", "kept_too"), [(None, ""), ("predict/after: broken", "predict/after: broken; ")])
def test_what_a_fork_may_have_caused_is_tried_in_a_new_interpreter_and_that_counts(
    toy: Runtime, journal: Journal, status: Status, reason: str | None, kept_too: str
) -> None:
    ledger, target = begun(toy, journal)
    _, trial, isolation = ledger.take(target)
    assert "fork" == isolation
    ledger.record(trial, record(trial.reading, status, "signal 11"))
    assert not journal.reusable()
    _, again, isolation = ledger.take(target)
    assert (trial, "new-interpreter") == (again, isolation)
    ledger.record(again, record(trial.reading, reason=reason))
    (kept,) = journal.observations(journal.reusable())
    assert Status.OK == kept.status
    assert f"{kept_too}a forked trial {status} (signal 11), one in a new interpreter did not" == kept.reason


def test_a_crash_that_a_new_interpreter_confirmed_is_not_confirmed_again(toy: Runtime, journal: Journal) -> None:
    ledger, target = begun(toy, journal)
    for _ in range(2):
        _, trial, _ = ledger.take(target)
        ledger.record(trial, record(trial.reading, Status.CRASHED, "signal 11"))
    _, trial, isolation = ledger.take(target)
    assert "fork" == isolation
    ledger.record(trial, record(trial.reading, Status.CRASHED, "signal 11"))
    assert 2 == len(journal.reusable())
    assert {"signal 11"} == {row.reason for row in journal.observations(journal.reusable())}


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


def test_of_a_users_network_gradients_come_first_and_of_these_the_default_call(
    toy: Runtime, journal: Journal, tmp_path: Path
) -> None:
    """The time may not be enough for all."""
    onnx.save(load("seed").model, tmp_path / "mine.onnx")
    own = load(str(tmp_path / "mine.onnx"))
    runtime = dataclasses.replace(toy, default_call="inference")
    (target,) = targets(["toy@newest"], {"toy": runtime}, everything=False)
    wanted = Wanted(["*"], ["gradient", "order", "predict-only"], [own.name])
    plan = expand([target], [own], wanted)[::-1]
    order = [(trial.cell.scenario, trial.cell.mode) for trial in Ledger(plan, journal, "fork", print).queues[target]]
    scenarios = list(dict.fromkeys(scenario for scenario, _ in order))
    assert [scenario for scenario in Scenario if scenario in scenarios] == scenarios
    assert len(scenarios) > 1
    assert (Scenario.GRADIENT, "inference") == order[0]


def test_a_target_that_is_given_up_takes_no_other_with_it(toy: Runtime, journal: Journal) -> None:
    selected = targets(["toy@1.7.0", "toy@1.8.0"], {"toy": toy}, everything=False)
    plan = expand(selected, [load("seed")], Wanted(["inference"], ["gradient"], ["seed"]))
    ledger = Ledger(plan, journal, "fork", lambda cell: None)
    assert 1 == ledger.give_up(selected[0], Status.IMPORT_FAILED, "no such module", "trace")
    assert {plan[0].cell.id: (Status.IMPORT_FAILED, "no such module", "trace")} == ledger.done.statuses
    assert ledger.queues[selected[1]]
    assert not ledger.queues[selected[0]]


def of_cells(
    toy: Runtime, journal: Journal, networks: list[str], modes: list[str], scenarios: list[str]
) -> tuple[Ledger, Target]:
    selected = targets(["toy@newest"], {"toy": toy}, everything=False)
    plan = expand(selected, [load(name) for name in networks], Wanted(modes, scenarios, networks))
    return Ledger(plan, journal, "fork", lambda cell: None), plan[0].target


def test_further_servers_ask_only_about_the_mode_whose_trials_disagree(toy: Runtime, journal: Journal) -> None:
    ledger, target = of_cells(toy, journal, ["conv"], ["inference", "leak-both"], ["gradient", "order"])
    modes = set()
    while ledger.queues[target]:
        planned, trial, _ = ledger.take(target)
        chance = planned.cell.id.endswith("inference/conv/gradient") and trial.reading == "undisturbed"
        ledger.record(trial, record(trial.reading, value=float(trial.repeat) if chance else 1.0))
    while ledger.ask_again(target):
        while ledger.queues[target]:
            planned, trial, _ = ledger.take(target)
            modes.add((planned.mode.name, planned.cell.scenario.value))
            ledger.record(trial, record(trial.reading))
    assert {("inference", "order")} == modes


def test_where_no_operator_is_common_to_all_that_disagree_each_of_theirs_is_suspected(
    toy: Runtime, journal: Journal
) -> None:
    ledger, target = of_cells(toy, journal, ["seed", "dense", "conv-norm-plain", "digits"], ["inference"], ["gradient"])
    disagreeing = frozenset({"seed/gradient", "dense/gradient"})
    measure_all(ledger, target, disagreeing, ("undisturbed",))
    assert ledger.ask_again(target)
    assert ["digits/gradient"] == measure_all(ledger, target, disagreeing, ("undisturbed",))


def test_no_further_server_asks_where_all_trials_agree(toy: Runtime, journal: Journal) -> None:
    ledger, target = of_several_networks(toy, journal)
    measure_all(ledger, target, frozenset(), ())
    assert not ledger.ask_again(target)


@pytest.mark.parametrize("refusing", [("alone", "after-other", "after-same"), ("after-same",)])
def test_no_further_server_asks_what_was_refused(toy: Runtime, journal: Journal, refusing: tuple[str, ...]) -> None:
    ledger, target = of_cells(toy, journal, ["conv"], ["inference"], ["gradient", "order"])
    while ledger.queues[target]:
        _, trial, _ = ledger.take(target)
        status = Status.REFUSED if trial.reading in refusing else Status.OK
        chance = float(trial.repeat) if trial.reading == "undisturbed" else 1.0
        ledger.record(trial, record(trial.reading, status, value=chance))
    assert not ledger.ask_again(target)


def test_trials_of_further_servers_in_the_journal_are_not_taken_again(toy: Runtime, journal: Journal) -> None:
    disagreeing = frozenset({"conv/gradient"})
    ledger, target = of_several_networks(toy, journal)
    measure_all(ledger, target, disagreeing, ("undisturbed",))
    assert ledger.ask_again(target)
    assert ledger.cells == ledger.reused  # repetitions are no missing cells
    measure_all(ledger, target, disagreeing, ("undisturbed",))
    while ledger.ask_again(target):
        measure_all(ledger, target, disagreeing, ("undisturbed",))
    again, _ = of_several_networks(toy, journal)
    assert not again.queues.get(target)
    assert ledger.done.keys == again.done.keys
    assert (0, ledger.done.ran) == (again.done.ran, again.done.reused)


def test_a_further_server_repeats_the_first_reading_with_a_number_of_its_own(toy: Runtime, journal: Journal) -> None:
    ledger, target = of_cells(toy, journal, ["conv"], ["inference"], ["gradient", "order"])
    measure_all(ledger, target, frozenset({"conv/gradient"}), ("undisturbed",))
    asked = []
    while ledger.ask_again(target):
        _, trial, isolation = ledger.take(target)
        asked.append((trial.reading, trial.repeat, isolation))
        ledger.record(trial, record(trial.reading))
    assert [("alone", 2 + server, "fork") for server in range(SERVERS)] == asked


def test_trials_in_the_journal_are_counted_and_not_taken_again(toy: Runtime, journal: Journal) -> None:
    ledger, target = begun(toy, journal)
    assert (1, 0) == (ledger.cells, ledger.reused)
    measure_all(ledger, target, frozenset(), ())
    again, target = begun(toy, journal)
    assert not again.queues.get(target)
    assert (5, 0) == (ledger.done.ran, ledger.done.reused)
    assert (0, 5) == (again.done.ran, again.done.reused)
    assert (1, 1) == (again.cells, again.reused)
    assert ledger.done.keys == again.done.keys


def test_a_cell_is_finished_once_and_with_its_last_trial(toy: Runtime, journal: Journal) -> None:
    finished: list[str] = []
    plan = planned(toy)
    ledger = Ledger([plan], journal, "fork", finished.append)
    told = []
    while ledger.queues[plan.target]:
        _, trial, _ = ledger.take(plan.target)
        ledger.record(trial, record(trial.reading))
        told.append(len(finished))
    assert [0, 0, 0, 0, 1] == told
    assert [plan.cell.id] == finished


def test_a_trial_that_is_put_back_is_the_next_one(toy: Runtime, journal: Journal) -> None:
    ledger, target = begun(toy, journal)
    _, trial, _ = ledger.take(target)
    ledger.put_back(trial)
    assert trial == ledger.take(target)[1]


def test_a_cell_with_only_repetitions_missing_keeps_its_trials_when_its_target_is_given_up(
    toy: Runtime, journal: Journal
) -> None:
    finished: list[str] = []
    selected = targets(["toy@newest"], {"toy": toy}, everything=False)
    plan = expand(selected, [load("conv")], Wanted(["inference"], ["gradient", "order"], ["conv"]))
    ledger = Ledger(plan, journal, "fork", finished.append)
    measure_all(ledger, plan[0].target, frozenset({"conv/gradient"}), ("undisturbed",))
    assert ledger.ask_again(plan[0].target)
    before = list(finished)
    assert 0 == ledger.give_up(plan[0].target, Status.IMPORT_FAILED, "no such module")
    assert {} == ledger.done.statuses
    assert before == finished


def test_a_cell_with_a_trial_that_the_machine_spoilt_is_left_to_the_next_run(toy: Runtime, journal: Journal) -> None:
    """Once: another of its trials may have been spoilt meanwhile."""
    finished: list[str] = []
    plan = planned(toy)
    ledger = Ledger([plan], journal, "fork", finished.append)
    (_, first, _), (_, second, _) = ledger.take(plan.target), ledger.take(plan.target)
    ledger.lose(first, "there was no room")
    ledger.lose(second, "there were no files")
    assert {plan.cell.id: (Status.UNAVAILABLE, "there was no room", "")} == ledger.done.statuses
    assert [plan.cell.id] == finished
    assert not ledger.queues[plan.target]
    assert {} == ledger.done.keys
    assert {} == journal.reusable()


def test_a_cell_of_which_the_machine_spoilt_a_repetition_keeps_its_trials(toy: Runtime, journal: Journal) -> None:
    selected = targets(["toy@newest"], {"toy": toy}, everything=False)
    plan = expand(selected, [load("conv")], Wanted(["inference"], ["gradient", "order"], ["conv"]))
    finished: list[str] = []
    ledger = Ledger(plan, journal, "fork", finished.append)
    measure_all(ledger, plan[0].target, frozenset({"conv/gradient"}), ("undisturbed",))
    assert ledger.ask_again(plan[0].target)
    before, kept = list(finished), dict(ledger.done.keys)
    _, trial, _ = ledger.take(plan[0].target)
    ledger.lose(trial, "there was no room")
    assert {} == ledger.done.statuses
    assert (before, kept) == (finished, ledger.done.keys)
    measure_all(ledger, plan[0].target, frozenset(), ())
    assert ledger.ask_again(plan[0].target)
    assert trial.cell.id in {waiting.cell.id for waiting in ledger.queues[plan[0].target]}


def test_a_cell_of_which_the_machine_spoilt_the_trials_makes_no_mode_doubtful(toy: Runtime, journal: Journal) -> None:
    ledger, target = of_several_networks(toy, journal)
    lost: set[str] = set()
    while ledger.queues[target]:
        planned, trial, _ = ledger.take(target)
        if planned.network.name == "conv":
            lost.add(planned.cell.id)
            ledger.lose(trial, "there was no room")
        else:
            ledger.record(trial, record(trial.reading))
    assert len(lost) > 1
    assert not ledger.ask_again(target)


def test_a_cell_of_which_the_machine_spoilt_the_trials_is_not_asked_again(toy: Runtime, journal: Journal) -> None:
    """Its mode is doubtful, on its own network."""
    ledger, target = of_several_networks(toy, journal)
    measured = 0.0
    while ledger.queues[target]:
        planned, trial, _ = ledger.take(target)
        if planned.cell.scenario is Scenario.ORDER:
            ledger.lose(trial, "there was no room")
        else:
            measured += 1
            ledger.record(trial, record(trial.reading, value=measured if planned.network.name == "conv" else 1.0))
    assert ledger.ask_again(target)
    assert {Scenario.GRADIENT} == {trial.cell.scenario for trial in ledger.queues[target]}


def test_what_is_not_in_a_release_or_refused_beforehand_has_a_status_and_no_trials(
    plan: Planned, journal: Journal
) -> None:
    lacking = dataclasses.replace(plan, lacking="it has no such call")
    refused = dataclasses.replace(planned_as(plan, "order"), refused="it takes no such network")
    done = Ledger([lacking, refused], journal, "fork", print).done
    assert {
        lacking.cell.id: (Status.NOT_IN_RELEASE, "it has no such call", ""),
        refused.cell.id: (Status.REFUSED, "it takes no such network", ""),
    } == done.statuses
    assert {} == done.keys


def planned_as(plan: Planned, mode: str) -> Planned:
    """The same cell under the name of another mode."""
    return dataclasses.replace(plan, cell=dataclasses.replace(plan.cell, mode=mode))


def test_results_of_two_stages_are_one_result(plan: Planned) -> None:
    environment = describe(plan.target.runtime, plan.target.release, plan.target.variant)
    first, second = (
        Measured({name: [name]}, {name: (Status.REFUSED, "no", "")}, {name: environment}, {name: 1.0}, 2.0, 3, 4)
        for name in ("one", "two")
    )
    second.import_seconds["one"] = 9.0
    first.add(second)
    assert {"one": ["one"], "two": ["two"]} == first.keys
    assert {"one", "two"} == first.statuses.keys() == first.environments.keys()
    assert {"one": 1.0, "two": 1.0} == first.import_seconds  # of the first import
    assert (4.0, 6, 8) == (first.environment_seconds, first.ran, first.reused)


def test_a_release_without_a_lock_has_a_status_and_no_trials(copied: Copied, journal: Journal) -> None:
    folder = copied("unlocked")
    (folder / "locks" / "1.8.0.txt").unlink()
    plan = planned(load_runtime(folder))
    ledger = Ledger([plan], journal, "fork", lambda cell: None)
    status, reason, _ = ledger.done.statuses[plan.cell.id]
    assert (Status.INSTALL_FAILED, 0, {}) == (status, ledger.cells, ledger.queues)
    assert "1.8.0.txt is missing" in reason


def test_what_the_machine_lacks_for_one_mode_leaves_the_other_modes(toy: Runtime, journal: Journal) -> None:
    absent = System("absent", "a compiler", "install it", program="no-such-program", modes=("leak-*",))
    release = dataclasses.replace(toy.releases[-1], system=(absent,))
    runtime = dataclasses.replace(toy, releases=(*toy.releases[:-1], release))
    modes = ["inference", "leak-both"]
    plan = [planned(runtime, mode) for mode in modes]
    ledger = Ledger(plan, journal, "fork", lambda cell: None)
    assert {plan[1].cell.id: Status.UNAVAILABLE} == {name: row[0] for name, row in ledger.done.statuses.items()}
    assert {plan[0].cell} == {trial.cell for queue in ledger.queues.values() for trial in queue}


def test_a_mode_that_the_release_lacks_has_no_trials(toy: Runtime, journal: Journal) -> None:
    selected = targets(["toy@1.7.0"], {"toy": toy}, everything=False)
    (plan,) = expand(selected, [load("seed")], Wanted(["from-1.8"], ["gradient"], ["seed"]))
    ledger = Ledger([plan], journal, "fork", lambda cell: None)
    assert {plan.cell.id: (Status.NOT_IN_RELEASE, "from-1.8 is there since 1.8.0", "")} == ledger.done.statuses
    assert (0, {}) == (ledger.cells, ledger.queues)


def test_the_status_of_a_failed_environment() -> None:
    assert Status.UNAVAILABLE is status_of(Unavailable("no interpreter"))
    assert Status.INSTALL_FAILED is status_of(InstallFailed("no lock"))


@pytest.mark.parametrize(("limit", "missing"), [(LIMIT, False), (LIMIT * 2, True)])
def test_a_cell_that_ran_out_of_memory_is_asked_again_under_a_larger_limit(
    toy: Runtime, journal: Journal, limit: int, missing: bool
) -> None:
    ledger, target = begun(toy, journal)
    _, trial, _ = ledger.take(target)
    ledger.record(trial, record(trial.reading, Status.OUT_OF_MEMORY))
    again = Ledger([planned(toy)], journal, "fork", lambda cell: None, limit)
    assert missing == any(again.queues.values())


def test_after_a_refusal_in_the_journal_only_trials_that_it_has_count(toy: Runtime, journal: Journal) -> None:
    """A trial that was running beside the refused ones is kept; none is started."""
    ledger, target = begun(toy, journal)
    first, second, beside = (ledger.take(target)[1] for _ in range(3))
    for trial in (first, second):
        ledger.record(trial, record(trial.reading, Status.REFUSED, "no"))
    assert {} == ledger.done.keys  # one is still running
    ledger.record(beside, record(beside.reading))
    again, target = begun(toy, journal)
    assert not again.queues.get(target)
    ((cell, keys),) = again.done.keys.items()
    assert journal.reusable().keys() == set(keys)
    assert 3 == len(keys)
    assert {cell: keys} == ledger.done.keys


def test_a_runtime_that_cannot_be_forked_has_new_interpreters(toy: Runtime, journal: Journal) -> None:
    plan = planned(dataclasses.replace(toy, forks=False))
    ledger = Ledger([plan], journal, "fork", lambda cell: None)
    _, trial, isolation = ledger.take(plan.target)
    assert "new-interpreter" == isolation
    ledger.record(trial, record(trial.reading))
    assert [key(plan, trial.reading, trial.repeat, "new-interpreter")] == list(journal.reusable())
