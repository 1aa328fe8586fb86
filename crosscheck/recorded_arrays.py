"""Writes the arrays of a run under `arrays/`: an .npz per cell, and large arrays that cells have in common once.

A user's network has one, too, of its input and of the float64 answers. `crosscheck.report.arrays` reads them.

A member `shared` of an .npz, where it has one, lists its large arrays: rows of a key and a file relative to `arrays/`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from crosscheck.cells import Array, Asks, Intent, Observation
from crosscheck.judge import Truth
from crosscheck.matrix.plan import Planned
from crosscheck.networks.prepare import write_arrays
from crosscheck.report.arrays import INPUT, PREDICTION, SHARED, reference_file, reference_gradient

__all__ = ["LARGE", "RecordedArrays"]

#: Bytes from which an array has a file of its own. Those of the shipped networks' layers have fewer.
LARGE = 1 << 14
FOLDER = "shared"


class RecordedArrays:
    """The folder `arrays/` of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self._stale = {*folder.glob("**/*.npz"), *folder.glob(f"{FOLDER}/*")}

    def keep(self, planned: Planned, observation: Observation) -> Path:
        """Write the arrays of a cell's trial; returns the .npz."""
        cell = planned.cell
        path = self.folder / planned.target.id / f"{cell.mode}--{cell.network}--{cell.scenario}.npz"
        self._write(path, observation.arrays)
        return path

    def keep_reference(self, truth: Truth) -> None:
        """Write the input of a user's network, its prediction and both gradients."""
        arrays = {INPUT: truth.network.x, PREDICTION: truth.answer(Asks.PREDICTION, training=False)}
        for intent in Intent:
            arrays[reference_gradient(intent)] = truth.answer(Asks.GRADIENT, intent is Intent.TRAINING)
        self._write(self.folder / reference_file(truth.network.name), arrays)

    def remove_stale(self) -> None:
        """Delete the files of earlier runs that this one has not written."""
        for path in self._stale:
            path.unlink()

    def _write(self, path: Path, every: Mapping[str, Array]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        large = {key: value for key, value in every.items() if value.nbytes >= LARGE}
        arrays = {key: value for key, value in every.items() if key not in large}
        if large:
            files: dict[int, str] = {}  # by identity: equal arrays of a trial are one object
            for value in large.values():
                if id(value) not in files:
                    files[id(value)] = self._share(value)
            arrays[SHARED] = np.array([(key, files[id(value)]) for key, value in large.items()])
        write_arrays(path, arrays)
        self._stale.discard(path)

    def _share(self, value: Array) -> str:
        """The file of a large array, relative to the folder; written unless it is there."""
        digest = hashlib.sha256(f"{value.dtype.str} {value.shape}\n".encode())
        digest.update(np.ascontiguousarray(value).data)
        path = self.folder / FOLDER / f"{digest.hexdigest()[:32]}.npy"
        self._stale.discard(path)
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            # Renamed once complete: a killed run may leave a partial file.
            unfinished = path.with_suffix(".unfinished")
            with unfinished.open("wb") as file:
                np.lib.format.write_array(file, value, version=(1, 0), allow_pickle=False)
            unfinished.replace(path)
        return f"{FOLDER}/{path.name}"
