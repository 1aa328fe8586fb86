"""Options that several commands have."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a mistyped word is refused before onnx is imported
    from crosscheck.onnx_models.file_options import FileOptions
    from crosscheck.progress import Shown


__all__ = ["add_file_options", "add_out", "add_progress", "add_run", "add_trust", "file_options", "shown"]

#: The folder of a run, where none is named.
FOLDER = Path("crosscheck-out")


def add_out(parser: argparse.ArgumentParser, what: str, metavar: str = "DIR") -> None:
    """`--out`; `what` says what the folder is for."""
    parser.add_argument("--out", type=Path, default=FOLDER, metavar=metavar, help=f"{what} (default {FOLDER})")


def add_run(parser: argparse.ArgumentParser) -> None:
    """The folder of a run, by its place."""
    parser.add_argument(
        "run", nargs="?", type=Path, default=FOLDER, metavar="RUN", help=f"the folder of the run (default {FOLDER})"
    )


def add_file_options(parser: argparse.ArgumentParser) -> None:
    """What `file_options` reads."""
    parser.add_argument(
        "--shape",
        action="append",
        default=[],
        metavar="INPUT=SIZES",
        help="the input of a network file has these sizes, batch first, as in x=1,3,224,224; repeatable",
    )
    parser.add_argument(
        "--batch", type=int, metavar="N", help="rows of the input of a network file (default: the file's, or 4)"
    )
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="FILE",
        help="values of a network file's inputs: an .npz by name, an .npy, or pictures, a row each; repeatable",
    )
    parser.add_argument(
        "--output", metavar="NAME", help="the output of a network file that is differentiated (default: the first)"
    )
    parser.add_argument(
        "--cotangent",
        type=int,
        metavar="CLASS",
        help="differentiate this number of each row of the output alone (default: all of them, with different weights)",
    )
    add_trust(parser)


def add_progress(parser: argparse.ArgumentParser) -> None:
    """`--progress` and `--quiet`, which `shown` reads."""
    parser.add_argument(
        "--progress",
        choices=("auto", "lines", "json", "none"),
        default="auto",
        help="bars, lines, or JSON objects for programs (default: bars on a terminal, lines elsewhere)",
    )
    parser.add_argument("--quiet", "-q", action="store_true", help="print nothing but problems")


def shown(parsed: argparse.Namespace) -> Shown:
    """How the progress is shown."""
    from crosscheck.progress import Shown

    return Shown.NONE if parsed.quiet and parsed.progress != "json" else Shown(parsed.progress)


def add_trust(parser: argparse.ArgumentParser) -> None:
    """`--trust`."""
    parser.add_argument(
        "--trust", action="store_true", help="let the runtime of a network file run code that is in it, as in a pickle"
    )


def file_options(parsed: argparse.Namespace) -> FileOptions:
    """The options of a network file. Raises UsageError for a text that is no shape, and for numbers out of range."""
    from crosscheck.onnx_models.file_options import FileOptions

    return FileOptions.parsed(parsed.shape, parsed.batch, parsed.input, parsed.output, parsed.cotangent, parsed.trust)
