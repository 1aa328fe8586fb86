"""`crosscheck merge`: puts the shards of a job together."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from crosscheck.commands.options import add_progress, shown
from crosscheck.commands.outputs import add_outputs, outputs_of
from crosscheck.commands.run import ended

__all__ = ["arguments", "main"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("shards", nargs="+", type=Path, metavar="RUN", help="the folders of all shards of a job")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder, for the whole job")
    parser.add_argument("--jobs", type=int, default=None, metavar="N", help="processes (default: one per core)")
    add_progress(parser)
    add_outputs(parser)


def main(parsed: argparse.Namespace, console: Console) -> int:
    """Merge them."""
    outputs = outputs_of(parsed)
    from crosscheck.matrix.settings import cores
    from crosscheck.merging import Request, merge
    from crosscheck.progress import progress_for

    jobs = cores() if parsed.jobs is None else parsed.jobs
    request = Request(parsed.shards, parsed.out, jobs, outputs.expectations, outputs.against)
    with progress_for(console, shown(parsed)) as progress:
        result = merge(request, progress)
    return ended(result, outputs, progress, console, parsed.quiet)
