"""Shows the progress of a run: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from crosscheck.terminal import printable

__all__ = ["LineProgress", "RichProgress", "progress_for"]

LEFT_OUT = "left out of the default matrix: {}; {}"


class RichProgress:
    """Bars for environments, cells and judging, with running releases and the estimated time left."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = Progress(
            TextColumn("{task.description:>12}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("[dim]{task.fields[now]}"),
            console=console,
        )
        self.environments = self.bars.add_task("environments", total=0, now="")
        self.cells = self.bars.add_task("cells", total=0, now="")
        self.judged = self.bars.add_task("judging", total=0, now="", visible=False)
        self.making: list[str] = []

    def __enter__(self) -> RichProgress:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def left_out(self, target: str, lack: str) -> None:
        """Report a skipped target and the reason."""
        self.note(LEFT_OUT.format(target, lack))

    def note(self, sentence: str) -> None:
        """Print the sentence."""
        self.console.print(printable(sentence), soft_wrap=True)

    def begin(self, environments: int, cells: int, reused: int) -> None:
        """Set the lengths of the bars; hide the environments' bar if none are needed."""
        self.bars.update(self.environments, total=environments, visible=bool(environments))
        self.bars.update(self.cells, total=cells, completed=reused)

    def environment(self, target: str, state: str) -> None:
        """Show environments in progress; failures stay on the screen."""
        if state == "making":
            self.making.append(target)
        else:
            self.making.remove(target)
            self.bars.advance(self.environments)
            if state != "ready":
                self.console.print(printable(f"{target}: {state}", "yellow"), soft_wrap=True)
        self.bars.update(self.environments, now=", ".join(self.making))

    def cell(self, cell: str) -> None:
        """Advance by one cell."""
        self.bars.advance(self.cells)

    def running(self, targets: Sequence[str]) -> None:
        """Show the running releases."""
        self.bars.update(self.cells, now=", ".join(targets))

    def judging(self, done: int, cells: int) -> None:
        """Show a bar of its own for judging."""
        self.bars.update(self.judged, total=cells, completed=done, visible=True)


class LineProgress:
    """Progress as lines for logs, at most one every few seconds."""

    EVERY_SECONDS = 10.0

    def __init__(self, console: Console) -> None:
        self.console = console
        self.total = self.done = 0
        self.start = self.last = time.monotonic()
        self.targets: Sequence[str] = ()

    def __enter__(self) -> LineProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def left_out(self, target: str, lack: str) -> None:
        """Report a skipped target and the reason."""
        self.note(LEFT_OUT.format(target, lack))

    def note(self, sentence: str) -> None:
        """Print the sentence."""
        self._say(sentence)

    def begin(self, environments: int, cells: int, reused: int) -> None:
        """Print the number of cells."""
        self.total, self.done = cells, reused
        self._say(f"{environments} environments to make, {cells} cells, {reused} of them measured already")

    def environment(self, target: str, state: str) -> None:
        """Print that an environment is ready, or its failure."""
        if state != "making":
            self._say(f"environment {target}: {state}")

    def cell(self, cell: str) -> None:
        """Print the progress from time to time."""
        self.done += 1
        now = time.monotonic()
        if now - self.last >= self.EVERY_SECONDS or self.done == self.total:
            self.last = now
            self._say(f"{self.done} of {self.total} cells after {now - self.start:.0f} s ({', '.join(self.targets)})")

    def running(self, targets: Sequence[str]) -> None:
        """Store the running releases."""
        self.targets = targets

    def judging(self, done: int, cells: int) -> None:
        """Print the progress from time to time."""
        now = time.monotonic()
        if now - self.last >= self.EVERY_SECONDS:
            self.last = now
            self._say(f"{done} of {cells} cells judged after {now - self.start:.0f} s")

    def _say(self, text: str) -> None:
        self.console.print(printable(text), soft_wrap=True)


def progress_for(console: Console) -> RichProgress | LineProgress:
    """Bars on a terminal, lines elsewhere."""
    return RichProgress(console) if console.is_terminal else LineProgress(console)
