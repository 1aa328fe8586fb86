"""Stores exported ONNX files under `files/` and fills the `exported` field of the cells that wrote or read them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crosscheck.cells import Asks, Intent, Observation
from crosscheck.judge import Exported, FileTruth, Judgement, Origin, Truth, exported
from crosscheck.matrix.exchange import Exchange
from crosscheck.matrix.plan import Planned
from crosscheck.networks import Network

__all__ = ["ExportedFiles"]

FOLDER = "files"


class ExportedFiles:
    """The files of one run, written to `out/files`, and the reference of every network of its plan.

    truths: the references that are known before, by network.
    """

    def __init__(self, out: Path, plan: Sequence[Planned], exchange: Exchange, truths: Mapping[Network, Truth]) -> None:
        self.out, self.exchange = out, exchange
        exported = {network.name: network for network in exchange.files.values()}
        self._files = {name: FileTruth(network) for name, network in exported.items()}
        self.truths: dict[Network, Truth] = {exported[name]: truth for name, truth in self._files.items()}
        self.truths |= truths
        for network in {planned.network for planned in plan if planned.network.file is None} - self.truths.keys():
            self.truths[network] = Truth.of(network)

    def exported(self, planned: Planned, observations: Sequence[Observation], judgement: Judgement) -> Exported | None:
        """The `exported` field of a cell; None for a cell that neither writes nor reads a file."""
        if Asks(planned.mode.asks) is Asks.EXPORT:
            network, unreadable = (
                self.exchange.files.get(planned.cell.id),
                self.exchange.unreadable.get(planned.cell.id),
            )
            if network is not None:
                return exported(self._files[network.name], self._place(network.name))
            return Exported(None, refusal=unreadable) if planned.mode.file or unreadable else None
        name = planned.network.name
        if name not in self._files:
            return None
        return exported(
            self._files[name],
            self._place(name),
            Asks(planned.mode.asks),
            next(iter(observations), None),
            judgement.first_layer,
            [_origin(exporter) for exporter in self.exchange.exporters[name]],
        )

    def words(self, planned: Planned) -> list[str]:
        """The arguments of `crosscheck run` that measure a reader's cell, through the first export of its file.

        Empty for cells of the first stage.
        """
        if planned.network.name not in self._files:
            return []
        exporter, cell = self.exchange.exporters[planned.network.name][0], planned.cell
        targets = dict.fromkeys((exporter.target.id, planned.target.id))
        options = ["--mode", exporter.cell.mode, "--mode", cell.mode, *exporter.network.words]
        return [*targets, *options, "--scenario", exporter.cell.scenario.value, "--scenario", cell.scenario.value]

    def depends_on(self, planned: Planned) -> Any:
        """What the `exported` field of a cell depends on beside its trials, as JSON types."""
        if Asks(planned.mode.asks) is Asks.EXPORT:
            network = self.exchange.files.get(planned.cell.id)
            return [None if network is None else network.digest, self.exchange.unreadable.get(planned.cell.id)]
        if planned.network.name not in self._files:
            return None
        exporters = self.exchange.exporters[planned.network.name]
        return [[cell.cell.id, cell.network.digest, dataclasses.asdict(cell.mode)] for cell in exporters]

    def _place(self, name: str) -> str:
        return f"{FOLDER}/{name}.onnx"

    def keep(self) -> None:
        """Write the files, and delete those of an earlier run."""
        folder = self.out / FOLDER
        stale = set(folder.glob("*.onnx"))
        for name, truth in self._files.items():
            folder.mkdir(exist_ok=True)
            assert truth.network.file is not None
            path = self.out / self._place(name)
            path.write_bytes(truth.network.file.content)
            stale.discard(path)
        for path in stale:
            path.unlink()


def _origin(exporter: Planned) -> Origin:
    network = exporter.network
    weights = Truth.of(network).in_mode(exporter.mode).network.weights
    return Origin(exporter.cell.id, network, weights, Intent(exporter.mode.intent) is Intent.TRAINING)
