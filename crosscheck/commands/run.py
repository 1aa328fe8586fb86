"""`crosscheck run`: measures a matrix, and writes its report."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from crosscheck.commands.job_file import configure, configured
from crosscheck.commands.options import add_file_options, add_out, add_progress, file_options, shown
from crosscheck.commands.outputs import NO_OUTPUTS, Outputs, add_outputs, outputs_of, say
from crosscheck.ending import INCOMPLETE, OK, WORSE
from crosscheck.runtimes.known import check_names
from crosscheck.terminal import printable

if TYPE_CHECKING:
    from crosscheck.job import Job, Result, Selection
    from crosscheck.matrix.settings import Progress

__all__ = ["arguments", "ended", "job_of", "main"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "what",
        nargs="*",
        metavar="WHAT",
        help="mxnet, mxnet@1.9.1, mxnet@0.9.5..1.3, onnxruntime@newest, mxnet@1.9.1+mkl; default: the default matrix",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        dest="everything",
        help="every release, variant, mode and scenario of the selection; with --network '*' every network in each",
    )
    parser.add_argument(
        "--network",
        action="append",
        default=[],
        metavar="GLOB",
        help="networks, or a file of your own, of which `crosscheck inspect FILE` says what can be asked; repeatable",
    )
    add_file_options(parser)
    parser.add_argument("--mode", action="append", default=[], metavar="GLOB", help="modes; repeatable")
    parser.add_argument("--scenario", action="append", default=[], metavar="GLOB", help="scenarios; repeatable")
    parser.add_argument(
        "--trials",
        type=int,
        default=2,
        metavar="N",
        help="trials of each cell's first reading (default 2; with --all 1 for releases that are neither "
        "the newest nor part of the default matrix)",
    )
    parser.add_argument("--jobs", type=int, default=None, metavar="N", help="parallel trials (default: one per core)")
    parser.add_argument(
        "--engine",
        default="local",
        metavar="WHERE",
        help="where trials run: local (this machine, the default), dask://HOST:PORT (the workers of a Dask scheduler), "
        "or dask (a Dask cluster of --jobs processes of this machine)",
    )
    add_out(parser, "the output folder")
    parser.add_argument("--fresh", action="store_true", help="ignore earlier measurements")
    parser.add_argument(
        "--isolation",
        choices=("fork", "new-interpreter"),
        default="fork",
        help="run each trial in a fork of a process that imported the runtime, or in a new interpreter",
    )
    parser.add_argument(
        "--time-limit",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="of one trial (default 60); one that ran out of time is measured again by the next run",
    )
    parser.add_argument(
        "--memory-limit",
        type=float,
        default=4.0,
        metavar="GB",
        help="of one trial (default 4); one that ran out of memory is measured again under a larger limit",
    )
    parser.add_argument(
        "--budget",
        metavar="TIME",
        help="for measuring, as in 90s, 10m or none (default: 10m with a network file, else none); what tells most is "
        "asked first, what is left out is named, and the same command goes on",
    )
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="PATTERN",
        help="cells that are left out: runtime@release+variant/mode/network/scenario, a glob for each part; repeatable",
    )
    parser.add_argument(
        "--shard",
        metavar="K/N",
        help="measure one of N parts of the job, as in 3/8; `crosscheck merge` puts them together, `crosscheck plan` "
        "shows them",
    )
    parser.add_argument(
        "--times",
        type=Path,
        metavar="RUN",
        help="the folder of a past run, by whose times parts are balanced: the same for all of them (default: a whole "
        "run in --out, or figures that come with crosscheck)",
    )
    add_progress(parser)
    add_outputs(parser)
    configure(parser)


def main(parsed: argparse.Namespace, console: Console) -> int:
    """Run the job. A mistyped name of a runtime is refused before anything large is imported."""
    with configured(parsed) as include:
        check_names(parsed.what)
        outputs = outputs_of(parsed)
        from crosscheck.job import run
        from crosscheck.progress import progress_for

        job = job_of(parsed, include, outputs)
        with progress_for(console, shown(parsed)) as progress:
            result = run(job, progress)
        return ended(result, outputs, progress, console, parsed.quiet)


def ended(result: Result, outputs: Outputs, progress: Progress, console: Console, quiet: bool) -> int:
    """Write the outputs of a run, say how it ended, and return its exit code."""
    from crosscheck.progress import JsonProgress

    outcome = outputs.make(result.folder, step_summary=True)
    code = INCOMPLETE if result.incomplete or result.refused else OK
    if outcome is not None and outcome.failed:
        code = WORSE
    if isinstance(progress, JsonProgress):
        progress.tell(
            "end", code=code, statuses=result.statuses, findings=result.findings, refused=result.refused,
            expectations=None if outcome is None else outcome.counts, report=str(result.folder / "report.html"),
        )  # fmt: skip
    else:
        _summarise(result, console, quiet)
        if outcome is not None:
            say(console, result.folder, outcome, quiet)
    return code


def job_of(parsed: argparse.Namespace, include: Sequence[Selection], outputs: Outputs = NO_OUTPUTS) -> Job:
    """The job that the arguments describe; `include`: further parts of its matrix."""
    from crosscheck.matrix.budget import seconds_of
    from crosscheck.matrix.server import Limits
    from crosscheck.matrix.settings import cores
    from crosscheck.options import Job
    from crosscheck.shards import Shard

    return Job(
        what=parsed.what,
        everything=parsed.everything,
        networks=parsed.network,
        modes=parsed.mode,
        scenarios=parsed.scenario,
        trials=parsed.trials,
        jobs=cores() if parsed.jobs is None else parsed.jobs,
        engine=parsed.engine,
        out=parsed.out,
        fresh=parsed.fresh,
        isolation=parsed.isolation,
        limits=Limits(parsed.time_limit, parsed.memory_limit * 1e9),
        budget=None if parsed.budget is None else seconds_of(parsed.budget),
        options=file_options(parsed),
        expectations=outputs.expectations,
        against=outputs.against,
        include=include,
        exclude=parsed.exclude,
        shard=None if parsed.shard is None else Shard.parsed(parsed.shard),
        times=parsed.times,
    )


def _summarise(result: Result, console: Console, quiet: bool) -> None:
    """Print the counts and the place of the report; if `quiet`, only what is wrong."""
    for reason in result.refused:
        console.print(printable(f"left out: {reason}"), soft_wrap=True)
    if quiet:
        if result.incomplete:
            where = result.folder / "report.html"
            console.print(printable(f"{result.incomplete} cells could not be measured: {where}"), soft_wrap=True)
        return
    total = sum(result.statuses.values())
    summary = ", ".join(f"{count} {name}" for name, count in sorted(result.findings.items(), key=lambda item: -item[1]))
    console.print(printable(f"{total} cells in {result.seconds:.1f} s: {summary or 'no findings'}"))
    others = ", ".join(f"{count} {name}" for name, count in sorted(result.statuses.items()) if name != "ok")
    if others:
        console.print(printable(f"without findings: {others}"))
    console.print(printable(f"report: {result.folder / 'report.html'}"), soft_wrap=True)
