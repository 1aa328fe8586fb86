"""Reads the recorded arrays of a run: those of a cell, and the reference of a user's network."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from crosscheck.cells import Array
from crosscheck.records import JudgedCell

__all__ = ["INPUT", "PREDICTION", "SHARED", "Arrays", "reference_file", "reference_gradient"]

#: The folder of a run that has them, and the member of an .npz that lists large arrays: rows of a key and a file
#: relative to that folder.
FOLDER = "arrays"
SHARED = "shared"
#: Keys of a network's reference: the input as it is asked about, and the float64 prediction.
INPUT = "input"
PREDICTION = "prediction"


def reference_file(network: str) -> str:
    """The file of a network's reference, relative to the folder of arrays."""
    return f"{network}.npz"


def reference_gradient(intent: str) -> str:
    """The key of the float64 gradient: "inference" with the moving statistics, "training" with the batch's own."""
    return f"gradient/{intent}"


class Arrays:
    """The arrays in a run's folder; files that are missing or damaged have none."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = None if folder is None else folder.resolve()

    def of(self, cell: JudgedCell, keys: Sequence[str]) -> Mapping[str, Array]:
        """The arrays with these keys that the cell's first trial recorded."""
        return self._read(cell.arrays, keys)

    def reference(self, network: str, keys: Sequence[str]) -> Mapping[str, Array]:
        """The arrays with these keys in the reference of a user's network."""
        return self._read(f"{FOLDER}/{reference_file(network)}", keys)

    def _read(self, name: str | None, keys: Sequence[str]) -> Mapping[str, Array]:
        if self._folder is None or name is None:
            return {}
        try:
            # Opened here, since NumPy leaves a damaged file open.
            with self._inside(name).open("rb") as content, np.load(content, allow_pickle=False) as file:
                shared = {str(key): str(place) for key, place in file[SHARED]} if SHARED in file.files else {}
                small = {key: file[key] for key in keys if key in file.files}
            large = {key: self._inside(f"{FOLDER}/{shared[key]}") for key in keys if key in shared}
            return small | {key: np.load(path, allow_pickle=False) for key, path in large.items()}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return {}

    def _inside(self, name: str) -> Path:
        """The path of a file of the run. Raises ValueError for one outside of its folder."""
        assert self._folder is not None
        path = (self._folder / name).resolve()
        if not path.is_relative_to(self._folder):
            raise ValueError(f"{name} is outside the folder of the run")
        return path
