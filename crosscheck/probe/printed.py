"""What native code prints while it works, for runtimes that say why they refuse on standard output alone."""

import contextlib
import ctypes
import os
import re
from typing import Iterator

#: What changes from one run to the next, or only colours.
NOISE = re.compile(r"\x1b\[[0-9;]*m|\[[0-9]{2}:[0-9]{2}:[0-9]{2}\] \S* ")


class Printed:
    """The text that has been printed since it was made."""

    def __init__(self) -> None:
        self.start = os.lseek(2, 0, os.SEEK_END)

    def __str__(self) -> str:
        ctypes.CDLL(None).fflush(None)
        with open("/dev/fd/2", "rb") as file:
            file.seek(self.start)
            text = file.read().decode("utf-8", "replace")
        return " ".join(NOISE.sub("", text).split())


@contextlib.contextmanager
def printed() -> Iterator[Printed]:
    """Have all that is printed go to standard error, a file in a trial: it can be read there, after a crash, too."""
    ctypes.CDLL(None).fflush(None)
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        yield Printed()
    finally:
        ctypes.CDLL(None).fflush(None)
        os.dup2(stdout, 1)
        os.close(stdout)
