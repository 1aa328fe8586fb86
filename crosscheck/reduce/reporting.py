"""Shows the progress of a reduction: every smaller network as a line, on a terminal also what is being tried."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status

from crosscheck.matrix.settings import Progress
from crosscheck.networks import Network

__all__ = ["Narrator", "size"]


def size(network: Network) -> str:
    """The size of a network, for a reader: `1 node, 16 numbers in x, 0 in weights`."""
    nodes, weights = len(network.graph["nodes"]), sum(value.size for value in network.weights.values())
    return f"{nodes} node{'' if nodes == 1 else 's'}, {network.x.size} numbers in x, {weights} in weights"


class Narrator(Progress):
    """A context manager. Of the matrix engine's progress it shows nothing: every candidate is a run of its own."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = Status("", console=console) if console.is_terminal else None
        self._start = time.monotonic()

    @classmethod
    def silent(cls) -> Narrator:
        """One that shows nothing."""
        return cls(Console(quiet=True))

    def __enter__(self) -> Self:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def tries(self, what: str, size: str, candidates: int) -> None:
        """A candidate: how it was made, its size, and the number of candidates before it."""
        if self._status is not None:
            self._status.update(f"{candidates} tried; now {what}: {size}")

    def accepts(self, what: str, size: str) -> None:
        """The finding is still there."""
        seconds = time.monotonic() - self._start
        self._console.print(f"{seconds:6.1f} s  {what}: {size}", markup=False, highlight=False, soft_wrap=True)
