"""Environments: a damaged one is made anew, an installer ends with its run, its message may be anything."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from crosscheck.environments.environment import describe, make
from crosscheck.environments.installer import run_installer, stop_installers
from crosscheck.job import Job, run
from crosscheck.progress import LineProgress, RichProgress
from crosscheck.runtimes.catalog import Runtime
from tests.conftest import SilentProgress, read_cells

ONE: dict[str, Any] = {"modes": ["inference"], "networks": ["seed"], "scenarios": ["gradient"]}


def dangle(python: Path) -> None:
    python.unlink()
    python.symlink_to("/absent/python3")


@pytest.mark.parametrize("damage", [Path.unlink, dangle, lambda python: python.chmod(0o600)])
def test_an_environment_without_its_interpreter_is_made_anew(
    toy: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], object]
) -> None:
    monkeypatch.setenv("CROSSCHECK_CACHE", str(tmp_path / "cache"))
    release = toy.releases[-1]
    environment = describe(toy, release, release.variants[0])
    make(toy, release, environment)
    if environment.python.is_symlink() and damage not in (Path.unlink, dangle):
        copied = environment.python.read_bytes()  # not to change the one that it links to
        environment.python.unlink()
        environment.python.write_bytes(copied)
    damage(environment.python)
    progress = SilentProgress()
    run(Job([f"toy@{release.version}"], out=tmp_path / "out", **ONE), progress, {"toy": toy})
    assert [(f"toy@{release.version}", "making"), (f"toy@{release.version}", "ready")] == progress.environments
    assert {"ok"} == {cell["status"] for cell in read_cells(tmp_path / "out").values()}


def alive(process: int) -> bool:
    try:
        return "Z" != Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def wait_for(condition: Callable[[], object]) -> None:
    while not condition():
        time.sleep(0.02)


INSTALLER = "import os, sys, time; print(os.getpid(), file=open(sys.argv[1], 'w'), flush=True); time.sleep(3600)"


def test_an_installer_ends_with_its_run_however_that_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-c", INSTALLER, str(tmp_path / "pid")]
    program = f"from crosscheck.environments.installer import run_installer; run_installer({command!r})"
    host = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[1])
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    installer = int((tmp_path / "pid").read_text())
    assert alive(installer)
    host.kill()
    host.wait()
    wait_for(lambda: not alive(installer))


def test_installers_can_be_stopped(tmp_path: Path) -> None:
    ended: list[subprocess.CompletedProcess[str]] = []
    command = [sys.executable, "-c", INSTALLER, str(tmp_path / "pid")]
    thread = threading.Thread(target=lambda: ended.append(run_installer(command)))
    thread.start()
    wait_for((tmp_path / "pid").exists)
    stop_installers()
    thread.join()
    assert [-signal.SIGKILL] == [process.returncode for process in ended]


def test_an_installer_tells_its_output_and_exit_code() -> None:
    done = run_installer([sys.executable, "-c", "import sys; print('out'); sys.stderr.write('err'); sys.exit(7)"])
    assert (7, "out\n", "err") == (done.returncode, done.stdout, done.stderr)
    with pytest.raises(FileNotFoundError, match="no-such-installer"):
        run_installer(["no-such-installer"])


@pytest.mark.parametrize("kind", [RichProgress, LineProgress])
def test_an_installers_message_may_have_markup_and_control_characters(
    kind: type[RichProgress] | type[LineProgress],
) -> None:
    console = Console(width=200, force_terminal=True, color_system=None, file=io.StringIO())
    with console.capture() as capture, kind(console) as progress:
        progress.environment("toy@1.0", "making")
        progress.environment("toy@1.0", "uv said: [/x] [red]no[/red] \x1b[31m")
    assert "uv said: [/x] [red]no[/red] \\x1b[31m" in capture.get()
