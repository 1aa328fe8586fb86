"""Writes an observation as it happens, so that a crash keeps what came before it."""

import hashlib
import json
import os
import time
from typing import Any, Callable, Dict

import numpy as np

from crosscheck.probe.adapter import Array

MESSAGE_LIMIT = 4000  # characters of a runtime's message that are kept


class StepFailed(Exception):
    """A step raised; `problem` is the runtime's own exception."""

    def __init__(self, label: str, problem: BaseException) -> None:
        Exception.__init__(self, label)
        self.label = label
        self.problem = problem


class Recorder:
    """The observation of one trial, in `folder`: `steps.jsonl`, `keys.jsonl` and `arrays.bin`.

    The latter holds the arrays' numbers in C order, one array after the other; a line of `keys.jsonl` is
    [key, dtype as numpy spells it ("<f4"), shape, offset in `arrays.bin`]. Most tensors are the same in every snapshot:
    arrays with equal bytes are written once. A header per array, as in .npy, takes longer to read than the array.
    """

    def __init__(self, folder: str) -> None:
        self.steps = open(os.path.join(folder, "steps.jsonl"), "w")
        self.keys = open(os.path.join(folder, "keys.jsonl"), "w")
        self.arrays = open(os.path.join(folder, "arrays.bin"), "wb")
        self.offsets: Dict[bytes, int] = {}
        self.end = 0

    def step(self, label: str, action: Callable[[], Any]) -> Any:
        """Run `action`, record how long it took (seconds) and how it ended, return what it returned.

        A step is on record from its beginning, so that a crash can be told by the step it happened in.
        Raises StepFailed when the action raises.
        """
        self._line(self.steps, {"label": label, "begun": True})
        start = time.perf_counter()
        try:
            result = action()
        except Exception as problem:
            self._line(self.steps, {"label": label, "seconds": time.perf_counter() - start, "error": message(problem)})
            raise StepFailed(label, problem)
        self._line(self.steps, {"label": label, "seconds": time.perf_counter() - start})
        return result

    def flags(self, label: str, flags: Dict[str, bool]) -> None:
        """Record the runtime's global mode flags under `label`."""
        self._line(self.steps, {"label": label, "seconds": 0.0, "flags": flags})

    def array(self, key: str, value: Array) -> None:
        """Record one array; its dtype and shape are kept."""
        numbers = np.asarray(value)
        if numbers.dtype.hasobject:
            raise TypeError("{} is no array of numbers: {!r}".format(key, numbers.dtype))
        data = numbers.tobytes()
        digest = hashlib.blake2b(data, digest_size=16).digest()
        if digest not in self.offsets:
            self.arrays.write(data)
            self.arrays.flush()
            self.offsets[digest] = self.end
            self.end += len(data)
        self._line(self.keys, [key, numbers.dtype.str, numbers.shape, self.offsets[digest]])

    def close(self) -> None:
        """Nothing can be recorded any more."""
        self.steps.close()
        self.keys.close()
        self.arrays.close()

    @staticmethod
    def _line(file: Any, value: Any) -> None:
        file.write(json.dumps(value) + "\n")
        file.flush()


def message(problem: BaseException) -> str:
    """An exception as one text, cut to what a report can show."""
    return "{}: {}".format(type(problem).__name__, problem)[:MESSAGE_LIMIT]
