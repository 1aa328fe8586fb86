"""`crosscheck lock`: resolves and pins the requirements of releases, for maintainers of a runtime's folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from crosscheck.ending import OK
from crosscheck.environments.locks import lock, lock_native
from crosscheck.matrix.selection import targets
from crosscheck.runtimes.catalog import catalog
from crosscheck.terminal import printable

__all__ = ["arguments", "main"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("what", nargs="+", metavar="WHAT", help="as for run")


def main(parsed: argparse.Namespace, console: Console) -> int:
    """Write the locks that are missing or outdated, and print their paths."""
    done: set[Path] = set()
    for target in targets(parsed.what, catalog(), everything=True):
        paths = [lock(target.runtime, target.release, target.variant, done)]
        paths += [lock_native(target.runtime, native, done) for native in target.release.native]
        for path in filter(None, paths):
            done.add(path)
            console.print(printable(path), soft_wrap=True)
    return OK
