"""Command `inspect`: what a user's file is, and what each runtime could be asked about it; measures nothing."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator

from rich.console import Console

from crosscheck.commands.options import add_file_options, file_options
from crosscheck.conversion import load
from crosscheck.ending import OK
from crosscheck.errors import UsageError
from crosscheck.matrix.plan import Planned, Wanted, expand
from crosscheck.matrix.selection import Target
from crosscheck.networks import FileOptions, Network
from crosscheck.networks.file_summary import summary_of
from crosscheck.networks.onnx_files import BATCH_GRADIENT, GRADIENT, missing_forms
from crosscheck.records.run import FileFacts
from crosscheck.runtimes.catalog import Runtime, catalog
from crosscheck.terminal import printable

__all__ = ["arguments", "inspect", "main"]

#: The number of names in a line.
SHOWN = 6
#: The scenarios that are asked about.
SCENARIOS = ("gradient", "predict-only")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("network", metavar="FILE", help="the file")
    add_file_options(parser)


def main(parsed: argparse.Namespace, console: Console) -> int:
    """Print what the file is."""
    for line in inspect(parsed.network, file_options(parsed)):
        console.print(printable(line), soft_wrap=True)
    return OK


def inspect(path: str, options: FileOptions) -> Iterator[str]:
    """Lines about the file at `path`. Raises NetworkError for a file that crosscheck cannot use, with the remedy."""
    network = load(path, options)
    file = network.as_it_is
    assert file is not None, "a path is a user's file"
    assert file.own is not None
    yield from file.own.said
    summary = summary_of(network)
    yield from _contents(summary)
    yield from _batch_norms(summary)
    lowered = "as it is alone (the reason is above)" if network.file is not None else "as it is, and lowered"
    yield f"{'asked':14}{lowered}"
    for title, form in (("gradient", GRADIENT), ("in training", BATCH_GRADIENT)):
        yield f"{title:14}{missing_forms(file).get(form, 'crosscheck writes it')}"
    for runtime in catalog().values():
        yield f"{runtime.name:22}  {_asked(runtime, network)}"


def _contents(summary: FileFacts) -> Iterator[str]:
    yield f"{'file':14}opset {summary.opset}, IR {summary.ir}, {summary.nodes} nodes"
    for place, value in enumerate(summary.inputs):
        how = "held" if place or not summary.differentiated else "differentiated"
        yield f"{'input':14}{value.name}: {value.type} {_sizes(value.shape)}, {how}"
    first, *others = summary.outputs
    yield f"{'output':14}{first.name}: {_sizes(first.shape)}" + "".join(f"; {value.name}" for value in others)
    yield f"{'operators':14}{', '.join(f'{count} {op}' for op, count in summary.operators.items())}"


def _batch_norms(summary: FileFacts) -> Iterator[str]:
    """A line for all with the same attributes."""
    if not summary.batch_norms:
        yield f"{'batch norms':14}none: there are no moving statistics that could leak"
    for alike in summary.batch_norms:
        names = [f"{name} ({channels})" for name, channels in alike.layers]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        yield f"{'batch norms':14}{alike.attributes}; {alike.statistics}: {', '.join(names[:SHOWN])}{more}"


def _asked(runtime: Runtime, network: Network) -> str:
    """How many ways of the newest release can be asked, and why others cannot."""
    release = runtime.releases[-1]
    wanted = Wanted(scenarios=SCENARIOS, networks=[network.name])
    plan = [cell for cell in _plan(Target(runtime, release, release.variants[0]), network, wanted) if not cell.lacking]
    if not plan:
        return f"{release.version}: reads no file, and the network cannot be lowered"
    reasons = Counter(cell.refused for cell in plan if cell.refused)
    asked = f"{release.version}: {len(plan) - reasons.total()} of {len(plan)} cells of its default modes"
    return "; ".join([asked, *(f"{count} not, {reason}" for reason, count in reasons.items())])


def _plan(target: Target, network: Network, wanted: Wanted) -> list[Planned]:
    try:
        return expand([target], [network], wanted)
    except UsageError:  # nothing is left
        return []


def _sizes(shape: tuple[int, ...] | None) -> str:
    return "x".join(map(str, shape or ())) or "one number"
