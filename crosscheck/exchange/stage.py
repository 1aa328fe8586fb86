"""Second stage of a job: measures exported ONNX files as networks in every runtime that reads ONNX.

A file is named after its network, runtime and digest: `conv.from.mxnet.1b2c3d4e`. Releases and modes that write equal
bytes share that network and its readers' cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from packaging.version import Version

from crosscheck.cells import MEASURED, PLAIN, Asks, Scenario
from crosscheck.errors import NetworkError
from crosscheck.matrix.engine import Engine
from crosscheck.matrix.journal import Journal
from crosscheck.matrix.ledger import Measured
from crosscheck.matrix.plan import Planned, Wanted, mode_wanted, planned_cell, spared
from crosscheck.matrix.selection import Target
from crosscheck.networks import Network
from crosscheck.networks.onnx_files import EXPORTED_FORMS, digest_of, written_network
from crosscheck.probe import recorded
from crosscheck.scenarios.facts import LAYERS

__all__ = ["FROM", "Exchange", "exchange", "readers"]

#: Separates network and runtime in a file's name.
FROM = ".from."
#: Keys of recorded files.
PREFIX = recorded.FILE
#: What a mode asks for -> scenario of a reader's cell.
SCENARIOS = {Asks.PREDICTION: Scenario.PREDICT_ONLY, Asks.GRADIENT: Scenario.GRADIENT}
#: Readings of a reader's cell; other cells of the same readers measure moved statistics.
READINGS = {Asks.PREDICTION: ("undisturbed", LAYERS), Asks.GRADIENT: ("undisturbed",)}


@dataclass
class Exchange:
    """The result of the second stage.

    plan: the readers' cells. files: id of an export cell -> the network in its file. unreadable: id of an export cell
    -> the error of its file. exporters: name of a network -> the cells that wrote it, in the plan's order.
    """

    plan: list[Planned] = field(default_factory=list)
    files: dict[str, Network] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    exporters: dict[str, list[Planned]] = field(default_factory=dict)


def exchange(
    plan: Sequence[Planned],
    measured: Measured,
    selected: Sequence[Target],
    wanted: Wanted,
    engine: Engine,
) -> Exchange:
    """Run the readers of the first stage's exported files, and add their results to `measured`.

    The reader of each `selected` runtime is its newest release with modes for files. `wanted` selects modes, scenarios
    and exported networks.
    """
    result = Exchange()
    for planned in plan:
        if Asks(planned.mode.asks) is Asks.EXPORT:
            _collect(result, planned, _content(engine.journal, measured, planned.cell.id))
    reading = readers(selected)
    for exporters in result.exporters.values():
        network = result.files[exporters[0].cell.id]
        result.plan += (cell for target in reading for cell in _cells(target, network, wanted))
    measured.add(engine.measure(result.plan))
    return result


def _collect(result: Exchange, planned: Planned, content: bytes | None) -> None:
    if content is None:
        return
    name = f"{planned.network.name}{FROM}{planned.cell.runtime}.{digest_of(content)}"
    try:
        exporters = result.exporters.get(name)
        network = result.files[exporters[0].cell.id] if exporters else written_network(content, name, planned.network)
    except NetworkError as problem:
        result.unreadable[planned.cell.id] = str(problem)
        return
    result.files[planned.cell.id] = network
    result.exporters.setdefault(name, []).append(planned)


def _content(journal: Journal, measured: Measured, cell: str) -> bytes | None:
    """The first ONNX file of a cell's trials. Trials write equal files, or the cell is `unrepeatable`."""
    for row in journal.observations(measured.keys.get(cell, ())):
        if row.status in MEASURED:
            for key, value in row.arrays.items():
                if key.startswith(PREFIX):
                    return value.tobytes()
    return None


def readers(targets: Sequence[Target]) -> list[Target]:
    """What reads exported files: the newest target of each runtime with modes for files, as installed if possible."""

    def rank(target: Target) -> tuple[Version, bool]:
        return Version(target.release.version), target.variant.name == PLAIN

    newest: dict[str, Target] = {}
    for target in targets:
        if any(mode_wanted(mode, target, Wanted()) for mode in target.runtime.modes if mode.reads_files):
            current = newest.get(target.runtime.name)
            if current is None or rank(target) > rank(current):
                newest[target.runtime.name] = target
    return list(newest.values())


def _cells(target: Target, network: Network, wanted: Wanted) -> Iterator[Planned]:
    """The cells of a reader, one trial per reading; cells of shipped networks measure repeatability."""
    origin, _, _ = network.name.partition(FROM)
    if spared(target, origin, wanted):
        return
    for mode in target.runtime.modes:
        if not mode.reads_files or mode.form not in EXPORTED_FORMS or not mode_wanted(mode, target, wanted):
            continue
        scenario = SCENARIOS[Asks(mode.asks)]
        if not wanted.scenarios or any(fnmatchcase(scenario, pattern) for pattern in wanted.scenarios):
            yield planned_cell(target, mode, network, scenario, READINGS[Asks(mode.asks)], trials=1)
