"""Groups cells by cause: what is wrong, by which operator, in which intent, in which releases of a runtime."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crosscheck.cells import Finding, Intent
from crosscheck.records import Cause, JudgedCell
from crosscheck.records.run import Run
from crosscheck.report.number_text import release_spans
from crosscheck.report.order import measured, own, release_order, runtime_order, title_of
from crosscheck.report.vocabulary import worst_first

__all__ = ["Causes", "Group", "causes", "lines", "operator"]

#: Maximum cells linked from a group.
LINKS = 2
#: Findings that batch normalization makes, as the only layer with moving statistics.
OF_STATISTICS = frozenset({Finding.LEAK, Finding.STATE_MOVED, Finding.CORRUPTED, Finding.INPUT_WRITTEN})
#: Findings that follow from a located one of the same cell.
_CONSEQUENCES: Mapping[str, frozenset[str]] = {
    Finding.WRONG_GRADIENT: frozenset({Finding.UNREPEATABLE, Finding.ORDER_DEPENDENT, Finding.RACY, Finding.CORRUPTED}),
    Finding.UNREPEATABLE: frozenset({Finding.WRONG_GRADIENT, Finding.ORDER_DEPENDENT, Finding.RACY, Finding.CORRUPTED}),
    Finding.NO_GRADIENT: frozenset({Finding.ORDER_DEPENDENT}),
    Finding.WRONG_PREDICTION: frozenset({Finding.WRONG_GRADIENT, Finding.EXPORT_CHANGED}),
}
BATCH_NORMALIZATION = "BatchNormalization"
ANY = "any operator"


@dataclass(frozen=True)
class Group:
    """Cells with one cause.

    operator: with its attributes; "" if unknown. findings: of the cells, worst first; several only of statistics.
    intents, documented: shared by the cells; `documented` is whether the documentation says that statistics move.
    releases: text, consecutive ones as ranges. bounds: the neighbouring releases without it, where they were
    measured. modes, networks: of the cells. smallest: the command that finds the smallest case. links: (id, anchor) of
    some cells, of distinct releases and modes. cells: the ids of all. again: (network, findings) of the same questions
    on networks without the operator. place: the anchor of the row, or of the paragraph that names the group. current:
    whether the newest measured release of the runtime has it.
    """

    runtime: str
    title: str
    operator: str
    findings: tuple[str, ...]
    intents: tuple[str, ...]
    documented: bool
    contradicts: bool
    releases: str
    bounds: str
    modes: tuple[str, ...]
    networks: tuple[str, ...]
    smallest: str
    links: tuple[tuple[str, str], ...]
    cells: tuple[str, ...]
    again: tuple[tuple[str, tuple[str, ...]], ...] = ()
    place: str = ""
    current: bool = True

    @property
    def count(self) -> int:
        """The number of cells."""
        return len(self.cells)

    @property
    def line(self) -> str:
        """The group in one line."""
        where = f"{self.operator} in {' and '.join(self.intents)} mode" if self.operator else "operator not located"
        documented = ", as documented" if self.documented else ", contrary to the documentation" * self.contradicts
        return f"{', '.join(self.findings)}: {where}{documented}; {self.releases}"


@dataclass(frozen=True)
class Causes:
    """groups: defects, worst first. The others are as a call's author may expect.

    documented, undocumented: updates of statistics in training mode, which the documentation announces or not.
    leaving: calls that leave parameter gradients, hooks or flags.
    """

    groups: tuple[Group, ...]
    documented: tuple[Group, ...]
    undocumented: tuple[Group, ...]
    leaving: tuple[Group, ...]


def causes(run: Run, cells: Sequence[JudgedCell]) -> Causes:
    """Every finding of every measured cell belongs to one group, unless it follows from another one of the cell."""
    grouped: dict[tuple[Any, ...], list[JudgedCell]] = defaultdict(list)
    found: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    shown = own(measured(cells))
    anywhere = _anywhere(shown)
    for cell in shown:
        for finding in _independent(cell):
            key = _key(cell, finding, anywhere)
            grouped[key].append(cell)
            found[key].add(finding)
    of_runtime: dict[str, list[JudgedCell]] = defaultdict(list)
    for cell in cells:
        of_runtime[cell.runtime].append(cell)
    groups = [_group(run, of_runtime[key[0]], key, members, found[key]) for key, members in grouped.items()]
    order = {name: rank for rank, name in enumerate(runtime_order(run, cells))}
    severity = {name: rank for rank, name in enumerate(worst_first(group.findings[0] for group in groups))}
    groups.sort(key=lambda group: (severity[group.findings[0]], -group.count, order[group.runtime]))
    groups.sort(key=lambda group: (not group.contradicts, not group.current))
    kinds: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        kind = _kind(group)
        place = f"cause/{len(kinds[kind]) + 1}" if kind == "groups" else f"causes/{kind}"
        kinds[kind].append(replace(group, place=place))
    return Causes(**{kind: tuple(kinds[kind]) for kind in ("groups", "documented", "undocumented", "leaving")})


def lines(causes: Causes) -> dict[str, list[tuple[str, str]]]:
    """Cell id -> (place, line) of the cell's groups, defects first."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for group in (*causes.groups, *causes.undocumented, *causes.leaving, *causes.documented):
        for cell in group.cells:
            found[cell].append((group.place, group.line))
    return found


def _kind(group: Group) -> str:
    """The field of `Causes` for a group."""
    if group.documented:
        return "documented"
    if group.findings == (Finding.GRADIENTS_LEFT,):
        return "leaving"
    updates = set(group.findings) <= {Finding.LEAK, Finding.STATE_MOVED} and group.intents == (Intent.TRAINING,)
    return "undocumented" if updates and not group.contradicts else "groups"


def operator(cause: Cause) -> str:
    """The operator with the attributes that tell its code path: "MaxPool 2x2", "Conv 3x3 in 2 groups"."""
    attributes = cause.attributes
    kernel = attributes.get("kernel_shape")
    words = [cause.op]
    if kernel:
        words.append("x".join(map(str, kernel)))
    if kernel and attributes.get("strides", kernel) != kernel and cause.op != "Conv":
        words.append(f"by steps of {'x'.join(map(str, attributes['strides']))}")
    if any(attributes.get("pads", ())):
        words.append("padded")
    if attributes.get("group", 1) != 1:
        words.append(f"in {attributes['group']} groups")
    return " ".join(words)


def _independent(cell: JudgedCell) -> list[str]:
    """The cell's findings but `clean` and those that follow from the located one."""
    cause = cell.cause
    follows = _CONSEQUENCES.get(cause.finding, frozenset()) if cause else frozenset()
    return [finding for finding in cell.findings if finding != Finding.CLEAN and finding not in follows]


def _anywhere(cells: Sequence[JudgedCell]) -> frozenset[tuple[str, str, str]]:
    """(runtime, mode, finding) for which the first node is at fault, whichever operator it is."""
    operators: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for cell in cells:
        cause = cell.cause
        if cause and cause.first:
            operators[cell.runtime, cell.mode, cause.finding].add(cause.op)
    return frozenset(key for key, names in operators.items() if len(names) > 1)


def _key(cell: JudgedCell, finding: str, anywhere: frozenset[tuple[str, str, str]]) -> tuple[Any, ...]:
    cause = cell.cause
    documented = finding == Finding.LEAK and cell.contract.statistics == "move"
    if cause and cause.finding == finding:
        name = ANY if (cell.runtime, cell.mode, finding) in anywhere else operator(cause)
    else:
        name = BATCH_NORMALIZATION if finding in OF_STATISTICS else ""
    contradicts = finding in OF_STATISTICS and bool(cell.contradicts)
    intent = "" if documented or not name else cell.intent
    together = "" if finding in OF_STATISTICS else finding
    return cell.runtime, together, name, intent, documented, contradicts


def _group(
    run: Run, cells: Sequence[JudgedCell], key: tuple[Any, ...], members: Sequence[JudgedCell], found: Iterable[str]
) -> Group:
    """The group of `members`, of all cells of the runtime, for the findings `found`.

    Other findings of its cells belong to other groups: a leak may be documented, and corruption of the same cell not.
    """
    runtime, _, name, _, documented, contradicts = key
    findings = worst_first(found)
    finding = findings[0]
    order = release_order(run, cells, runtime)
    pairs = list(dict.fromkeys((cell.release, cell.variant) for cell in members))
    newest_first = sorted(members, key=lambda cell: (-order.index(cell.release), len(cell.call)))
    links: dict[tuple[str, str], JudgedCell] = {}
    for cell in newest_first:
        links.setdefault((cell.release, cell.mode), cell)
    return Group(
        runtime=runtime,
        title=title_of(run, runtime),
        operator=name,
        findings=findings,
        intents=tuple(sorted({cell.intent for cell in members})),
        documented=documented,
        contradicts=contradicts,
        releases=release_spans(pairs, order),
        bounds=_bounds(cells, members, findings, order),
        modes=tuple(dict.fromkeys(cell.mode for cell in members)),
        networks=tuple(dict.fromkeys(cell.network for cell in members)),
        smallest=_smallest(newest_first, finding),
        links=tuple((cell.id, cell.anchor) for cell in list(links.values())[:LINKS]),
        cells=tuple(dict.fromkeys(cell.id for cell in members)),
        again=_again(members),
        current=release_order(run, measured(cells), runtime)[-1] in {cell.release for cell in members},
    )


def _smallest(newest_first: Sequence[JudgedCell], finding: str) -> str:
    """The command that reduces the newest cell with the finding."""
    cell = next(cell for cell in newest_first if finding in cell.findings)
    return f"crosscheck reduce {cell.id} --finding {finding}"


def _again(members: Sequence[JudgedCell]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found: dict[str, list[str]] = defaultdict(list)
    for cell in members:
        cause = cell.cause
        if cause and cause.again:
            found[cause.again.network] += cause.again.findings
    return tuple((network, worst_first(findings)) for network, findings in found.items())


def _bounds(
    cells: Sequence[JudgedCell], members: Sequence[JudgedCell], findings: Sequence[str], order: Sequence[str]
) -> str:
    """The neighbouring releases without the finding, where the same question was measured there."""
    questions = {cell.across_releases for cell in members}
    without = {
        cell.release
        for cell in measured(cells)
        if not set(findings) & set(cell.findings) and cell.across_releases in questions
    }
    shown = {cell.release for cell in members}
    first, last = (end(map(order.index, shown)) for end in (min, max))
    before = [order[index] for index in range(first) if order[index] in without - shown]
    after = [order[index] for index in range(last + 1, len(order)) if order[index] in without - shown]
    words = [f"not yet in {before[-1]}"] if before else []
    words += [f"no longer in {after[0]}"] if after else []
    return ", ".join(words)
