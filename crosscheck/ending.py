"""How a command ends: exit codes, the message of a failure, and signals that let it clear up first."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from rich.console import Console

import crosscheck
from crosscheck.errors import CrosscheckError, RuntimeLeftOut, UsageError, remedy_of
from crosscheck.terminal import printable

__all__ = ["FAILURE", "INCOMPLETE", "INTERRUPTED", "OK", "USAGE", "WORSE", "ended"]

OK, WORSE, USAGE, FAILURE, INCOMPLETE, INTERRUPTED = 0, 1, 2, 3, 4, 130
#: Added to the number of the signal that ended a command, as shells do.
SIGNALLED = 128
#: Paths that cannot be used: they are the user's, as a command opens no others that can be lacking.
UNUSABLE = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG,
)  # fmt: skip
#: This environment variable shows the traceback of an unexpected failure.
DEBUG = "CROSSCHECK_DEBUG"


class _Signalled(BaseException):
    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def ended(command: Callable[[], int], words: Sequence[str]) -> int:
    """Run a command; the exit code, after one message on standard error if it failed. `words`: as the user typed it."""
    errors = Console(stderr=True)

    def say(text: str) -> None:
        errors.print(printable(f"crosscheck: {text}"), soft_wrap=True)

    def show(message: Warning | str, *about: object, **more: object) -> None:
        say(str(message))

    try:
        with _signals_raise(), warnings.catch_warnings():
            warnings.filterwarnings("default", category=RuntimeLeftOut)
            warnings.showwarning = show
            return command()
    except UsageError as mistake:
        say(str(mistake))
        return USAGE
    except CrosscheckError as failure:
        say(str(failure))
        return FAILURE
    except KeyboardInterrupt:
        say("interrupted; run the same command to resume.")
        return INTERRUPTED
    except _Signalled as ending:
        say(f"ended by {signal.Signals(ending.number).name}; run the same command to resume.")
        return SIGNALLED + ending.number
    except BrokenPipeError:
        sys.stderr.close()  # the reader of standard output has exited (`| head`); prevents Python's error at exit
        return OK
    except OSError as problem:
        where = problem.filename if isinstance(problem.filename, str | os.PathLike) else "a file"
        why = f"{where}: {problem.strerror or problem}"
        if problem.errno in UNUSABLE:
            say(f"{why}. Name another place, or change its permissions.")
            return USAGE
        say(f"{why}. {remedy_of(problem)} and run the same command again.")
        return FAILURE
    except Exception as problem:
        if os.environ.get(DEBUG):
            traceback.print_exc()
        say(
            f"unexpected failure of `{shlex.join(['crosscheck', *words])}`: {type(problem).__name__}: {problem}"
            f"{_place(problem)}. This is a defect of crosscheck, please report it; {DEBUG}=1 shows the traceback."
        )
        return FAILURE


def _place(problem: BaseException) -> str:
    """The innermost line of crosscheck's own code."""
    root = Path(crosscheck.__file__).parent
    own = [frame for frame in traceback.extract_tb(problem.__traceback__) if Path(frame.filename).is_relative_to(root)]
    return f" (in {Path(own[-1].filename).relative_to(root)}, line {own[-1].lineno})" if own else ""


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """SIGTERM, SIGHUP and SIGQUIT raise, once, unless ignored, so that servers, folders and cursor are cleared up."""
    numbers = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
        if signal.getsignal(number) is signal.SIG_DFL
    ]

    def end(number: int, frame: FrameType | None) -> None:
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        raise _Signalled(number)

    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
