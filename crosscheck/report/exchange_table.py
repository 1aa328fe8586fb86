"""The table of ONNX exchange: exporters by importers, each square with both errors and their attribution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crosscheck.cells import MEASURED, Asks, Status
from crosscheck.records import Exported, JudgedCell, Trip
from crosscheck.records.run import Run
from crosscheck.report.matrix import mode_anchor
from crosscheck.report.number_text import release_spans, scientific
from crosscheck.report.order import distinct, grouped, release_order, runtime_order, title_of
from crosscheck.report.vocabulary import status_word

__all__ = ["ExchangeTable", "Part", "Reader", "Row", "Square", "exchange"]

#: `fault` of a trip -> its text.
FAULTS = {
    "none": "right",
    "exporter": "wrong: the exporter",
    "importer": "wrong: the importer",
    "both": "wrong: both",
    "unknown": "wrong: cause unknown",
}
#: Text of a square without a measurement.
NOT_ASKED = "not in this run"
#: Maximum characters of a reason in the table; the cell has the full text.
REASON_LENGTH = 300
#: Tones from worst to best; the worst part determines the square.
_TONES = ("wrong", "unmeasured", "clean")


@dataclass(frozen=True)
class Reader:
    """A column: the importing runtime and release."""

    runtime: str
    title: str
    release: str


@dataclass(frozen=True)
class Part:
    """The result of one cell: prediction or gradient, with the mode if there are several.

    `target` is an HTML id; `error` is text, a dash for none.
    """

    what: str
    word: str
    tone: str
    error: str
    target: str
    reason: str = ""
    layer: str = ""


@dataclass(frozen=True)
class Square:
    """One export in one reader: its parts (none if not measured) and the worst part's word."""

    word: str
    tone: str
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Row:
    """Exports of one runtime and network with the same file and equal results in every reader.

    writers: (mode, its HTML id, releases as text). name, file: of the network in the file, and its path, or "".
    `without` is the reason for a missing file or for missing measurements.
    """

    network: str
    title: str
    writers: tuple[tuple[str, str, str], ...]
    name: str
    file: str
    opset: str
    foreign: str
    refusal: str
    without: str
    squares: tuple[Square, ...]


@dataclass(frozen=True)
class ExchangeTable:
    """Exporters by readers; `reasons` are the distinct reasons of readers without an answer."""

    readers: tuple[Reader, ...]
    rows: tuple[Row, ...]
    reasons: tuple[tuple[str, str], ...]


def exchange(run: Run, cells: Sequence[JudgedCell]) -> ExchangeTable | None:
    """Build the table; None for a run without exported or imported ONNX files."""
    exports = [cell for cell in cells if cell.exported and cell.asks == Asks.EXPORT]
    reads = [cell for cell in cells if cell.exported and cell.asks != Asks.EXPORT]
    if not exports or not reads:
        return None
    order = runtime_order(run, cells)
    readers = tuple(
        Reader(runtime, title_of(run, runtime), release)
        for runtime in order
        for release in release_order(run, reads, runtime)
    )
    squares = grouped(reads, lambda cell: (cell.network, cell.runtime, cell.release))
    exports_by_row: dict[Row, list[JudgedCell]] = {}
    for export in sorted(exports, key=lambda cell: order.index(cell.runtime)):
        file = export.exported
        assert file is not None, "only cells with `exported` are here"
        here = tuple(
            _square(export, squares.get((file.network or "", reader.runtime, reader.release), [])) for reader in readers
        )
        exports_by_row.setdefault(_row(run, export, file, here), []).append(export)
    rows = tuple(_named(run, row, concerned) for row, concerned in exports_by_row.items())
    reasons = {
        (f"{reader.title} {reader.release}, {part.what}", part.reason)
        for row in rows
        for reader, square in zip(readers, row.squares, strict=True)
        for part in square.parts
        if part.reason
    }
    return ExchangeTable(readers, rows, tuple(sorted(reasons)))


def _row(run: Run, export: JudgedCell, file: Exported, squares: tuple[Square, ...]) -> Row:
    without = ""
    if file.network is None:
        what = "" if export.status == Status.OK else f"{export.status}: "
        reason = file.refusal or export.reason or "it wrote no ONNX file"
        without = _short(what + reason)
    return Row(
        network=export.network,
        title=title_of(run, export.runtime),
        writers=(),
        name=file.network or "",
        file=file.file or "",
        opset="" if file.opset is None else str(file.opset),
        foreign=", ".join(file.foreign),
        refusal=_short(file.refusal or "") if file.network else "",
        without=without,
        squares=squares,
    )


def _named(run: Run, row: Row, exports: Sequence[JudgedCell]) -> Row:
    """The row with its writers: modes and their releases."""
    runtime = exports[0].runtime
    releases = release_order(run, exports, runtime)
    writers = []
    for mode in distinct(cell.mode for cell in exports):
        members = [(cell.release, cell.variant) for cell in exports if cell.mode == mode]
        writers.append((mode, mode_anchor(runtime, mode), release_spans(members, releases)))
    return Row(**{**vars(row), "writers": tuple(writers)})


def _square(export: JudgedCell, reads: Sequence[JudgedCell]) -> Square:
    counts = Counter(cell.asks for cell in reads)
    parts = tuple(
        _part(export, cell, cell.asks if counts[cell.asks] == 1 else f"{cell.asks}, {cell.mode}")
        for cell in sorted(reads, key=lambda cell: cell.asks != Asks.PREDICTION)
    )
    if not parts:
        return Square(NOT_ASKED, "unmeasured")
    worst = min(parts, key=lambda part: _TONES.index(part.tone))
    word = worst.word if all(part.tone == worst.tone for part in parts) else f"{worst.word} ({worst.what})"
    return Square(word, worst.tone, parts)


def _part(export: JudgedCell, read: JudgedCell, what: str) -> Part:
    file = read.exported
    trips: Mapping[str, Trip] = {} if file is None else {trip.cell: trip for trip in file.trips}
    trip = trips.get(export.id)
    target = read.anchor if read.status in (*MEASURED, Status.REFUSED) else mode_anchor(read.runtime, read.mode)
    if trip is None or trip.error is None or trip.fault is None:
        word = status_word(read.status)
        label = word.name if read.status != Status.OK else "no answer"
        return Part(what, label, "unmeasured", scientific(None), target, _short(read.reason or word.meaning))
    layer = trip.first_layer
    return Part(
        what=what,
        word=FAULTS.get(trip.fault, trip.fault),
        tone="clean" if trip.fault == "none" else "wrong",
        error=scientific(trip.error),
        target=target,
        layer="" if layer is None else f"{layer.node} ({layer.op}), {scientific(layer.error)}",
    )


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= REASON_LENGTH else words[:REASON_LENGTH] + " …"
