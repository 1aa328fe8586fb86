"""Feeds changed inputs of a corpus to what reads files from strangers, and prints what should not have happened.

    uv run python -m tests.fuzz.campaign [TARGET ...] [--inputs N] [--first N] [--seed N] [--keep DIR]
    uv run python -m tests.fuzz.campaign --hostile [TARGET ...] [--keep DIR]
    uv run --group fuzz python -m tests.fuzz.campaign TARGET --guided [--inputs N]

Targets are in `tests.fuzz.targets`. An input is one of the corpus with one to four random changes; its number and the
seed decide them, so that `--first N --inputs 1` repeats one. Each batch runs in a process of its own. Printed are
exceptions that a target does not document, inputs over 10 s of the processor's time, those over 1 GB of memory, and
processes that a signal ended (SIGVTALRM: an input of more than 30 s in a library's code): once for each place in the
code, with their number and the first input, which `--keep` writes to a folder. `--hostile` feeds the files of
`tests.fuzz.hostile`, in their order. `--guided` chooses inputs by the branches that they reach, with atheris, until the
first exception.
The exit code is 1 if anything was printed.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import mmap
import os
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import NoReturn

from tests.fuzz.hostile import hostile_files
from tests.fuzz.targets import TARGETS, Target

#: Limits of one input: seconds of the processor's time, bytes beyond those of the process.
SECONDS, MEMORY = 10.0, 2**30
#: Seconds after which the system ends a process whose input Python cannot interrupt, as it is in a library's code.
ENDLESS = 30.0
#: Inputs of a process.
BATCH = 500


#: The input of a number.
Content = Callable[[int], bytes]


class _TooLong(BaseException):
    """An input took more than `SECONDS`; no target may catch it."""


def input_of(target: Target, seeds: list[bytes], seed: int, number: int) -> bytes:
    """The input of a number."""
    draw = random.Random(f"{seed}:{number}")  # noqa: S311
    return target.mutate(draw.choice(seeds), draw)


def fault(target: Target, content: bytes, folder: Path) -> str | None:
    """What should not have happened, with its place; None if all went well."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        target.run(content, folder)
    except target.allowed:
        pass
    except _TooLong as problem:
        return f"over {SECONDS:.0f} s: {_place(problem)}"
    except Exception as problem:
        return f"{type(problem).__name__}: {_place(problem)}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    taken = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    return f"over {MEMORY >> 30} GB" if taken > MEMORY else None


def _place(problem: BaseException) -> str:
    """The last line of crosscheck's code that the exception passed."""
    frames = [frame for frame in traceback.extract_tb(problem.__traceback__) if "/crosscheck/" in frame.filename]
    where = frames[-1] if frames else traceback.extract_tb(problem.__traceback__)[-1]
    return f"{where.filename.rpartition('/crosscheck/')[2]}:{where.lineno}: {where.line}"


def campaign(name: str, content_of: Content, numbers: range) -> tuple[Counter[str], dict[str, int]]:
    """Run inputs of these numbers; how often each fault was seen, and its first input."""
    target, seen, firsts = TARGETS[name], Counter[str](), dict[str, int]()
    number, end = numbers.start, numbers.stop
    progress = mmap.mmap(-1, 8)
    with tempfile.TemporaryDirectory() as scratch:
        faults = Path(scratch) / "faults"
        while number < end:
            faults.write_text("")
            process = os.fork()
            if not process:
                _batch(target, content_of, range(number, min(end, number + BATCH)), progress, Path(scratch), faults)
            _, status = os.waitpid(process, 0)
            (reached,) = struct.unpack("q", progress)
            found = [line.split("\t", 1) for line in faults.read_text().splitlines()]
            if os.WIFSIGNALED(status):
                found.append([str(reached), f"ended by {signal.Signals(os.WTERMSIG(status)).name}"])
            for place, text in found:
                seen[text] += 1
                firsts.setdefault(text, int(place))
            number = reached + 1
    return seen, firsts


def _batch(
    target: Target, content_of: Content, numbers: range, progress: mmap.mmap, scratch: Path, faults: Path
) -> NoReturn:
    """Run a few inputs and end the process; the last one before it is in `progress`, faults are in a file."""

    def late(*_: object) -> NoReturn:
        raise _TooLong

    signal.signal(signal.SIGPROF, late)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    with tempfile.TemporaryDirectory(dir=scratch) as folder, faults.open("a") as file:
        for number in numbers:
            progress[:] = struct.pack("q", number)
            signal.setitimer(signal.ITIMER_VIRTUAL, ENDLESS)
            if text := fault(target, content_of(number), Path(folder)):
                file.write(f"{number}\t{text}\n")
                file.flush()
                if text.startswith("over"):  # the next is measured from a small process
                    break
    os._exit(0)


def guided(name: str, inputs: int) -> NoReturn:
    """Let atheris choose the inputs; ends the process, at the first exception or after so many."""
    import atheris  # in the dependency group `fuzz`

    target, folder = TARGETS[name], tempfile.mkdtemp()

    def mutate(content: bytes, most: int, seed: int) -> bytes:
        return target.mutate(content, random.Random(seed))[:most]  # noqa: S311

    def run(content: bytes) -> None:
        with contextlib.suppress(*target.allowed):
            target.run(content, Path(folder))

    for function in gc.get_objects():  # `atheris.instrument_all` takes minutes for those of all packages
        if isinstance(function, FunctionType) and str(function.__module__).startswith("crosscheck."):
            atheris.instrument_func(function)
    corpus = str(Path(__file__).with_name("corpus") / target.corpus)
    found = tempfile.mkdtemp()
    words = [f"-runs={inputs}", "-max_len=65536", "-timeout=60", "-rss_limit_mb=4096", f"-artifact_prefix={found}/"]
    atheris.Setup([sys.argv[0], *words, found, corpus], run, custom_mutator=mutate)
    atheris.Fuzz()
    raise SystemExit(0)


def _hostile() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        return [path.read_bytes() for _, _, path in hostile_files(Path(folder))]


def main() -> int:
    """Run the campaigns and print what they saw."""
    parser = argparse.ArgumentParser(description="Changed inputs for what reads files from strangers.")
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--inputs", type=int, default=10_000, help="of each target (default 10000)")
    parser.add_argument("--first", type=int, default=0, help="the number of the first input")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a folder for the first input of each fault")
    parser.add_argument("--hostile", action="store_true", help="the files of tests.fuzz.hostile as inputs")
    parser.add_argument("--guided", action="store_true", help="let atheris choose the inputs of one target")
    parsed = parser.parse_args()
    if parsed.guided:
        guided(parsed.targets[0], parsed.inputs)
    hostile = _hostile() if parsed.hostile else []
    faults = 0
    for name in parsed.targets or TARGETS:
        target = TARGETS[name]
        content_of = (
            hostile.__getitem__ if hostile else functools.partial(input_of, target, target.seeds(), parsed.seed)
        )
        numbers = range(len(hostile)) if hostile else range(parsed.first, parsed.first + parsed.inputs)
        start = time.monotonic()
        seen, firsts = campaign(name, content_of, numbers)
        print(f"{name}: {len(numbers)} inputs, {seen.total()} faults in {time.monotonic() - start:.0f} s", flush=True)
        for text, count in seen.most_common():
            print(f"  {count:6}  input {firsts[text]}: {text}")
            if parsed.keep is not None:
                parsed.keep.mkdir(parents=True, exist_ok=True)
                (parsed.keep / f"{name}-{firsts[text]}").write_bytes(content_of(firsts[text]))
        faults += seen.total()
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
