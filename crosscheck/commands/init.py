"""`crosscheck init`: writes a commented file of a job."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from crosscheck.configuration import EXAMPLE, FILE
from crosscheck.ending import OK
from crosscheck.errors import UsageError
from crosscheck.terminal import printable

__all__ = ["arguments", "main"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no arguments: the file stands in the current folder, where `crosscheck run` looks for it."""


def main(parsed: argparse.Namespace, console: Console) -> int:
    """Write the file. Raises UsageError if there is one, or the folder cannot be written to."""
    try:
        with Path(FILE).open("x", encoding="utf-8") as file:
            file.write(EXAMPLE)
    except FileExistsError:
        raise UsageError(f"{FILE} is there already. Edit it, or remove it first.") from None
    except OSError as problem:
        raise UsageError(f"{FILE}: {problem.strerror or problem}. Change to a folder in which you may write.") from None
    console.print(printable(f"{FILE}: uncomment what the job needs; `crosscheck run` finds it in this folder"))
    return OK
