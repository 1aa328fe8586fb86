"""Writes the arrays of a run under `arrays/`: an .npz per cell, and large arrays that cells have in common once.

A user's network has one, too, of its input and of the float64 answers. `crosscheck.report.arrays` reads them.

A member `shared` of an .npz, where it has one, lists its large arrays: rows of a key and a file relative to `arrays/`.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from crosscheck.cells import Array, Asks, Cell, Intent, Observation
from crosscheck.judge import Truth
from crosscheck.networks.prepare import write_arrays
from crosscheck.report.arrays import INPUT, PREDICTION, SHARED, reference_file, reference_gradient
from crosscheck.whole_files import whole

__all__ = ["LARGE", "RecordedArrays"]

#: Bytes from which an array has a file of its own. Those of the shipped networks' layers have fewer.
LARGE = 1 << 14
#: Bytes from which an array is compressed: a small one gains little, and costs most of the time to write it.
WORTH_PACKING = 4096
FOLDER = "shared"
#: Characters of a trial's digest in a file's name.
STAMP = 8


class RecordedArrays:
    """The folder `arrays/` of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, cell: Cell, observation: Observation, stamp: str) -> dict[str, int]:
        """Write the arrays of a cell's trial, unless they are there.

        Returns the bytes of each file by its name relative to the run's folder, the .npz first.
        stamp: a digest of what the trial recorded: files of other trials of that cell have other names.
        """
        path = self._place(cell, stamp)
        shared = self._shared(path)
        if shared is None:
            shared = self._write(path, observation.arrays)
        return self._sizes([path, *shared])

    def keep_same(self, cell: Cell, stamp: str, files: Mapping[str, int]) -> dict[str, int] | None:
        """Keep the arrays of a cell whose trial recorded the same as another one, for which `keep` returned `files`.

        The .npz is a link to the other one's, as nothing ever writes into a file that is there. None where that cannot
        be, such as on a file system without links.
        """
        (first, size), *shared = files.items()
        path, other = self._place(cell, stamp), self.folder.parent / first
        if not self.has(files):
            return None
        if _size(path) != size:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with whole(path) as unfinished:
                    os.link(other, unfinished)
            except OSError:
                return None
        return {self._name(path): size, **dict(shared)}

    def _place(self, cell: Cell, stamp: str) -> Path:
        return self.folder / cell.target / f"{cell.mode}--{cell.network}--{cell.scenario}--{stamp[:STAMP]}.npz"

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.folder.parent))

    def keep_reference(self, truth: Truth) -> dict[str, int]:
        """Write the input of a user's network, its prediction and both gradients; returns the files like `keep`."""
        arrays = {INPUT: truth.network.x, PREDICTION: truth.answer(Asks.PREDICTION, training=False)}
        for intent in Intent:
            arrays[reference_gradient(intent)] = truth.answer(Asks.GRADIENT, intent is Intent.TRAINING)
        path = self.folder / reference_file(truth.network.name)
        return self._sizes([path, *self._write(path, arrays)])

    def has(self, files: Mapping[str, int]) -> bool:
        """Whether all files that `keep` returned are there, with their sizes."""
        return all(_size(self.folder.parent / name) == size for name, size in files.items())

    def _sizes(self, paths: Iterable[Path]) -> dict[str, int]:
        return {self._name(path): path.stat().st_size for path in paths}

    def _shared(self, path: Path) -> list[Path] | None:
        """The files of the large arrays of an .npz; None if it or one of these is missing or damaged."""
        try:
            # Opened here, since NumPy leaves a damaged file open.
            with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
                names = file[SHARED] if SHARED in file.files else []
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return None
        shared = [self.folder / str(name) for _, name in names]
        return shared if all(map(_is_whole, shared)) else None

    def _write(self, path: Path, every: Mapping[str, Array]) -> list[Path]:
        """Write an .npz, and its large arrays, whose files are returned."""
        path.parent.mkdir(parents=True, exist_ok=True)
        large = {key: value for key, value in every.items() if value.nbytes >= LARGE}
        arrays = {key: value for key, value in every.items() if key not in large}
        files: dict[int, str] = {}  # by identity: equal arrays of a trial are one object
        if large:
            for value in large.values():
                if id(value) not in files:
                    files[id(value)] = self._share(value)
            arrays[SHARED] = np.array([(key, files[id(value)]) for key, value in large.items()])
        with whole(path) as unfinished, unfinished.open("wb") as file:
            write_arrays(file, arrays, WORTH_PACKING)
        return [self.folder / name for name in files.values()]

    def _share(self, value: Array) -> str:
        """The file of a large array, relative to the folder; written unless it is there."""
        digest = hashlib.sha256(f"{value.dtype.str} {value.shape}\n".encode())
        digest.update(np.ascontiguousarray(value).data)
        path = self.folder / FOLDER / f"{digest.hexdigest()[:32]}.npy"
        if not _is_whole(path):
            path.parent.mkdir(exist_ok=True)
            with whole(path) as unfinished, unfinished.open("wb") as file:
                np.lib.format.write_array(file, value, version=(1, 0), allow_pickle=False)
        return f"{FOLDER}/{path.name}"


def _is_whole(path: Path) -> bool:
    """Whether an .npy is there and as long as its head says."""
    try:
        np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return False
    return True


def _size(path: Path) -> int | None:
    """Bytes of a file; None if it cannot be looked at."""
    try:
        return path.stat().st_size
    except OSError:
        return None
