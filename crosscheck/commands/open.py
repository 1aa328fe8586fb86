"""`crosscheck open`: shows a report in the browser."""

from __future__ import annotations

import argparse
import webbrowser

from rich.console import Console

from crosscheck.commands.options import add_run
from crosscheck.ending import OK
from crosscheck.errors import UsageError
from crosscheck.terminal import printable

__all__ = ["arguments", "main"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_run(parser)


def main(parsed: argparse.Namespace, console: Console) -> int:
    """Open the page, or say where it is. Raises UsageError without one."""
    page = parsed.run / "report.html"
    if not page.is_file():
        raise UsageError(f"{page} does not exist. `crosscheck run` writes it; `crosscheck report RUN` rebuilds it.")
    opened = webbrowser.open(page.resolve().as_uri())
    told = f"opened {page}" if opened else f"no browser found; the report is {page.resolve()}"
    console.print(printable(told), soft_wrap=True)
    return OK
