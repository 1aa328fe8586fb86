"""The files of networks that trials read, written where they are needed."""

from __future__ import annotations

import shutil
from pathlib import Path

from crosscheck.cells import Trial
from crosscheck.errors import ProbeError
from crosscheck.matrix.plan import Planned, forms_for
from crosscheck.networks import Network, prepared
from crosscheck.networks.prepare import write_form

__all__ = ["NetworkFiles"]


class NetworkFiles:
    """The folders of the networks of a plan, in `folder`, each written when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written: set[Path] = set()

    def of(self, planned: Planned, trial: Trial) -> Path:
        """The folder of the network's files for the probe, with the ONNX forms of its modes.

        Of a large network, with those that a trial reads. Raises OSError, ProbeError.
        """
        network, target = planned.network, planned.target
        name = network.name + ".file" * (network.file is not None)
        folder = self.folder / target.runtime.name / (target.variant.extra or "") / name
        if folder not in self._written:
            shutil.rmtree(folder, ignore_errors=True)  # a full disk may have kept it from being written whole
            prepared(network, folder, () if network.large else forms_for(target))
            if target.runtime.reads in network.shipped:
                (folder / "native").mkdir()
                (folder / "native" / target.runtime.reads).symlink_to(network.shipped[target.runtime.reads].resolve())
            self._written.add(folder)
        parts = network.own.foreign.parts if network.own and network.own.foreign else {}
        as_they_are = {*parts, *network.shipped}
        for source in planned.work(trial)["program"]["sources"].values():
            for form in set(source["files"].values()) - as_they_are:
                self._provide(network, form, folder)
        return folder

    def _provide(self, network: Network, form: str, folder: Path) -> None:
        """Write a form of a large network. Raises ProbeError for what is missing: a trial would say it was refused."""
        if network.large and network.file is None:
            write_form(network, form, folder)
        if not (folder / f"{form}.onnx").exists():
            raise ProbeError(f"{network.name}: the form {form} was not written")
