"""Where trials run, in the words of `--engine`."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from crosscheck.errors import UsageError
from crosscheck.matrix.bench import ThisMachine
from crosscheck.matrix.engine import Executor

__all__ = ["LOCAL", "check_engine", "executor"]

#: This machine; a cluster of processes of this machine. Elsewhere: `dask://HOST:PORT`.
LOCAL, DASK = "local", "dask"
SCHEME = re.compile(r"dask://(?P<address>[^/\s]+:\d+)/?")


def check_engine(engine: str) -> None:
    """Raise UsageError for words that name no engine."""
    if engine not in (LOCAL, DASK) and not SCHEME.fullmatch(engine):
        raise UsageError(f"--engine takes {LOCAL}, {DASK} or dask://HOST:PORT; not '{engine}'.")


@contextlib.contextmanager
def executor(engine: str, jobs: int) -> Iterator[Executor]:
    """What runs trials there; `jobs` at a time on this machine. Raises UsageError if it cannot be reached."""
    if engine == LOCAL:
        yield ThisMachine()
        return
    try:
        from crosscheck.matrix.cluster import client
    except ModuleNotFoundError as lack:
        if lack.name not in ("dask", "distributed"):
            raise
        raise UsageError(f"--engine {engine} needs Dask: `uv pip install 'crosscheck[dask]'`.") from None
    elsewhere = SCHEME.fullmatch(engine)
    with client.local(jobs) if elsewhere is None else client.connected(elsewhere["address"]) as cluster:
        yield cluster
