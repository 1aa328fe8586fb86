"""System requirements of releases: found and linked, or reported with the remedy."""

from __future__ import annotations

import dataclasses
import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from crosscheck.commands import doctor
from crosscheck.environments import interpreters, machine
from crosscheck.environments.environment import describe, make
from crosscheck.errors import Unavailable
from crosscheck.job import Job, run
from crosscheck.matrix.scratch import scratch_place
from crosscheck.matrix.selection import Target
from crosscheck.matrix.server import variables
from crosscheck.runtimes.catalog import Release, Runtime, System, catalog, load_runtime
from tests.conftest import SilentProgress, read_cells

Examined = Callable[..., tuple[bool, str]]

LIBRARY = "libof-crosscheck.so.40"
LINK = "libof-crosscheck.so.12"


def library(folder: Path) -> System:
    """A required library, searched in `folder`."""
    return System("absent", "Of crosscheck 4", "`apt-get install absent4`", ((LINK, LIBRARY),), (str(folder),))


def needing(toy: Runtime, needed: System) -> tuple[Runtime, Release]:
    """The toy, whose newest release has this system requirement."""
    release = dataclasses.replace(toy.releases[-1], system=(needed,))
    return dataclasses.replace(toy, releases=(release,)), release


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> Examined:
    """Runs doctor: runtimes -> (whether everything is present, its output)."""

    def examine(*runtimes: Runtime) -> tuple[bool, str]:
        monkeypatch.setattr(doctor, "catalog", lambda: {runtime.name: runtime for runtime in runtimes})
        console = Console(width=80)
        with console.capture() as output:
            good = doctor.examine(console)
        return good, output.get()

    return examine


def test_a_system_library_is_linked_under_the_required_name(
    toy: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSCHECK_CACHE", str(tmp_path / "cache"))
    (tmp_path / LIBRARY).write_text("the library")
    runtime, release = needing(toy, library(tmp_path))
    environment = describe(runtime, release, release.variants[0])
    make(runtime, release, environment)
    links, dependencies = environment.library_path
    assert "the library" == (links / LINK).read_text()
    assert tmp_path == dependencies  # the folder of its own dependencies


def test_a_library_of_the_loader_adds_no_search_path(toy: Runtime) -> None:
    needed = System("libc", "the C library", "a system", (("libc.so.old", "libc.so.6"),))
    runtime, release = needing(toy, needed)
    (links,) = describe(runtime, release, release.variants[0]).library_path
    assert "libc-links" == links.name


def test_another_version_of_the_library_is_another_environment(toy: Runtime, tmp_path: Path) -> None:
    runtime, release = needing(toy, library(tmp_path))
    keys = set()
    for version in ("40.1", "40.2"):
        (tmp_path / f"lib.so.{version}").write_text(version)
        (tmp_path / LIBRARY).unlink(missing_ok=True)
        (tmp_path / LIBRARY).symlink_to(f"lib.so.{version}")
        keys.add(describe(runtime, release, release.variants[0]).key)
    assert 2 == len(keys)


def test_a_library_in_a_users_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / LIBRARY).touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    assert {LINK: tmp_path / LIBRARY} == machine.find(library(tmp_path / "elsewhere"))


def test_a_missing_library_makes_cells_unavailable(toy: Runtime, tmp_path: Path, progress: SilentProgress) -> None:
    runtime, _ = needing(toy, library(tmp_path / "nowhere"))
    job = Job(["toy@1.8.0"], modes=["inference"], networks=["seed"], out=tmp_path / "out")
    result = run(job, progress, {"toy": runtime})
    assert {"unavailable"} == set(result.statuses)
    assert result.incomplete
    reasons = {row["reason"] for row in read_cells(tmp_path / "out").values()}
    assert all(LIBRARY in reason and "apt-get install absent4" in reason for reason in reasons)


def test_a_program_required_by_some_modes_does_not_affect_others(
    toy: Runtime, tmp_path: Path, progress: SilentProgress
) -> None:
    needed = System("compiler", "a compiler", "`apt-get install cc`", program="cc-of-crosscheck", modes=("predict",))
    runtime, _ = needing(toy, needed)
    job = Job(["toy@1.8.0"], modes=["inference", "predict"], networks=["seed"], out=tmp_path / "out")
    run(job, progress, {"toy": runtime})
    outcomes = {(row["mode"], row["status"]) for row in read_cells(tmp_path / "out").values()}
    assert {("inference", "ok"), ("predict", "unavailable")} == outcomes


def test_system_requirements_are_read_from_the_runtimes_folder(toy: Runtime, tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    shutil.copytree(toy.folder, folder)
    table = folder / "releases.toml"
    table.write_text(
        table.read_text()
        + '[system.cc]\nabout = "a compiler"\nremedy = "`apt-get install cc`"\nprogram = "cc"\nmodes = ["a.*"]\n'
        + '[[release]]\nversion = "1.9.0"\nreleased = 2026-01-01\nsystem = ["cc"]\ndefault = "if-available"\n'
    )
    release = load_runtime(folder).releases[-1]
    assert (System("cc", "a compiler", "`apt-get install cc`", program="cc", modes=("a.*",)),) == release.system
    assert (True, True) == (release.default, release.if_available)


def test_doctor_names_a_missing_library_and_its_remedy(toy: Runtime, tmp_path: Path, examined: Examined) -> None:
    runtime, _ = needing(toy, library(tmp_path))
    good, output = examined(runtime)
    assert not good
    assert "missing toy: Of crosscheck 4 for 1.8.0" in output
    assert "apt-get install absent4" in output
    (tmp_path / LIBRARY).touch()
    good, output = examined(runtime)
    assert good
    assert "ok      toy: Of crosscheck 4 for 1.8.0" in output


def test_doctor_recommends_pyenv_for_interpreters_without_uv_builds(
    toy: Runtime, monkeypatch: pytest.MonkeyPatch, examined: Examined
) -> None:
    def find(wanted: object, fetch: bool = True) -> None:
        raise Unavailable("none")

    monkeypatch.setattr(interpreters, "find", find)
    releases = tuple(dataclasses.replace(release, python=("3.6",)) for release in toy.releases)
    good, output = examined(dataclasses.replace(toy, releases=releases))
    assert not good
    assert "1.7.0, 1.8.0 need CPython 3.6 (`pyenv install 3.6`; uv has none this old)" in output


def test_doctor_says_what_the_machine_allows(toy: Runtime, examined: Examined) -> None:
    good, output = examined(toy)
    told = " ".join(output.split())
    assert good
    assert "what a trial leaves behind is ended after it" in told
    assert f"trials write to {scratch_place()}" in told


@pytest.mark.parametrize(
    ("lack", "answer", "remedy"),
    [
        ("available_memory", 5e9, "memory: 5.0 GB can be had; 2 trials at a time may use 4 GB each: run with --jobs 1"),
        ("control_process", False, "allow prctl, or run crosscheck in a container"),
        ("scratch_place", Path("/proc"), "trials write to /proc, 0.0 GB free: free 0.5 GB, or set TMPDIR"),
    ],
)
def test_doctor_says_what_the_machine_lacks_for_trials(
    toy: Runtime, monkeypatch: pytest.MonkeyPatch, examined: Examined, lack: str, answer: object, remedy: str
) -> None:
    monkeypatch.setattr(doctor, "cores", lambda: 2)
    monkeypatch.setattr(doctor, lack, lambda *_: answer)
    good, output = examined(toy)
    assert not good
    assert remedy in " ".join(output.split())


def test_doctor_says_that_a_process_may_open_too_few_files(
    toy: Runtime, monkeypatch: pytest.MonkeyPatch, examined: Examined
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (512, 512))
    good, output = examined(toy)
    assert not good
    assert "open files: 512 a process: some runtimes need 1024" in " ".join(output.split())


def test_cntk_requires_open_mpi_by_its_old_names() -> None:
    (needed,) = catalog()["cntk"].releases[-1].system
    assert {"libmpi.so.12", "libmpi_cxx.so.1"} == {link for link, _ in needed.libraries}
    assert "apt-get install libopenmpi3" in needed.remedy


def test_the_library_folder_without_root_belongs_to_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / LIBRARY).touch()
    assert os.fspath(tmp_path / "own" / LIBRARY) == os.fspath(machine.find(library(Path("~/own")))[LINK])


def test_an_if_available_release_with_missing_requirements_is_skipped(
    toy: Runtime, tmp_path: Path, progress: SilentProgress
) -> None:
    _, release = needing(toy, library(tmp_path / "nowhere"))
    optional = dataclasses.replace(release, if_available=True)
    older = toy.releases[0]
    sure = dataclasses.replace(older, variants=(dataclasses.replace(older.variants[0], default=True),))
    known = {"toy": dataclasses.replace(toy, releases=(sure, optional))}
    result = run(Job(modes=["inference"], networks=["seed"], out=tmp_path / "out"), progress, known)
    assert (0, {"ok"}) == (result.incomplete, set(result.statuses))
    assert {"toy@1.8.0"} == progress.lacking.keys()
    assert "apt-get install absent4" in progress.lacking["toy@1.8.0"]
    named = run(Job(["toy@1.8.0"], modes=["inference"], networks=["seed"], out=tmp_path / "named"), progress, known)
    assert {"unavailable"} == set(named.statuses)
    assert named.incomplete


def test_an_if_available_release_is_measured_if_possible(
    toy: Runtime, tmp_path: Path, progress: SilentProgress
) -> None:
    optional = dataclasses.replace(toy.releases[-1], if_available=True)
    known = {"toy": dataclasses.replace(toy, releases=(optional,))}
    result = run(Job(modes=["inference"], networks=["seed"], out=tmp_path / "out"), progress, known)
    assert ({"ok"}, {}) == (set(result.statuses), progress.lacking)


def test_only_large_environments_cache_bytecode(toy: Runtime) -> None:
    for size, folder in ((None, None), (399, None), (400, "bytecode")):
        release = dataclasses.replace(toy.releases[-1], disk_mb=size)
        target = Target(toy, release, release.variants[0])
        environment = describe(toy, release, target.variant)
        settings = variables(target, environment, Path())
        assert folder == (environment.bytecode and environment.bytecode.name)
        assert (folder is None) == ("PYTHONDONTWRITEBYTECODE" in settings) == ("PYTHONPYCACHEPREFIX" not in settings)


@pytest.mark.parametrize(
    ("allowed", "said"),
    [(True, "so that a missing wait shows in every run"), (False, "without the privilege CAP_SYS_NICE")],
)
def test_doctor_tells_whether_threads_can_be_held_back(
    toy: Runtime, monkeypatch: pytest.MonkeyPatch, examined: Examined, allowed: bool, said: str
) -> None:
    asked = []

    def schedule(thread: int, policy: int, parameters: os.sched_param) -> None:
        asked.append(policy)
        if not allowed:
            raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", schedule)
    _, output = examined(toy)
    assert said in output
    assert asked == ([os.SCHED_FIFO, os.SCHED_OTHER] if allowed else [os.SCHED_FIFO])
