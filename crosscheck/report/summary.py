"""The summary: leaking releases and modes, first clean inference-mode releases, safe modes."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from crosscheck.cells import Finding, Intent
from crosscheck.records import JudgedCell
from crosscheck.records.run import Run
from crosscheck.report.order import (
    all_clean,
    as_installed,
    by_release,
    distinct,
    findings_of,
    gradients,
    measured,
    mode_order,
    release_order,
    releases_of,
    runtime_order,
    title_of,
)
from crosscheck.report.vocabulary import worst_first

__all__ = [
    "Answer",
    "Asked",
    "CleanSpan",
    "FirstClean",
    "answer",
]


@dataclass(frozen=True)
class Asked:
    """One gradient mode over all measured releases that have it (oldest first).

    `measured`, `clean` and `leaking` name releases, `as_installed` those measured in the variant `plain`. A release is
    clean if all of its measured cells are clean, and leaking if any of them leaks. `clean_from` is the first release
    that is clean, with all later ones, as installed; `before` is the measured release before it, and `before_shows` the
    mode's findings there (None: not measured). `newest` are the findings in the newest measured release.
    `spoilt_variants` are the variants in which the mode is not clean from `clean_from` on.
    """

    runtime: str
    mode: str
    intent: str
    statistics: str
    measured: tuple[str, ...]
    as_installed: tuple[str, ...]
    clean: tuple[str, ...]
    leaking: tuple[str, ...]
    contradicting: tuple[str, ...]
    findings: tuple[str, ...]
    newest: tuple[str, ...]
    clean_from: str | None
    before: str | None
    before_shows: tuple[str, ...] | None
    spoilt_variants: tuple[str, ...]

    @property
    def safe(self) -> bool:
        """Whether every cell of every measured release is clean."""
        return bool(self.measured) and self.clean == self.measured


@dataclass(frozen=True)
class CleanSpan:
    """The releases, as installed, in which an inference-intent mode was clean, before it stopped being so.

    Clean in every measured release from `release` to `until`. Later it has the findings `shows`, on `networks`; on
    `others` it stays clean. `modes`: all modes clean in `release`.
    """

    release: str
    until: str
    modes: tuple[str, ...]
    shows: tuple[str, ...]
    networks: tuple[str, ...]
    others: tuple[str, ...]


@dataclass(frozen=True)
class FirstClean:
    """The first release of a runtime with inference-mode gradients that stay clean in every later release.

    `release` is None if there is none; `asked` is the number of measured inference-intent modes, and `modes` are those
    clean from `release` on.
    `span`: the earliest clean span of the modes that are not clean in the newest release.
    `obstacles`: findings of the inference-intent modes, each in its newest measured release.
    """

    runtime: str
    title: str
    release: str | None
    modes: tuple[Asked, ...]
    asked: int
    span: CleanSpan | None
    obstacles: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """The numbers of the first paragraph. Releases are pairs (runtime, release).

    `contradicting` are releases with a leak against their documentation, `silent` those with an undocumented leak.
    `unmeasured` are releases whose gradients could not be measured.
    """

    unmeasured: tuple[tuple[str, str], ...]
    measured: tuple[tuple[str, str], ...]
    leaking: tuple[tuple[str, str], ...]
    contradicting: tuple[tuple[str, str], ...]
    silent: tuple[tuple[str, str], ...]
    asked: tuple[Asked, ...]
    first_clean: tuple[FirstClean, ...]

    @property
    def leaking_modes(self) -> tuple[Asked, ...]:
        """The modes that leak, those with most leaking releases first."""
        return tuple(sorted((mode for mode in self.asked if mode.leaking), key=lambda mode: -len(mode.leaking)))

    @property
    def safe_modes(self) -> tuple[Asked, ...]:
        """The modes that are clean in all measured releases, those with most releases first."""
        return tuple(sorted((mode for mode in self.asked if mode.safe), key=lambda mode: -len(mode.measured)))


def answer(run: Run, cells: Sequence[JudgedCell]) -> Answer:
    """The answer from all measured gradient cells."""
    gradient_cells = gradients(cells)
    measured_cells = measured(gradient_cells)
    by_mode: dict[tuple[str, str], list[JudgedCell]] = defaultdict(list)
    for cell in measured_cells:
        by_mode[cell.runtime, cell.mode].append(cell)
    runtimes = runtime_order(run, measured_cells)
    releases = {runtime: release_order(run, measured_cells, runtime) for runtime in runtimes}
    modes = tuple(
        _asked(by_mode[runtime, mode], releases[runtime])
        for runtime in runtimes
        for mode in mode_order(run, measured_cells, runtime)
    )
    measured_releases = releases_of(run, measured_cells)
    leaks = [cell for cell in measured_cells if Finding.LEAK in cell.findings]
    leaking = {(cell.runtime, cell.release) for cell in leaks}
    against = {(cell.runtime, cell.release) for cell in leaks if cell.contradicts}
    silent = {(cell.runtime, cell.release) for cell in leaks if cell.contract.statistics == "undocumented"}
    return Answer(
        unmeasured=tuple(pair for pair in releases_of(run, gradient_cells) if pair not in measured_releases),
        measured=measured_releases,
        leaking=tuple(pair for pair in measured_releases if pair in leaking),
        contradicting=tuple(pair for pair in measured_releases if pair in against),
        silent=tuple(pair for pair in measured_releases if pair in silent),
        asked=modes,
        first_clean=tuple(
            _first_clean(runtime, title_of(run, runtime), releases[runtime], modes, by_mode)
            for runtime in runtimes
            if releases[runtime]
        ),
    )


def _asked(cells: Sequence[JudgedCell], order: Sequence[str]) -> Asked:
    first = cells[0]
    everything = by_release(cells)
    plain = by_release(as_installed(cells))
    measured_releases = tuple(release for release in order if release in everything)
    clean_from = _clean_from([(release, all_clean(plain[release])) for release in order if release in plain])
    before = order[order.index(clean_from) - 1] if clean_from and order.index(clean_from) > 0 else None
    later = order[order.index(clean_from) :] if clean_from else ()
    return Asked(
        runtime=first.runtime,
        mode=first.mode,
        intent=first.intent,
        statistics=first.contract.statistics,
        measured=measured_releases,
        as_installed=tuple(release for release in order if release in plain),
        clean=tuple(release for release in measured_releases if all_clean(everything[release])),
        leaking=tuple(release for release in measured_releases if Finding.LEAK in findings_of(everything[release])),
        contradicting=tuple(
            release for release in measured_releases if any(cell.contradicts for cell in everything[release])
        ),
        findings=worst_first(finding for finding in findings_of(cells) if finding != Finding.CLEAN),
        newest=worst_first(findings_of(everything[measured_releases[-1]])),
        clean_from=clean_from,
        before=before,
        before_shows=worst_first(findings_of(plain[before])) if before is not None and before in plain else None,
        spoilt_variants=tuple(
            distinct(cell.variant for cell in cells if cell.release in later and not all_clean([cell]))
        ),
    )


def _clean_from(releases: Sequence[tuple[str, bool]]) -> str | None:
    first = None
    for release, clean in reversed(releases):
        if not clean:
            break
        first = release
    return first


def _first_clean(
    runtime: str,
    title: str,
    order: Sequence[str],
    modes_asked: Iterable[Asked],
    by_mode: Mapping[tuple[str, str], Sequence[JudgedCell]],
) -> FirstClean:
    inference = [mode for mode in modes_asked if mode.runtime == runtime and mode.intent == Intent.INFERENCE]
    starts = [mode.clean_from for mode in inference if mode.clean_from is not None]
    release = min(starts, key=order.index) if starts else None
    modes = tuple(mode for mode in inference if release is not None and mode.clean_from == release)
    return FirstClean(
        runtime,
        title,
        release,
        modes,
        asked=len(inference),
        span=_clean_span(order, [by_mode[runtime, mode.mode] for mode in inference if mode.clean_from is None]),
        obstacles=worst_first(finding for mode in inference for finding in mode.newest if finding != Finding.CLEAN),
    )


def _clean_span(order: Sequence[str], modes: Sequence[Sequence[JudgedCell]]) -> CleanSpan | None:
    """The earliest clean span over all modes (cells per mode); ties go to the first mode."""
    plain = [by_release(as_installed(cells)) for cells in modes]
    first = next(
        (release for release in order if any(all_clean(row[release]) for row in plain if release in row)), None
    )
    if first is None:
        return None
    clean_there = [row for row in plain if first in row and all_clean(row[first])]
    rows = clean_there[0]
    since = [release for release in order[order.index(first) :] if release in rows]
    clean_run = list(itertools.takewhile(lambda release: all_clean(rows[release]), since))
    later = [cell for release in since for cell in rows[release]]
    networks = distinct(cell.network for cell in later)
    spoilt = [network for network in networks if not all_clean(cell for cell in later if cell.network == network)]
    return CleanSpan(
        release=first,
        until=clean_run[-1],
        modes=tuple(row[first][0].mode for row in clean_there),
        shows=worst_first(findings_of(later) - {Finding.CLEAN}),
        networks=tuple(spoilt),
        others=tuple(network for network in networks if network not in spoilt),
    )
