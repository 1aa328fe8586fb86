"""The command line: parses arguments, runs commands, prints messages."""

from __future__ import annotations

import argparse
import importlib
import io
import sys
from collections.abc import Sequence
from typing import NoReturn

from rich.console import Console

from crosscheck import __version__
from crosscheck.ending import ended
from crosscheck.errors import UsageError

__all__ = ["main"]

PIPE_WIDTH = 160

#: The commands, each a module of `crosscheck.commands`, and what `crosscheck --help` says of them.
COMMANDS = {
    "init": "write a commented crosscheck.toml, the file of a job",
    "run": "build the environments, run the matrix, write the report",
    "plan": "show what `run` would measure, and divide it into shards for several machines",
    "merge": "put the shards of a job together",
    "gradient": "write an ONNX model that also computes its input gradient",
    "inspect": "what a network file is, and what each runtime can be asked about it",
    "list": "list runtimes, releases, modes, networks or scenarios",
    "explain": "show the numbers, thresholds and contract behind a cell's findings",
    "script": "write a cell as a short program that needs only its runtime and numpy",
    "bisect": "the releases in which a finding begins and ends",
    "reduce": "the smallest network that still shows a finding, and its script",
    "expect": "write the findings of a run as expectations of the next ones",
    "report": "rebuild the report from cells.jsonl",
    "open": "open the report in the browser",
    "diff": "list changes between two runs; exits 1 if a cell got worse",
    "recipe": "list calls that compute a gradient and leave the network unchanged",
    "doctor": "list missing requirements of this machine, and how to install them",
    "lock": "for maintainers of a runtime's folder: resolve and pin the requirements of releases",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 ran to the end; 1 `diff` found something worse, or a run shows what is not expected (--expect), which outweighs 4;
    2 usage or bad input; 3 crosscheck's own failure; 4 some cells could not be measured because of a failure, or some
    network files were left out; 130 interrupted.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files and tensors may not fit the terminal's encoding
            stream.reconfigure(errors="backslashreplace")

    def command() -> int:
        parsed = _parser(words).parse_args(words)
        code: int = parsed.main(parsed, _console())
        return code

    return ended(command, words)


def _console() -> Console:
    """Standard output; outside a terminal, wide enough for the longest table rows."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_WIDTH)


class _Parser(argparse.ArgumentParser):
    """A parser with one-line errors."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}. `{self.prog} --help` shows the usage.")


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """A parser of these words: only the command that they name has arguments, since importing all takes a second."""
    parser = _Parser(
        prog="crosscheck",
        description="Finds runtimes that leak training-mode statistics when they compute an input gradient.",
    )
    parser.add_argument("--version", action="version", version=f"crosscheck {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, help in COMMANDS.items():
        command = commands.add_parser(name, help=help)
        if name in words[:1]:
            module = importlib.import_module(f"crosscheck.commands.{name}")
            module.arguments(command)
            command.set_defaults(main=module.main, words=words[1:])
    return parser
