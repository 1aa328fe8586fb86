"""`crosscheck bisect`: the releases in which a finding begins and ends."""

from __future__ import annotations

import argparse

from rich.console import Console

from crosscheck.commands.options import add_out, add_progress, shown
from crosscheck.ending import INCOMPLETE, OK
from crosscheck.runtimes.known import check_names
from crosscheck.terminal import printable

__all__ = ["arguments", "main"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "what", nargs="+", metavar="WHAT", help="a runtime, or releases of it: mxnet, mxnet@1.0..1.9.1, mxnet@1.3..+mkl"
    )
    parser.add_argument("--finding", default="leak", metavar="FINDING", help="which finding (default leak)")
    parser.add_argument(
        "--mode",
        action="append",
        default=[],
        metavar="GLOB",
        help="modes; repeatable (default: those of the default matrix)",
    )
    parser.add_argument(
        "--network", action="append", default=[], metavar="GLOB", help="networks; repeatable (default conv)"
    )
    parser.add_argument("--scenario", default="gradient", metavar="NAME", help="the scenario (default gradient)")
    add_out(parser, "the folder of a run, whose measurements are used and completed")
    add_progress(parser)


def main(parsed: argparse.Namespace, console: Console) -> int:
    """Search, and print the borders of each mode and network. Exit code 4 if a release could not be measured."""
    check_names(parsed.what)
    from crosscheck.bisect import Request, bisect
    from crosscheck.bisect.told import sentences
    from crosscheck.progress import progress_for

    request = Request(
        what=parsed.what,
        finding=parsed.finding,
        modes=parsed.mode,
        networks=parsed.network or ["conv"],
        scenario=parsed.scenario,
        out=parsed.out,
    )
    with progress_for(console, shown(parsed)) as progress:
        answers = bisect(request, progress)
    for answer in answers:
        for sentence in sentences(answer, request.finding):
            console.print(printable(sentence), soft_wrap=True)
    return INCOMPLETE if any(answer.reasons for answer in answers) else OK
