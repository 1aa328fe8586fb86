"""The file of a job (`crosscheck.configuration`) as defaults of a command's arguments."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crosscheck.configuration import found
from crosscheck.errors import UsageError

if TYPE_CHECKING:
    from crosscheck.job import Selection

__all__ = ["configure", "configured"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Take the options of the folder's file for defaults. Raises UsageError for a mistake in it."""
    configuration = found(Path())
    values = {} if configuration is None else configuration.options
    # A repeatable option would be appended to its default.
    parser.set_defaults(
        configuration=configuration, **{name: value for name, value in values.items() if not isinstance(value, list)}
    )


@contextlib.contextmanager
def configured(parsed: argparse.Namespace) -> Iterator[Sequence[Selection]]:
    """Complete the repeatable options; the further parts of the matrix, unless the command line names releases.

    A UsageError about a text of the file names the file and the line.
    """
    configuration = parsed.configuration
    if configuration is None:
        yield ()
        return
    include = () if parsed.what else configuration.include
    for name, value in configuration.options.items():
        if isinstance(value, list) and not getattr(parsed, name):
            setattr(parsed, name, value)
    try:
        yield include
    except UsageError as problem:
        raise configuration.placed(problem) from None
