"""The command line: parses arguments, runs commands, prints messages."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console

from crosscheck import __version__
from crosscheck.ending import INCOMPLETE, INTERRUPTED, OK, WORSE, ended
from crosscheck.errors import UsageError
from crosscheck.terminal import printable

if TYPE_CHECKING:  # at run time, a command imports what it needs
    from crosscheck.networks import FileOptions

__all__ = ["main"]

PIPE_WIDTH = 160

#: Text of `crosscheck diff --help`; `crosscheck.report.cell_diff` has the rules.
DIFF = """\
Lists the changed cells of RUN since OTHER. RUN is the newer run, as in `crosscheck report RUN --against OTHER`.

  worse    a new finding or crash, or no longer measurable
  fixed    a finding or crash is gone, or clean where nothing could be measured before
  changed  neither worse nor fixed: another status; the same findings with other numbers, by more than 1e-4 of the
           largest; or other findings by chance, where both runs say corrupted or saw trials that disagree
  new      in RUN only; never a regression
  gone     in OTHER only; never a regression

Where findings came and others went, the most severe decides; a crash is more severe than any of them, and they rank
as the report lists them under "How to read". Exit codes: 1 if any cell got worse, 0 if none, 2 usage."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 ran to the end; 1 `diff` found something worse; 2 usage or bad input; 3 crosscheck's own failure; 4 some cells
    could not be measured because of a failure, or some network files were left out; 130 interrupted.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files and tensors may not fit the terminal's encoding
            stream.reconfigure(errors="backslashreplace")

    def command() -> int:
        parsed = _parser().parse_args(words)
        code: int = parsed.command(parsed, _console())
        return code

    return ended(command, words)


def _console() -> Console:
    """Standard output; outside a terminal, wide enough for the longest table rows."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_WIDTH)


class _Parser(argparse.ArgumentParser):
    """A parser with one-line errors."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}. `{self.prog} --help` shows the usage.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="crosscheck",
        description="Finds runtimes that leak training-mode statistics when they compute an input gradient.",
    )
    parser.add_argument("--version", action="version", version=f"crosscheck {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="build the environments, run the matrix, write the report")
    run.add_argument(
        "what",
        nargs="*",
        metavar="WHAT",
        help="mxnet, mxnet@1.9.1, mxnet@0.9.5..1.3, onnxruntime@newest, mxnet@1.9.1+mkl; default: the default matrix",
    )
    run.add_argument(
        "--all",
        action="store_true",
        dest="everything",
        help="every release, variant, mode and scenario of the selection; with --network '*' every network in each",
    )
    run.add_argument(
        "--network",
        action="append",
        default=[],
        metavar="GLOB",
        help="networks, or a file of your own: .onnx, or as the README says; repeatable",
    )
    _add_file_options(run)
    run.add_argument("--mode", action="append", default=[], metavar="GLOB", help="modes; repeatable")
    run.add_argument("--scenario", action="append", default=[], metavar="GLOB", help="scenarios; repeatable")
    run.add_argument(
        "--trials",
        type=int,
        default=2,
        metavar="N",
        help="trials of each cell's first reading (default 2; with --all 1 for releases that are neither "
        "the newest nor part of the default matrix)",
    )
    run.add_argument("--jobs", type=int, default=None, metavar="N", help="parallel trials (default: one per core)")
    _add_out(run, "the output folder")
    run.add_argument("--fresh", action="store_true", help="ignore earlier measurements")
    run.add_argument(
        "--isolation",
        choices=("fork", "new-interpreter"),
        default="fork",
        help="run each trial in a fork of a process that imported the runtime, or in a new interpreter",
    )
    run.add_argument(
        "--time-limit",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="of one trial (default 60); one that ran out of time is measured again by the next run",
    )
    run.add_argument(
        "--memory-limit",
        type=float,
        default=4.0,
        metavar="GB",
        help="of one trial (default 4); one that ran out of memory is measured again under a larger limit",
    )
    run.add_argument(
        "--budget",
        metavar="TIME",
        help="for measuring, as in 90s, 10m or none (default: 10m with a network file, else none); what tells most is "
        "asked first, what is left out is named, and the same command goes on",
    )
    run.set_defaults(command=_run)

    gradient = commands.add_parser("gradient", help="write an ONNX model that also computes its input gradient")
    gradient.add_argument("model", type=Path, metavar="MODEL", help="the model")
    gradient.add_argument("-o", "--out", type=Path, required=True, metavar="GRADIENT.onnx", help="the file to write")
    gradient.add_argument(
        "--wrt",
        action="append",
        default=[],
        metavar="NAME,...",
        help="differentiate by these inputs or inner tensors (default: every input of floats)",
    )
    gradient.add_argument(
        "--output", metavar="NAME", help="differentiate this output or inner tensor (default: the first)"
    )
    gradient.add_argument(
        "--shape", action="append", default=[], metavar="INPUT=1,3,224,224", help="sizes for an input's open axes"
    )
    gradient.add_argument(
        "--training",
        action="store_true",
        help="use the batch's own statistics, as in training; further outputs are the updated moving statistics",
    )
    _add_trust(gradient)
    gradient.set_defaults(command=_gradient)

    inspect = commands.add_parser("inspect", help="what a network file is, and what each runtime can be asked about it")
    inspect.add_argument("network", metavar="FILE", help="the file")
    _add_file_options(inspect)
    inspect.set_defaults(command=_inspect)

    lists = commands.add_parser("list", help="list runtimes, releases, modes, networks or scenarios")
    lists.add_argument("what", choices=("runtimes", "releases", "modes", "networks", "scenarios"))
    lists.add_argument("runtime", nargs="*", metavar="RUNTIME", help="only these runtimes")
    lists.set_defaults(command=_list)

    explain = commands.add_parser("explain", help="show the numbers, thresholds and contract behind a cell's findings")
    explain.add_argument("cell", metavar="CELL", help="a cell's id, as in the report")
    _add_out(explain, "the folder of the run")
    explain.set_defaults(command=_explain)

    script = commands.add_parser("script", help="write a cell as a short program that needs only its runtime and numpy")
    script.add_argument("cell", metavar="CELL", help="a cell's id, as in the report")
    _add_out(script, "the folder of the run")
    script.add_argument("--network", metavar="FILE", help="the cell's network, if it is not a shipped one")
    _add_file_options(script)
    script.add_argument("-o", "--to", type=Path, metavar="FILE", help="write to this file instead of standard output")
    script.set_defaults(command=_script)

    reduce = commands.add_parser("reduce", help="the smallest network that still shows a finding, and its script")
    reduce.add_argument("cell", metavar="CELL", help="a cell's id, as in the report; it need not have been measured")
    reduce.add_argument(
        "-o",
        "--to",
        type=Path,
        default=Path("crosscheck-reduced"),
        metavar="DIR",
        help="where network, script and text go (default crosscheck-reduced)",
    )
    reduce.add_argument("--finding", metavar="FINDING", help="which of the cell's findings (default: the first)")
    reduce.add_argument(
        "--time-limit", type=float, metavar="MINUTES", help="end after that long with what was reached so far"
    )
    _add_out(reduce, "the folder of the run that may have the cell", "RUN")
    reduce.add_argument("--network", metavar="FILE", help="the file that the cell is about, where it is your own")
    _add_file_options(reduce)
    reduce.set_defaults(command=_reduce)

    report = commands.add_parser("report", help="rebuild the report from cells.jsonl")
    _add_run(report)
    report.add_argument(
        "--against",
        type=Path,
        metavar="OTHER",
        help="mark changes since OTHER, as `crosscheck diff RUN OTHER` does",
    )
    report.add_argument(
        "--site",
        type=Path,
        metavar="DIR",
        help="also write the page, the cells and a badge for each runtime to DIR, for a static host",
    )
    report.set_defaults(command=_report)

    opens = commands.add_parser("open", help="open the report in the browser")
    _add_run(opens)
    opens.set_defaults(command=_open)

    diff = commands.add_parser(
        "diff",
        help="list changes between two runs; exits 1 if a cell got worse",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=DIFF,
    )
    diff.add_argument("run", type=Path, metavar="RUN", help="the newer run: its folder, or its cells.jsonl")
    diff.add_argument("other", type=Path, metavar="OTHER", help="the older run")
    diff.set_defaults(command=_diff)

    recipe = commands.add_parser("recipe", help="list calls that compute a gradient and leave the network unchanged")
    recipe.add_argument("runtime", nargs="*", metavar="RUNTIME", help="only these runtimes")
    _add_out(recipe, "the folder of the run")
    recipe.set_defaults(command=_recipe)

    doctor = commands.add_parser("doctor", help="list missing requirements of this machine, and how to install them")
    doctor.set_defaults(command=_doctor)

    lock = commands.add_parser(
        "lock", help="for maintainers of a runtime's folder: resolve and pin the requirements of releases"
    )
    lock.add_argument("what", nargs="+", metavar="WHAT", help="as for run")
    lock.set_defaults(command=_lock)
    return parser


def _add_out(command: argparse.ArgumentParser, what: str, metavar: str = "DIR") -> None:
    command.add_argument(
        "--out", type=Path, default=Path("crosscheck-out"), metavar=metavar, help=f"{what} (default crosscheck-out)"
    )


def _add_file_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--shape",
        action="append",
        default=[],
        metavar="INPUT=SIZES",
        help="the input of a network file has these sizes, batch first, as in x=1,3,224,224; repeatable",
    )
    command.add_argument(
        "--batch", type=int, metavar="N", help="rows of the input of a network file (default: the file's, or 4)"
    )
    command.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="FILE",
        help="values of a network file's inputs: an .npz by name, an .npy, or pictures, a row each; repeatable",
    )
    command.add_argument(
        "--output", metavar="NAME", help="the output of a network file that is differentiated (default: the first)"
    )
    command.add_argument(
        "--cotangent",
        type=int,
        metavar="CLASS",
        help="differentiate this number of each row of the output alone (default: all of them, with different weights)",
    )
    _add_trust(command)


def _add_trust(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--trust", action="store_true", help="let the runtime of a network file run code that is in it, as in a pickle"
    )


def _file_options(parsed: argparse.Namespace) -> FileOptions:
    from crosscheck.networks import FileOptions

    return FileOptions.parsed(parsed.shape, parsed.batch, parsed.input, parsed.output, parsed.cotangent, parsed.trust)


def _add_run(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "run",
        nargs="?",
        type=Path,
        default=Path("crosscheck-out"),
        metavar="RUN",
        help="the folder of the run (default crosscheck-out)",
    )


def _run(parsed: argparse.Namespace, console: Console) -> int:
    from crosscheck.runtimes.known import check_names

    check_names(parsed.what)
    from crosscheck.job import Job, run
    from crosscheck.matrix.budget import seconds_of
    from crosscheck.matrix.engine import cores
    from crosscheck.matrix.server import Limits
    from crosscheck.progress import progress_for

    job = Job(
        what=parsed.what,
        everything=parsed.everything,
        networks=parsed.network,
        modes=parsed.mode,
        scenarios=parsed.scenario,
        trials=parsed.trials,
        jobs=cores() if parsed.jobs is None else parsed.jobs,
        out=parsed.out,
        fresh=parsed.fresh,
        isolation=parsed.isolation,
        limits=Limits(parsed.time_limit, parsed.memory_limit * 1e9),
        budget=None if parsed.budget is None else seconds_of(parsed.budget),
        options=_file_options(parsed),
    )
    with progress_for(console) as progress:
        result = run(job, progress)
    total = sum(result.statuses.values())
    summary = ", ".join(f"{count} {name}" for name, count in sorted(result.findings.items(), key=lambda item: -item[1]))
    console.print(printable(f"{total} cells in {result.seconds:.1f} s: {summary or 'no findings'}"))
    others = ", ".join(f"{count} {name}" for name, count in sorted(result.statuses.items()) if name != "ok")
    if others:
        console.print(printable(f"without findings: {others}"))
    for reason in result.refused:
        console.print(printable(f"left out: {reason}"), soft_wrap=True)
    console.print(printable(f"report: {result.folder / 'report.html'}"), soft_wrap=True)
    return INCOMPLETE if result.incomplete or result.refused else OK


def _gradient(parsed: argparse.Namespace, console: Console) -> int:
    from crosscheck.gradients import write

    for line in write(parsed.model, parsed.out, parsed.training, parsed.wrt, parsed.output, parsed.shape, parsed.trust):
        console.print(printable(line), soft_wrap=True)
    return OK


def _inspect(parsed: argparse.Namespace, console: Console) -> int:
    from crosscheck.inspection import inspect

    for line in inspect(parsed.network, _file_options(parsed)):
        console.print(printable(line), soft_wrap=True)
    return OK


def _list(parsed: argparse.Namespace, console: Console) -> int:
    from crosscheck.listing import LISTS

    LISTS[parsed.what](console, parsed.runtime)
    return OK


def _explain(parsed: argparse.Namespace, console: Console) -> int:
    from crosscheck.explain import explain

    explain(console, parsed.out, parsed.cell)
    return OK


def _script(parsed: argparse.Namespace, console: Console) -> int:
    from crosscheck.script.command import script, write

    text = script(parsed.out, parsed.cell, parsed.network, _file_options(parsed))
    if parsed.to is None:
        sys.stdout.write(text)
        return OK
    write(text, parsed.to)
    how = "`node`, as its first line says" if text.startswith("//") else "`uv run`"
    console.print(printable(f"script: {parsed.to}, for {how}"), soft_wrap=True)
    return OK


def _reduce(parsed: argparse.Namespace, console: Console) -> int:
    from crosscheck.reduce import Request, reduce

    options = _file_options(parsed)
    request = Request(parsed.cell, parsed.to, parsed.finding, parsed.time_limit, parsed.out, parsed.network, options)
    reduced = reduce(console, request)
    for sentence in reduced.told:
        console.print(printable(sentence), soft_wrap=True)
    console.print(printable(f"smallest case: {parsed.to}"), soft_wrap=True)
    return INTERRUPTED if reduced.interrupted else OK


def _report(parsed: argparse.Namespace, console: Console) -> int:
    from crosscheck import report
    from crosscheck.publication import refresh
    from crosscheck.script.writer import example, pieces

    page = report.write(parsed.run, parsed.against, pieces, example)
    refresh(page.parent)
    console.print(printable(f"report: {page}"), soft_wrap=True)
    if parsed.site is not None:
        index = report.write_site(page, parsed.site)
        console.print(printable(f"site: {index}"), soft_wrap=True)
    return OK


def _open(parsed: argparse.Namespace, console: Console) -> int:
    import webbrowser

    page = parsed.run / "report.html"
    if not page.is_file():
        raise UsageError(f"{page} does not exist. `crosscheck run` writes it; `crosscheck report RUN` rebuilds it.")
    opened = webbrowser.open(page.resolve().as_uri())
    told = f"opened {page}" if opened else f"no browser found; the report is {page.resolve()}"
    console.print(printable(told), soft_wrap=True)
    return OK


def _diff(parsed: argparse.Namespace, console: Console) -> int:
    from crosscheck.diff import diff

    return WORSE if diff(console, parsed.run, parsed.other) else OK


def _recipe(parsed: argparse.Namespace, console: Console) -> int:
    from crosscheck.recipe import recipe

    recipe(console, parsed.out, parsed.runtime)
    return OK


def _doctor(parsed: argparse.Namespace, console: Console) -> int:
    from crosscheck.doctor import examine

    return OK if examine(console) else INCOMPLETE


def _lock(parsed: argparse.Namespace, console: Console) -> int:
    from crosscheck.environments.locks import lock, lock_native
    from crosscheck.matrix.selection import targets
    from crosscheck.runtimes.catalog import catalog

    done: set[Path] = set()
    for target in targets(parsed.what, catalog(), everything=True):
        paths = [lock(target.runtime, target.release, target.variant, done)]
        paths += [lock_native(target.runtime, native, done) for native in target.release.native]
        for path in filter(None, paths):
            done.add(path)
            console.print(printable(path), soft_wrap=True)
    return OK
