"""The job's second stage: ONNX files that export cells left become networks, which every reader of ONNX is asked about.

A file is called after the network and the runtime it came from, and its bytes: `conv.from.mxnet.1b2c3d4e`. Releases and
modes that write the same bytes share that network, and so its readers' cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from packaging.version import Version

from crosscheck.cells import Asks, Scenario, Status
from crosscheck.errors import NetworkError
from crosscheck.matrix.engine import Progress, Settings, measure
from crosscheck.matrix.journal import Journal
from crosscheck.matrix.ledger import Measured
from crosscheck.matrix.plan import Planned, Wanted, mode_wanted, planned_cell, reads_files, spared
from crosscheck.matrix.selection import Target
from crosscheck.networks import Network
from crosscheck.networks.exported_models import GRADIENT, digest_of, file_gradient, written_network
from crosscheck.probe import recorded
from crosscheck.scenarios.facts import LAYERS

__all__ = ["Exchange", "exchange"]

#: In a file's name, between the network that was exported and the runtime that wrote it.
FROM = ".from."
#: Under which keys a trial records files.
PREFIX = recorded.FILE
#: The scenario in which a reader is asked for what its mode asks for.
SCENARIOS = {Asks.PREDICTION: Scenario.PREDICT_ONLY, Asks.GRADIENT: Scenario.GRADIENT}
#: What is read then: whether statistics move, and when, other cells ask about the same readers.
READINGS = {Asks.PREDICTION: ("undisturbed", LAYERS), Asks.GRADIENT: ("undisturbed",)}
#: How an export may have ended that left a file.
LEFT = (Status.OK, Status.CRASHED)


@dataclass
class Exchange:
    """What came of the second stage.

    plan: the readers' cells. files: id of an export cell -> the network in its file. unreadable: id of an export cell
    -> why its file is none. exporters: name of such a network -> the cells that wrote it, in the plan's order.
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
    journal: Journal,
    settings: Settings,
    progress: Progress,
) -> Exchange:
    """Hand the files of the first stage's exports to their readers, and enter in `measured` what these did with them.

    The readers are, of each `selected` runtime, the newest release that has modes for files. Modes, scenarios and, by
    the networks that were exported, networks are those that are `wanted`.
    """
    found = Exchange()
    for planned in plan:
        if Asks(planned.mode.asks) is Asks.EXPORT:
            _collect(found, planned, _content(journal, measured, planned.cell.id))
    readers = _readers(selected)
    for exporters in found.exporters.values():
        network = found.files[exporters[0].cell.id]
        refusal = _refusal(network)
        for planned in (cell for target in readers for cell in _cells(target, network, wanted)):
            found.plan.append(planned)
            if refusal is not None and planned.mode.name == GRADIENT:
                measured.statuses[planned.cell.id] = (Status.REFUSED, refusal, "")
    asked = [planned for planned in found.plan if planned.cell.id not in measured.statuses]
    if asked:
        measured.add(measure(asked, journal, settings, progress))
    return found


def _collect(found: Exchange, planned: Planned, content: bytes | None) -> None:
    if content is None:
        return
    name = f"{planned.network.name}{FROM}{planned.cell.runtime}.{digest_of(content)}"
    try:
        known = found.exporters.get(name)
        network = found.files[known[0].cell.id] if known else written_network(content, name, planned.network)
    except NetworkError as problem:
        found.unreadable[planned.cell.id] = str(problem)
        return
    found.files[planned.cell.id] = network
    found.exporters.setdefault(name, []).append(planned)


def _content(journal: Journal, measured: Measured, cell: str) -> bytes | None:
    """The first ONNX file that a trial of the cell left. Trials write the same, or the cell is `unrepeatable`."""
    for record in journal.records(measured.keys.get(cell, ())):
        if record.status in LEFT:
            for key, value in record.observation().arrays.items():
                if key.startswith(PREFIX):
                    return value.tobytes()
    return None


def _refusal(network: Network) -> str | None:
    """Why crosscheck's pass gives no gradient of the file; None where it does."""
    try:
        file_gradient(network)
    except NetworkError as problem:
        return f"crosscheck writes no gradient of this file: {problem}"
    return None


def _readers(targets: Sequence[Target]) -> list[Target]:
    """The newest of each runtime's targets that has modes for files, as installed where that one has."""

    def rank(target: Target) -> tuple[Version, bool]:
        return Version(target.release.version), target.variant.name == "plain"

    newest: dict[str, Target] = {}
    for target in targets:
        if any(mode_wanted(mode, target, Wanted()) for mode in target.runtime.modes if reads_files(mode)):
            known = newest.get(target.runtime.name)
            if known is None or rank(target) > rank(known):
                newest[target.runtime.name] = target
    return list(newest.values())


def _cells(target: Target, network: Network, wanted: Wanted) -> Iterator[Planned]:
    """One trial a reading: that trials agree is seen where the same release is asked about networks of crosscheck's."""
    origin, _, _ = network.name.partition(FROM)
    if spared(target, origin, wanted):
        return
    for mode in target.runtime.modes:
        if not reads_files(mode) or not mode_wanted(mode, target, wanted):
            continue
        scenario = SCENARIOS[Asks(mode.asks)]
        if not wanted.scenarios or any(fnmatchcase(scenario, pattern) for pattern in wanted.scenarios):
            yield planned_cell(target, mode, network, scenario, READINGS[Asks(mode.asks)], trials=1)
