"""Stores exported ONNX files under `files/` and fills the `exported` field of the cells that wrote or read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crosscheck.cells import Asks, Cell, Intent, Observation
from crosscheck.exchange.attribution import Origin, exported
from crosscheck.exchange.stage import Exchange
from crosscheck.judge import FileTruth, Truth
from crosscheck.matrix.plan import Planned
from crosscheck.networks import Network
from crosscheck.records import Exported, Judgement
from crosscheck.runtimes.mode import Mode
from crosscheck.whole_files import whole

__all__ = ["ExportedFiles"]

FOLDER = "files"


@dataclass(frozen=True)
class _Exporter:
    """A cell that wrote a file."""

    cell: Cell
    mode: Mode
    network: Network


class ExportedFiles:
    """The files of one run, in `out/files`, and the reference of every network of its plan.

    truths: the references that are known before, by network.
    """

    def __init__(self, out: Path, plan: Sequence[Planned], exchange: Exchange, truths: Mapping[Network, Truth]) -> None:
        self.out = out
        self._written, self._unreadable = exchange.files, exchange.unreadable
        self._exporters = {
            name: [_Exporter(cell.cell, cell.mode, cell.network) for cell in cells]
            for name, cells in exchange.exporters.items()
        }
        exported = {network.name: network for network in exchange.files.values()}
        self._files = {name: FileTruth(network) for name, network in exported.items()}
        self.truths: dict[Network, Truth] = {exported[name]: truth for name, truth in self._files.items()}
        self.truths |= truths
        for network in {planned.network for planned in plan if planned.network.file is None} - self.truths.keys():
            self.truths[network] = Truth.of(network)

    def exported(
        self, cell: Cell, mode: Mode, network: Network, observations: Sequence[Observation], judgement: Judgement
    ) -> Exported | None:
        """The `exported` field of a cell; None for a cell that neither writes nor reads a file."""
        if Asks(mode.asks) is Asks.EXPORT:
            written, unreadable = self._written.get(cell.id), self._unreadable.get(cell.id)
            if written is not None:
                return exported(self._files[written.name], self._place(written.name))
            return Exported(None, refusal=unreadable) if mode.file or unreadable else None
        if network.name not in self._files:
            return None
        return exported(
            self._files[network.name],
            self._place(network.name),
            Asks(mode.asks),
            next(iter(observations), None),
            judgement.first_layer,
            [_origin(exporter) for exporter in self._exporters[network.name]],
        )

    def words(self, cell: Cell, network: Network) -> list[str]:
        """The arguments of `crosscheck run` that measure a reader's cell, through the first export of its file.

        Empty for cells of the first stage.
        """
        if network.name not in self._files:
            return []
        exporter = self._exporters[network.name][0]
        targets = dict.fromkeys((exporter.cell.target, cell.target))
        options = ["--mode", exporter.cell.mode, "--mode", cell.mode, *exporter.network.words]
        return [*targets, *options, "--scenario", exporter.cell.scenario.value, "--scenario", cell.scenario.value]

    def depends_on(self, cell: Cell, mode: Mode, network: Network) -> Any:
        """What the `exported` field of a cell depends on beside its trials, as JSON types."""
        if Asks(mode.asks) is Asks.EXPORT:
            written = self._written.get(cell.id)
            return [None if written is None else written.digest, self._unreadable.get(cell.id)]
        exporters = self._exporters.get(network.name, ())
        return [[exporter.cell.id, exporter.network.digest, asdict(exporter.mode)] for exporter in exporters]

    def _place(self, name: str) -> str:
        return f"{FOLDER}/{name}.onnx"

    def keep(self) -> None:
        """Write the files."""
        for name, truth in self._files.items():
            assert truth.network.file is not None
            path = self.out / self._place(name)
            path.parent.mkdir(exist_ok=True)
            with whole(path) as unfinished:
                unfinished.write_bytes(truth.network.file.content)

    @property
    def paths(self) -> set[Path]:
        """All files of the run."""
        return {self.out / self._place(name) for name in self._files}


def _origin(exporter: _Exporter) -> Origin:
    weights = Truth.of(exporter.network).in_mode(exporter.mode).network.weights
    return Origin(exporter.cell.id, exporter.network, weights, Intent(exporter.mode.intent) is Intent.TRAINING)
