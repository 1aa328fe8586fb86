"""`crosscheck plan`: shows what `crosscheck run` would measure, and how that divides into shards."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from crosscheck.commands import run
from crosscheck.commands.job_file import configured
from crosscheck.commands.options import add_progress
from crosscheck.ending import OK
from crosscheck.errors import UsageError
from crosscheck.runtimes.known import check_names
from crosscheck.terminal import printable

if TYPE_CHECKING:
    from crosscheck.forecast import Forecast, Part
    from crosscheck.job import Selection

__all__ = ["arguments", "main"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: those of `run`, and its own."""
    run.arguments(parser)
    _add_own(parser)


def _add_own(parser: argparse.ArgumentParser) -> None:
    """Those that `run` does not have."""
    parser.add_argument(
        "--shards", type=int, metavar="N", help="divide the job into at most N parts for `crosscheck run --shard K/N`"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the numbers as JSON, with --shards a list for a CI system's matrix"
    )


def _command(parsed: argparse.Namespace) -> str:
    """The command that runs what is planned: its words are those of `plan`, as the file of a job completes both alike.

    Without --out, which names an earlier run here.
    """
    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    _add_own(own)
    own.add_argument("--out")
    add_progress(own)
    return shlex.join(["crosscheck", "run", *own.parse_known_args(parsed.words)[1]])


def main(parsed: argparse.Namespace, console: Console) -> int:
    """Print the numbers."""
    with configured(parsed) as include:
        return _planned(parsed, console, include)


def _planned(parsed: argparse.Namespace, console: Console, include: Sequence[Selection]) -> int:
    check_names(parsed.what)
    if parsed.shards is not None and (parsed.shards < 1 or parsed.shard is not None):
        raise UsageError("--shards takes a whole number from 1 on, and no --shard beside it.")
    from crosscheck.forecast import forecast
    from crosscheck.progress import LineProgress

    job = run.job_of(parsed, include)
    shown = forecast(job, parsed.shards or 0, None if parsed.json or parsed.quiet else LineProgress(console))
    if parsed.json:
        command = _command(parsed)
        rows = [_shard(command, shown, part) for part in shown.shards]
        print(json.dumps(rows if parsed.shards else _numbers(command, shown), indent=1), file=console.file)
    elif parsed.shards:
        _print_shards(console, _command(parsed), shown)
    else:
        _print_numbers(console, shown)
    return OK


def _numbers(command: str, shown: Forecast) -> dict[str, Any]:
    """The numbers of a whole job as JSON types."""
    return {
        "command": command,
        **_part(shown, shown.whole),
        "measured": shown.whole.measured,
        "to_make": [dataclasses.asdict(one) for one in shown.whole.making],
        "runtimes": {part.name: _part(shown, part) for part in shown.runtimes},
        "jobs": shown.jobs,
        "times": shown.times,
    }


def _shard(command: str, shown: Forecast, shard: Part) -> dict[str, Any]:
    """A shard as an entry of a CI system's matrix."""
    return {"shard": shard.name, "command": f"{command} --shard {shard.name}", **_part(shown, shard)}


def _part(shown: Forecast, part: Part) -> dict[str, Any]:
    return {
        "cells": part.cells,
        "trials": part.trials,
        "seconds": round(shown.duration(part), 1),
        "targets": list(part.targets),
        "environments": part.environments,
        "download_mb": part.download_mb,
        "disk_mb": part.disk_mb,
    }


def _print_numbers(console: Console, shown: Forecast) -> None:
    from crosscheck.report.number_text import duration

    whole = shown.whole
    done = f", {whole.measured} of them measured already" if whole.measured else ""
    rows = [(part.name, part) for part in shown.runtimes]
    console.print(_table(shown, "runtime", [*rows, *([("together", whole)] if rows[1:] else [])]))
    console.print(f"{whole.cells} cells{done}; {whole.trials} trials, without repetitions")
    console.print(f"environments: {whole.environments}, to make: {len(whole.making)}{_sizes(whole)}")
    for reason, targets in _lacks(whole).items():
        console.print(printable(f"{', '.join(targets)}: {reason}"), soft_wrap=True)
    console.print(
        printable(
            f"about {duration(shown.duration(whole))} of measuring, {shown.jobs} trials at once, by {shown.times}; "
            "environments, exported files, parts of networks and judging come on top"
        ),
        soft_wrap=True,
    )


def _print_shards(console: Console, command: str, shown: Forecast) -> None:
    console.print(_table(shown, "shard", [(part.name, part) for part in shown.shards]))
    console.print(printable(f"times by {shown.times}, {shown.jobs} trials at once; sizes without environments"))
    for part in shown.shards:
        console.print(printable(f"{command} --shard {part.name}"), soft_wrap=True, highlight=False)


def _table(shown: Forecast, first: str, parts: Iterable[tuple[str, Part]]) -> Table:
    from crosscheck.report.number_text import duration

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in (first, "cells", "measured", "trials", "time", "environments", "to make", "download", "disk"):
        table.add_column(column, justify="left" if column == first else "right", no_wrap=True)
    for name, part in parts:
        table.add_row(
            name,
            *map(str, (part.cells, part.measured, part.trials)),
            duration(shown.duration(part)),
            *map(str, (part.environments, len(part.making))),
            _megabytes(part.download_mb),
            _megabytes(part.disk_mb),
        )
    return table


def _megabytes(size: int) -> str:
    return f"{size / 1000:.1f} GB" if size >= 1000 else f"{size} MB"


def _sizes(part: Part) -> str:
    """What the environments to make take; how many are of unknown size."""
    unknown = sum(one.disk_mb is None for one in part.making)
    known = f"{_megabytes(part.download_mb)} to download, {_megabytes(part.disk_mb)} of disk"
    texts = [*([known] if unknown < len(part.making) else []), *([f"{unknown} of unknown size"] if unknown else [])]
    return f" ({', '.join(texts)})" if texts else ""


def _lacks(part: Part) -> dict[str, list[str]]:
    """What the machine lacks -> the targets that need it."""
    lacks: dict[str, list[str]] = {}
    for one in part.making:
        if one.lack:
            lacks.setdefault(one.lack, []).append(one.target)
    return lacks
