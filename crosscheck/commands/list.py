"""`crosscheck list`: prints runtimes, releases, modes, networks and scenarios as tables."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from crosscheck.ending import OK
from crosscheck.environments import interpreters
from crosscheck.errors import EnvironmentFailure, UsageError
from crosscheck.matrix.selection import one_by_one
from crosscheck.runtimes.catalog import Release, Runtime, catalog
from crosscheck.runtimes.known import TOOLKITS, unknown_runtime
from crosscheck.scenarios.facts import SCENARIOS

__all__ = ["LISTS", "arguments", "main"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("what", choices=("runtimes", "releases", "modes", "networks", "scenarios"))
    parser.add_argument("runtime", nargs="*", metavar="RUNTIME", help="only these runtimes; `toolkits` is all toolkits")
    parser.add_argument(
        "--text", action="store_true", help="with `modes`: the text that each of them executes, instead of the table"
    )


def main(parsed: argparse.Namespace, console: Console) -> int:
    """Print the table."""
    if parsed.text and parsed.what != "modes":
        raise UsageError(f"--text is about modes: `crosscheck list modes --text`, not `list {parsed.what}`.")
    if parsed.runtime and parsed.what in WITHOUT_RUNTIME:
        raise UsageError(f"{parsed.what} are those of all runtimes: `crosscheck list {parsed.what}`.")
    show = _print_texts if parsed.text else LISTS[parsed.what]
    show(console, parsed.runtime)
    return OK


def _runtimes(wanted: Sequence[str]) -> list[Runtime]:
    names = list(one_by_one(wanted, catalog()))
    for name in names:
        runtime, at, _ = name.partition("@")
        if runtime not in catalog():
            raise unknown_runtime(runtime, [*catalog(), TOOLKITS])
        if at:
            raise UsageError(f"`crosscheck list` takes runtimes without a release: {runtime}.")
    return [runtime for name, runtime in catalog().items() if name in names or not wanted]


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        # Names are never wrapped, so that they can be copied.
        table.add_column(column, overflow="fold", no_wrap=column == columns[0])
    return table


def _list_runtimes(console: Console, wanted: Sequence[str]) -> None:
    table = _table("runtime", "releases", "from", "to", "modes", "toolkit on", "only when named", "what")
    for runtime in _runtimes(wanted):
        first, last = runtime.releases[0].version, runtime.releases[-1].version
        counts = str(len(runtime.releases)), str(len(runtime.modes))
        only = ", ".join(runtime.only_when_named)
        table.add_row(runtime.name, counts[0], first, last, counts[1], runtime.base, only, runtime.title)
    console.print(table)


def _list_releases(console: Console, wanted: Sequence[str]) -> None:
    table = _table("release", "published", "default", "interpreter", "download", "disk", "variants")
    for runtime in _runtimes(wanted):
        for release in runtime.releases:
            table.add_row(
                f"{runtime.name}@{release.version}",
                release.released,
                _default(release),
                _interpreter(release),
                _megabytes(release.download_mb),
                _megabytes(release.disk_mb),
                ", ".join(variant.name for variant in release.variants[1:]),
            )
    console.print(table)


def _default(release: Release) -> str:
    if release.if_named:
        return "if named"
    return ("if available" if release.if_available else "yes") if release.default else ""


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size} MB"


def _interpreter(release: Release) -> str:
    try:
        return interpreters.find(release.python, fetch=False).version
    except EnvironmentFailure:
        return f"needs {' or '.join(release.python)}"


def _list_modes(console: Console, wanted: Sequence[str]) -> None:
    for runtime in _runtimes(wanted):
        table = _table("mode", "asks", "intent", "releases", "default", "documented", "what is peculiar to it")
        for mode in runtime.modes:
            table.add_row(
                f"{runtime.name}: {mode.name}",
                mode.asks,
                mode.intent,
                f"{mode.since or ''}..{mode.until or ''}" if mode.since or mode.until else "all",
                "yes" if mode.default else "",
                mode.contract.statistics,
                escape(runtime.summary(mode)),
            )
        console.print(table)


def _print_texts(console: Console, wanted: Sequence[str]) -> None:
    for runtime in _runtimes(wanted):
        for mode in runtime.modes:
            console.print(f"[bold]{runtime.name}: {mode.name}[/bold]  {escape(runtime.summary(mode))}", highlight=False)
            console.print(textwrap.indent(escape(mode.call), "    "), highlight=False, soft_wrap=True)


def _list_networks(console: Console, wanted: Sequence[str]) -> None:
    from crosscheck.networks import load, names  # onnx takes longer to import than the other lists to print

    table = _table("network", "input", "batch norms", "held-out images", "what")
    for network in map(load, names()):
        held_out = "" if network.labels is None else str(len(network.labels))
        shape = " x ".join(map(str, network.x.shape))
        table.add_row(network.name, shape, str(len(network.batch_norms)), held_out, network.title)
    console.print(table)


def _list_scenarios(console: Console, wanted: Sequence[str]) -> None:
    columns = "by default", "newest, with --all", "older, other modes, with --all", "of variants"
    table = _table("scenario", "modes", "networks", *columns, "question and steps")
    for scenario, facts in SCENARIOS.items():
        suiting = "with held-out images" if facts.needs_labels else "all"
        asks = " or ".join(sorted(kind.value for kind in facts.asks))
        table.add_row(
            scenario.value,
            f"{asks} ({facts.intent} intent)" if facts.intent else asks,
            suiting,
            ", ".join(sorted(facts.default_networks)),
            ", ".join(sorted(facts.all_networks)) if facts.all_networks is not None else suiting,
            ", ".join(sorted(facts.further_networks)),
            ", ".join(sorted(facts.variant_networks)),
            f"{facts.question}\n[dim]{facts.steps}[/dim]",
        )
        table.add_section()
    console.print(table)


#: Lists that are the same for every runtime.
WITHOUT_RUNTIME = ("networks", "scenarios")
LISTS: dict[str, Callable[[Console, Sequence[str]], None]] = {
    "runtimes": _list_runtimes,
    "releases": _list_releases,
    "modes": _list_modes,
    "networks": _list_networks,
    "scenarios": _list_scenarios,
}
