"""The answer: which releases leak, asked in which way, when inference-mode gradients became clean, what is safe."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from crosscheck.cells import Finding, Intent
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
from crosscheck.report.records import JudgedCell, Run
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
    """One way of asking for a gradient, over every measured release that has it (oldest first).

    `measured`, `clean` and `leaking` name releases, `as_installed` those measured in the variant `plain`. A release is
    clean where every measured cell of it, in every variant, network and scenario, is clean, and leaking where any cell
    of it leaks. `clean_from` is the first release from which on every later measured one is clean, as installed;
    `before` is the measured release before that one, and `before_shows` what the mode showed there (None: it was not
    measured there). `newest` is what it shows in the newest measured release. `spoilt_variants` are those in which the
    mode is not clean from `clean_from` on.
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
        """Clean in every cell of every measured release that has it."""
        return bool(self.measured) and self.clean == self.measured


@dataclass(frozen=True)
class CleanSpan:
    """The releases, as installed, in which an inference-intent way of asking was clean, where later ones are not.

    Clean first in `release`, and in every measured one up to `until`. After that it shows `shows`, on `networks`; on
    `others` it is clean in every measured release from `release` on. `modes`: all ways that are clean in `release`.
    """

    release: str
    until: str
    modes: tuple[str, ...]
    shows: tuple[str, ...]
    networks: tuple[str, ...]
    others: tuple[str, ...]


@dataclass(frozen=True)
class FirstClean:
    """Since which release a runtime has inference-mode gradients that are clean then and in every later release.

    `release` is None where no inference-intent way of asking is; `asked` is how many such ways were measured, and
    `modes` those that are clean from `release` on.
    `span`: of the ways that are not clean in the newest, the first that was clean for a while.
    `obstacles`: what the inference-intent ways of asking show in the newest release that each was measured in.
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

    `contradicting` are releases with a leak that their documentation rules out, `silent` those with one of which it
    says nothing. `unmeasured` are releases that were to be asked for a gradient and could not be.
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
        """The ways of asking that leak anywhere, those that leak in most releases first."""
        return tuple(sorted((mode for mode in self.asked if mode.leaking), key=lambda mode: -len(mode.leaking)))

    @property
    def safe_modes(self) -> tuple[Asked, ...]:
        """The ways of asking that are clean wherever they were measured, those measured in most releases first."""
        return tuple(sorted((mode for mode in self.asked if mode.safe), key=lambda mode: -len(mode.measured)))


def answer(run: Run, cells: Sequence[JudgedCell]) -> Answer:
    """Gather the answer's facts. Only cells that ask for a gradient and were measured count."""
    wanted = gradients(cells)
    found = measured(wanted)
    by_mode: dict[tuple[str, str], list[JudgedCell]] = defaultdict(list)
    for cell in found:
        by_mode[cell["runtime"], cell["mode"]].append(cell)
    runtimes = runtime_order(run, found)
    releases = {runtime: release_order(run, found, runtime) for runtime in runtimes}
    asked = tuple(
        _asked(by_mode[runtime, mode], releases[runtime])
        for runtime in runtimes
        for mode in mode_order(run, found, runtime)
    )
    answered = releases_of(run, found)
    leaks = [cell for cell in found if Finding.LEAK in cell["findings"]]
    leaking = {(cell["runtime"], cell["release"]) for cell in leaks}
    against = {(cell["runtime"], cell["release"]) for cell in leaks if cell["contradicts"]}
    silent = {(cell["runtime"], cell["release"]) for cell in leaks if cell["contract"]["statistics"] == "undocumented"}
    return Answer(
        unmeasured=tuple(pair for pair in releases_of(run, wanted) if pair not in answered),
        measured=answered,
        leaking=tuple(pair for pair in answered if pair in leaking),
        contradicting=tuple(pair for pair in answered if pair in against),
        silent=tuple(pair for pair in answered if pair in silent),
        asked=asked,
        first_clean=tuple(
            _first_clean(runtime, title_of(run, runtime), releases[runtime], asked, by_mode)
            for runtime in runtimes
            if releases[runtime]
        ),
    )


def _asked(cells: Sequence[JudgedCell], order: Sequence[str]) -> Asked:
    first = cells[0]
    everything = by_release(cells)
    plain = by_release(as_installed(cells))
    answered = tuple(release for release in order if release in everything)
    clean_from = _clean_from([(release, all_clean(plain[release])) for release in order if release in plain])
    before = order[order.index(clean_from) - 1] if clean_from and order.index(clean_from) > 0 else None
    later = order[order.index(clean_from) :] if clean_from else ()
    return Asked(
        runtime=first["runtime"],
        mode=first["mode"],
        intent=first["intent"],
        statistics=first["contract"]["statistics"],
        measured=answered,
        as_installed=tuple(release for release in order if release in plain),
        clean=tuple(release for release in answered if all_clean(everything[release])),
        leaking=tuple(release for release in answered if Finding.LEAK in findings_of(everything[release])),
        contradicting=tuple(
            release for release in answered if any(cell["contradicts"] for cell in everything[release])
        ),
        findings=worst_first(finding for finding in findings_of(cells) if finding != Finding.CLEAN),
        newest=worst_first(findings_of(everything[answered[-1]])),
        clean_from=clean_from,
        before=before,
        before_shows=worst_first(findings_of(plain[before])) if before is not None and before in plain else None,
        spoilt_variants=tuple(
            distinct(cell["variant"] for cell in cells if cell["release"] in later and not all_clean([cell]))
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
    asked: Iterable[Asked],
    by_mode: Mapping[tuple[str, str], Sequence[JudgedCell]],
) -> FirstClean:
    inference = [mode for mode in asked if mode.runtime == runtime and mode.intent == Intent.INFERENCE]
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
        obstacles=worst_first(found for mode in inference for found in mode.newest if found != Finding.CLEAN),
    )


def _clean_span(order: Sequence[str], modes: Sequence[Sequence[JudgedCell]]) -> CleanSpan | None:
    """The earliest span of clean releases over all modes, each given by its cells; of equal ones the first mode's."""
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
    networks = distinct(cell["network"] for cell in later)
    spoilt = [network for network in networks if not all_clean(cell for cell in later if cell["network"] == network)]
    return CleanSpan(
        release=first,
        until=clean_run[-1],
        modes=tuple(row[first][0]["mode"] for row in clean_there),
        shows=worst_first(findings_of(later) - {Finding.CLEAN}),
        networks=tuple(spoilt),
        others=tuple(network for network in networks if network not in spoilt),
    )
