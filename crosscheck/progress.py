"""Shows the progress of a run: bars on a terminal, plain lines elsewhere, JSON for programs, or nothing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from crosscheck.matrix.settings import Progress
from crosscheck.terminal import printable

__all__ = ["JsonProgress", "LineProgress", "RichProgress", "Shown", "progress_for"]

LEFT_OUT = "left out of the default matrix: {}; {}"
#: Most seconds without a line.
SILENCE = 10.0


class Shown(StrEnum):
    """How progress is shown. `auto`: bars on a terminal, lines elsewhere."""

    AUTO = "auto"
    LINES = "lines"
    JSON = "json"
    NONE = "none"


class RichProgress(Progress):
    """Bars for environments, cells and judging, with running releases and the estimated time left."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = Bars(
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
        self.steps = self.bars.add_task("", total=None, now="", visible=False)
        self.making: list[str] = []

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.update(self.steps, visible=False)
        self.bars.stop()

    def left_out(self, target: str, lack: str) -> None:
        """Report a skipped target and the reason."""
        self.note(LEFT_OUT.format(target, lack))

    def note(self, sentence: str) -> None:
        """Print the sentence."""
        self.console.print(printable(sentence), soft_wrap=True)

    def step(self, what: str) -> None:
        """Show a moving bar with the step."""
        self.bars.reset(self.steps, total=None, description="", now=what, visible=True)

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


class LineProgress(Progress):
    """Progress as lines for logs: one for each event that is rare, and one where nothing was said for `silence` s."""

    def __init__(self, console: Console, silence: float = SILENCE) -> None:
        self.console, self.silence = console, silence
        self.start = self.last = self.began = time.monotonic()
        self.what = "starting"
        self.total = self.done = self.reused = 0
        self.making: list[str] = []
        self.targets: Sequence[str] = ()
        self._ended = threading.Event()
        self._teller = threading.Thread(target=self._tell, daemon=True)

    def __enter__(self) -> Self:
        self._teller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._teller.join()

    def left_out(self, target: str, lack: str) -> None:
        """Report a skipped target and the reason."""
        self.note(LEFT_OUT.format(target, lack))

    def note(self, sentence: str) -> None:
        """Print the sentence."""
        self._say(sentence)

    def step(self, what: str) -> None:
        """Remember it for the lines that follow."""
        self.what = what
        self._count(0, 0)

    def begin(self, environments: int, cells: int, reused: int) -> None:
        """Print the number of cells."""
        self._count(cells, reused)
        self._say(f"{environments} environments to make, {cells} cells, {reused} of them measured already")

    def environment(self, target: str, state: str) -> None:
        """Print that an environment is ready, or its failure."""
        if state == "making":
            self.making.append(target)
            return
        if target in self.making:
            self.making.remove(target)
        self._say(f"environment {target}: {state}")

    def cell(self, cell: str) -> None:
        """Count it."""
        self.done += 1
        if self.done == self.total:
            self._say(self._status())

    def running(self, targets: Sequence[str]) -> None:
        """Store the running releases."""
        self.targets = targets

    def judging(self, done: int, cells: int) -> None:
        """Count them."""
        if self.total != cells:
            self._count(cells, 0)
        self.done = done

    def _count(self, total: int, reused: int) -> None:
        self.total, self.done, self.reused = total, reused, reused
        self.targets = ()
        self.began = time.monotonic()

    def _tell(self) -> None:
        """Say how it stands whenever nothing was said for long."""
        while not self._ended.wait(max(0.0, self.last + self.silence - time.monotonic())):
            if time.monotonic() - self.last >= self.silence:
                self._say(self._status())

    def _status(self) -> str:
        now = time.monotonic()
        after = f"after {now - self.start:.0f} s"
        if not self.total:
            return f"{self.what}, {after}"
        news = self.done - self.reused
        left = (now - self.began) / news * (self.total - self.done) if news else 0.0
        about = f", about {left:.0f} s left" if left >= 1 else ""
        doing = [*(f"making {name}" for name in self.making), *self.targets]
        beside = f" ({', '.join(doing)})" if doing else ""
        return f"{self.what}: {self.done} of {self.total} cells {after}{about}{beside}"

    def _say(self, text: str) -> None:
        self.last = time.monotonic()
        self.console.print(printable(text), soft_wrap=True)


class JsonProgress(Progress):
    """Progress for programs: an object a line, with its `event` and the seconds since the start."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.start = time.monotonic()

    def left_out(self, target: str, lack: str) -> None:
        """{"event": "left-out", "target", "reason"}."""
        self.tell("left-out", target=target, reason=lack)

    def note(self, sentence: str) -> None:
        """{"event": "note", "text"}."""
        self.tell("note", text=sentence)

    def step(self, what: str) -> None:
        """{"event": "step", "what"}."""
        self.tell("step", what=what)

    def begin(self, environments: int, cells: int, reused: int) -> None:
        """{"event": "measuring", "environments", "cells", "reused"}."""
        self.tell("measuring", environments=environments, cells=cells, reused=reused)

    def environment(self, target: str, state: str) -> None:
        """{"event": "environment", "target", "state"}."""
        self.tell("environment", target=target, state=state)

    def cell(self, cell: str) -> None:
        """{"event": "cell", "cell"}."""
        self.tell("cell", cell=cell)

    def judging(self, done: int, cells: int) -> None:
        """{"event": "judging", "done", "cells"}."""
        self.tell("judging", done=done, cells=cells)

    def tell(self, event: str, **facts: Any) -> None:
        """Print an object."""
        line = {"event": event, "seconds": round(time.monotonic() - self.start, 3), **facts}
        print(json.dumps(line), file=self.console.file, flush=True)


def progress_for(console: Console, shown: Shown = Shown.AUTO) -> Progress:
    """What shows the progress in that way."""
    if shown is Shown.JSON:
        return JsonProgress(console)
    if shown is Shown.NONE:
        return Progress()
    bars = console.is_terminal and shown is Shown.AUTO
    return RichProgress(console) if bars else LineProgress(console)
