"""A plugin of pytest for `tests.benchmarks.mutants`: what each test executes, and in which order they run.

`MUTANTS` in the environment names a JSON file, a `Request`. It is off without that.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

__all__ = ["VARIABLE", "Record", "Request"]

VARIABLE = "MUTANTS"


@dataclass(frozen=True)
class Request:
    """What a run of pytest is asked for.

    record: the file that gets a `Record`; "" for none. files: the modules whose lines are recorded. first: the tests
    that run before all others. seconds: how long tests take; quick ones run before slow ones.
    """

    record: str = ""
    files: Sequence[str] = ()
    first: Sequence[str] = ()
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """The lines of each file that tests execute, as file -> line -> tests, and the seconds that they take."""

    tests: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def _request() -> Request:
    path = os.environ.get(VARIABLE)
    return Request() if path is None else Request(**json.loads(Path(path).read_text()))


REQUEST = _request()
RECORD = Record()
FILES = {str(Path(file).resolve()): file for file in REQUEST.files}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that are asked for first, quick ones before slow ones; but what tests of a module share is made once."""
    first = set(REQUEST.first)

    def order(item: pytest.Item) -> tuple[bool, bool, str, float]:
        shares = _shares(item)
        module = item.nodeid.partition("::")[0] if shares else ""
        return item.nodeid not in first, shares, module, REQUEST.seconds.get(item.nodeid, 0.0)

    if REQUEST.seconds:
        items.sort(key=order)


def _shares(item: pytest.Item) -> bool:
    """Whether a test needs a fixture that other tests of its module need, too."""
    fixtures: Any = getattr(item, "_fixtureinfo").name2fixturedefs.values()  # noqa: B009 - pytest has no public name
    return any(fixture[-1].scope in ("module", "package", "class") for fixture in fixtures)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, None, None]:
    """Record the lines that a test executes, in all threads of this process."""
    executed: set[tuple[str, int]] = set()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        file = FILES.get(frame.f_code.co_filename)
        if file is None:
            return None
        executed.add((file, frame.f_lineno))
        return trace

    if FILES:
        threading.settrace(trace)
        sys.settrace(trace)
    yield
    if FILES:
        sys.settrace(None)
        threading.settrace(None)
    for file, line in executed:
        RECORD.tests.setdefault(file, {}).setdefault(str(line), []).append(item.nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up how long a test takes, with what it sets up."""
    RECORD.seconds[report.nodeid] = RECORD.seconds.get(report.nodeid, 0.0) + report.duration


def pytest_sessionfinish() -> None:
    """Write the record."""
    if REQUEST.record:
        Path(REQUEST.record).write_text(json.dumps(dataclasses.asdict(RECORD)))
