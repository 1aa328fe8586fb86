"""Builds tables of modes x releases, whose squares have letters, colours and footnotes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from crosscheck.cells import MEASURED, PLAIN, Asks, Finding, Intent, Status
from crosscheck.expectations import Kind, Verdict
from crosscheck.records import JudgedCell
from crosscheck.records.run import Run
from crosscheck.report.number_text import DASH
from crosscheck.report.order import mode_order, modes_of, release_order
from crosscheck.report.vocabulary import finding_word, status_word, worst_first

__all__ = ["DOCUMENTATION", "Bundle", "Group", "Row", "Square", "Table", "mode_anchor", "square_of", "tables"]

#: Maximum letters of a square; its title has the rest.
LETTERS = 3
#: Maximum characters of a footnote's reason; the cell has the full text.
NOTE_LENGTH = 300

#: `Square.documentation` -> text of the square's title.
DOCUMENTATION = {
    "": "",
    "against": "; contradicts the documentation",
    "silent": "; the documentation does not say what happens to the statistics",
    "documented": "; the documentation says that statistics move",
}
#: Findings of a changed network.
_CHANGES = frozenset({Finding.LEAK, Finding.STATE_MOVED})

#: (asks, intent) -> heading of a group of rows.
_GROUPS = {
    (Asks.GRADIENT, Intent.TRAINING): "Training-mode gradients",
    (Asks.GRADIENT, Intent.INFERENCE): "Inference-mode gradients",
    (Asks.PREDICTION, Intent.TRAINING): "Training-mode forward passes",
    (Asks.PREDICTION, Intent.INFERENCE): "Predictions (controls)",
    (Asks.EXPORT, Intent.TRAINING): "Training-mode exports",
    (Asks.EXPORT, Intent.INFERENCE): "Exports",
}


@dataclass(frozen=True)
class Square:
    """One mode in one release, over all networks and scenarios.

    `letters` are those of its findings, then those of the statuses of unmeasured cells.
    `kind` is "finding" (something was measured), "status" (nothing could be), "absent" (not in this release) or
    "blank" (not part of this run); `name` is the worst finding or status. `notes` are numbers of the table's
    footnotes; `target` is an HTML id, of the cell that shows the worst finding or of the mode's section.
    `documentation` relates changes to the documentation: "against", "silent" (undocumented), "documented" (statistics
    move), "" (no change). `expectation` is the most important kind of its cells' verdicts, "" without one.
    """

    kind: str
    name: str
    letters: tuple[str, ...]
    title: str
    notes: tuple[int, ...] = ()
    documentation: str = ""
    target: str | None = None
    expectation: str = ""

    @property
    def tone(self) -> str:
        """The colours; a documented leak differs from an undocumented one."""
        if self.kind != "finding":
            return "unmeasured"
        if self.name == Finding.CLEAN and len(self.letters) > 1:
            return "mixed"
        announced = self.name == Finding.LEAK and self.documentation == "documented"
        return "documented" if announced else finding_word(self.name).tone


@dataclass(frozen=True)
class Row:
    """A mode, what is peculiar to it, its text, and its squares, one per release of the table."""

    mode: str
    summary: str
    call: str
    target: str
    squares: tuple[Square, ...]


@dataclass(frozen=True)
class Bundle:
    """Rows of an API whose squares look the same, of which the page shows the first until the others are asked for."""

    api: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Group:
    """Bundles of modes with equal `asks` and intent."""

    title: str
    bundles: tuple[Bundle, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows."""
        return tuple(row for bundle in self.bundles for row in bundle.rows)


@dataclass(frozen=True)
class Table:
    """One runtime in one variant; `notes` are the footnotes, numbered from 1."""

    runtime: str
    variant: str
    releases: tuple[str, ...]
    groups: tuple[Group, ...]
    notes: tuple[str, ...]


def tables(
    run: Run, cells: Sequence[JudgedCell], runtime: str, verdicts: Mapping[str, Verdict] | None = None
) -> tuple[Table, ...]:
    """The runtime's tables: as installed first, then one per variant with cells. verdicts: by cell id."""
    by_variant: dict[str, list[JudgedCell]] = {PLAIN: []}
    for cell in cells:
        if cell.runtime == runtime:
            by_variant.setdefault(cell.variant, []).append(cell)
    return tuple(
        _table(run, members, runtime, variant, verdicts or {}) for variant, members in by_variant.items() if members
    )


def mode_anchor(runtime: str, mode: str) -> str:
    """Return the HTML id of a mode's section."""
    return "_".join(f"mode/{runtime}/{mode}".split())


def _table(run: Run, cells: Sequence[JudgedCell], runtime: str, variant: str, verdicts: Mapping[str, Verdict]) -> Table:
    releases = release_order(run, cells, runtime)
    apis = run.runtimes[runtime].apis if runtime in run.runtimes else {}
    modes = modes_of(run, runtime)
    notes: dict[str, int] = {}

    def number(text: str) -> int:
        return notes.setdefault(text, len(notes) + 1)

    squares: dict[tuple[str, str], list[JudgedCell]] = defaultdict(list)
    for cell in cells:
        squares[cell.mode, cell.release].append(cell)
    groups: dict[str, list[Row]] = {}
    for mode in mode_order(run, cells, runtime):
        here = [squares[mode, release] for release in releases]
        first = next(square_cells[0] for square_cells in here if square_cells)
        row = Row(
            mode,
            modes[mode].summary if mode in modes else "",
            modes[mode].call if mode in modes else "",
            mode_anchor(runtime, mode),
            tuple(_marked(square_of(square_cells, number), square_cells, verdicts) for square_cells in here),
        )
        groups.setdefault(_group(first), []).append(row)
    ordered = sorted(groups, key=lambda title: list(_GROUPS.values()).index(title) if title in _GROUPS.values() else 99)
    bundled = tuple(Group(title, _bundles(groups[title], apis)) for title in ordered)
    return Table(runtime, variant, releases, bundled, tuple(notes))


def _marked(square: Square, cells: Sequence[JudgedCell], verdicts: Mapping[str, Verdict]) -> Square:
    """The square with the most important kind of its cells' verdicts, which its title counts."""
    counts = Counter(verdicts[cell.id].kind for cell in cells if cell.id in verdicts)
    for kind in Kind:
        if counts[kind]:
            return replace(square, expectation=kind.value, title=f"{square.title}; {kind}: {counts[kind]}")
    return square


def _bundles(rows: Sequence[Row], apis: Mapping[str, str]) -> tuple[Bundle, ...]:
    """Rows of one API that look the same together, in the order of their first ones."""
    alike: dict[tuple[str, tuple[tuple[object, ...], ...]], list[Row]] = {}
    for row in rows:
        api = next((title for pattern, title in apis.items() if fnmatchcase(row.mode, pattern)), "")
        look = tuple(
            (square.kind, square.letters, square.tone, square.documentation, square.expectation)
            for square in row.squares
        )
        alike.setdefault((api, look), []).append(row)
    first = {api: place for place, api in reversed(list(enumerate(api for api, _ in alike)))}
    bundles = [Bundle(api, tuple(bundle)) for (api, _), bundle in alike.items()]
    return tuple(sorted(bundles, key=lambda bundle: first[bundle.api]))


def _group(cell: JudgedCell) -> str:
    words = {(str(asks), str(intent)): title for (asks, intent), title in _GROUPS.items()}
    return words.get((cell.asks, cell.intent), f"{cell.asks}, {cell.intent}")


def square_of(cells: Sequence[JudgedCell], number: Callable[[str], int] | None = None) -> Square:
    """The square of some cells; `number` numbers the footnote of a reason, None for a square without footnotes."""
    if not cells:
        return Square("blank", "", (), "not part of this run")
    available = [cell for cell in cells if cell.status != Status.NOT_IN_RELEASE]
    if not available:
        reason = next((cell.reason for cell in cells if cell.reason), "")
        return Square("absent", Status.NOT_IN_RELEASE, (DASH,), f"not in this release{': ' if reason else ''}{reason}")
    reasons = [] if number is None else [_note(cell) for cell in available if cell.reason or _failed(cell)]
    notes = tuple(dict.fromkeys(map(number, reasons))) if number else ()
    counts: Counter[str] = Counter(finding for cell in available for finding in cell.findings)
    statuses: Counter[str] = Counter(cell.status for cell in available if _failed(cell))
    measured = [cell for cell in available if cell.status in MEASURED]
    title = _title(counts, statuses, len(available), len(measured))
    if counts:
        names = [name for name in worst_first(counts) if name != Finding.CLEAN] or [str(Finding.CLEAN)]
        worst = next(cell for cell in measured if names[0] in cell.findings)
        documentation = _documentation(measured)
        return Square(
            "finding",
            names[0],
            tuple(finding_word(name).letter for name in names[:LETTERS])
            + tuple(status_word(name).letter for name in worst_first(statuses)),
            title + DOCUMENTATION[documentation],
            notes,
            documentation,
            worst.anchor,
        )
    name = worst_first(statuses)[0] if statuses else available[0].status
    target = mode_anchor(available[0].runtime, available[0].mode)
    return Square("status", name, (status_word(name).letter,), title, notes, target=target)


def _documentation(cells: Sequence[JudgedCell]) -> str:
    if any(cell.contradicts for cell in cells):
        return "against"
    changed = [cell for cell in cells if _CHANGES.intersection(cell.findings)]
    if not changed:
        return ""
    statistics = {cell.contract.statistics for cell in changed}
    return "documented" if statistics == {"move"} else "silent"


def _failed(cell: JudgedCell) -> bool:
    return cell.status not in (Status.OK, Status.NOT_IN_RELEASE)


def _note(cell: JudgedCell) -> str:
    reason = " ".join((cell.reason or "no reason was recorded").split())
    text = reason if len(reason) <= NOTE_LENGTH else reason[:NOTE_LENGTH] + " …"
    return text if cell.status == Status.OK else f"{cell.status}: {text}"


def _title(counts: Counter[str], statuses: Counter[str], total: int, measured: int) -> str:
    phrases = [f"{name} in {counts[name]} of {measured} measured cells" for name in worst_first(counts)]
    failed = [f"{name}: {statuses[name]} of {total} cells" for name in worst_first(statuses)]
    return "; ".join(phrases + failed) or "no finding was recorded"
