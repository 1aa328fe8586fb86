"""Writes an observation as it happens, so that a crash keeps what came before it."""

import contextlib
import errno
import hashlib
import json
import os
import time
from typing import IO, Any, Callable, Dict, Iterator, Tuple

import numpy as np

from crosscheck.probe.adapter import Array

MESSAGE_LIMIT = 4000  # characters of a runtime's message that are kept
#: Errors of the machine, not of the runtime: a full disk or quota, no file or memory left, a broken disk.
LACKING = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EIO))
#: The exit code of a trial that the machine kept from recording: EX_TEMPFAIL of sysexits.h.
EXIT_LACKING = 75


class MachineLacks(BaseException):
    """The machine does not take what is to be recorded. No `except Exception` takes it for the runtime's exception."""


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
        with machine_errors():
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

    def attempt(self, label: str, action: Callable[[], Any]) -> Tuple[bool, Any]:
        """The same for an action that may raise: whether it did not, and what it returned."""
        try:
            return True, self.step(label, action)
        except StepFailed:
            return False, None

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
            self._write(self.arrays, data)
            self.offsets[digest] = self.end
            self.end += len(data)
        self._line(self.keys, [key, numbers.dtype.str, numbers.shape, self.offsets[digest]])

    def close(self) -> None:
        """Nothing can be recorded any more."""
        self.steps.close()
        self.keys.close()
        self.arrays.close()

    def _line(self, file: IO[str], value: Any) -> None:
        self._write(file, json.dumps(value) + "\n")

    @staticmethod
    def _write(file: Any, content: Any) -> None:
        with machine_errors():
            file.write(content)
            file.flush()


@contextlib.contextmanager
def machine_errors() -> Iterator[None]:
    """Raises MachineLacks for an error of the machine."""
    try:
        yield
    except OSError as problem:
        if problem.errno in LACKING:
            raise MachineLacks(str(problem))
        raise


def message(problem: BaseException) -> str:
    """An exception as one text, cut to what a report can show."""
    return "{}: {}".format(type(problem).__name__, problem)[:MESSAGE_LIMIT]
