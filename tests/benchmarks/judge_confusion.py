"""What the judge says of runtimes whose behaviour is known: its confusion matrix; and how likely a race is seen.

    uv run python -m tests.benchmarks.judge_confusion [--small] [--wrong]

Prints a Markdown table. Each row is a class of synthetic runtimes (`tests.synthetic`); its cells are judged as real
ones are, after the repetitions that the matrix asks for. Columns:

    cells         the number of judged cells
    right         cells whose set of findings is the one that the runtime's behaviour calls for
    false leak    cells with `leak` although no prediction changed
    missed        cells that lack a finding which the behaviour calls for
    law           right / other words for the same numbers / none told / another; of cells that follow an update law
    findings      every set of findings that was given, with the number of cells

`--wrong` lists the cells that are not right, with what was said of them.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from crosscheck.cells import Array, Finding, Observation, Scenario
from crosscheck.matrix.agreement import wanting
from crosscheck.matrix.plan import RACE_NETWORKS, RACE_TRIALS
from crosscheck.networks import BatchNorm
from crosscheck.oracle import BatchStatistics, Statistics, updated
from crosscheck.oracle.bias_correction import overcorrected
from crosscheck.oracle.corrections import CORRECTIONS, WITH_EPSILON
from crosscheck.oracle.laws import AVERAGES
from crosscheck.oracle.renormalized import renormalized, renormalized_twice
from crosscheck.records import Judgement
from crosscheck.records.changes import Average, Correction, Variance
from crosscheck.scenarios.facts import SCENARIOS
from tests.synthetic import (
    EPSILON,
    NETWORKS,
    TRUTHS,
    Blind,
    Runtime,
    StaleAtOnce,
    Training,
    judgement,
    noisy,
    observe,
    reading,
    variation,
    warming,
)

__all__ = ["Known", "Row", "classes", "markdown", "race_table", "row", "seen_with", "trials"]

Findings = frozenset[Finding]
CLEAN = frozenset({Finding.CLEAN})
LEAK = frozenset({Finding.LEAK})
MOVED = frozenset({Finding.STATE_MOVED})
RACY = LEAK | {Finding.RACY}
CORRUPTED = LEAK | {Finding.CORRUPTED}
UNREPEATABLE = LEAK | {Finding.CORRUPTED, Finding.UNREPEATABLE}

#: The networks with batch normalization about which the default matrix asks each mode in scenario `gradient`.
RACE_CELLS = tuple(name for name in sorted(SCENARIOS[Scenario.GRADIENT].default_networks) if NETWORKS[name].batch_norms)

MOMENTA = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999)
FREE = (0.0, 0.05, 0.25, 0.5, 0.75, 0.85, 0.95, 0.99, 0.995, 0.999)
COUNTS = (1, 2, 3, 5, 20)
MOMENTS = ("forward", "backward", "both", "late", "second")
NOISE = (0, 10, 40, 100, 200, 400)
CHANCES = tuple(round(0.1 * tenth, 1) for tenth in range(1, 10))


@dataclass(frozen=True)
class Rule:
    """An update law that a runtime follows: `count` updates that keep `momentum` of the old value each."""

    momentum: float
    count: int
    variance: Correction = "biased"
    average: Average = "exponential"


@dataclass(frozen=True)
class Known:
    """A cell whose truth is known.

    what: a description. kind: the runtime. network: its name in `NETWORKS`. sets: the sets of findings that are right.
    rule: the law that its statistics follow, if any. repeated: whether trials that disagree are repeated, as the matrix
    does. at_once: the trials of each reading that does not wait. seen: the right sets given the trials, in place of
    `sets`.
    """

    what: str
    kind: type[Runtime]
    network: str
    sets: Sequence[Findings]
    rule: Rule | None = None
    repeated: bool = False
    at_once: int = 1
    seen: Callable[[Sequence[Observation]], Sequence[Findings]] | None = None


@dataclass
class Row:
    """One row of the table: a class of cells, and what was said of them."""

    name: str
    cells: int = 0
    right: int = 0
    false_leaks: int = 0
    missed: int = 0
    laws: Counter[str] = field(default_factory=Counter)
    findings: Counter[Findings] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


# Runtimes


def moving(move: Callable[[Runtime], None], moment: str = "backward", base: type[Runtime] = Training) -> type[Runtime]:
    """A runtime that does `move` in each call (forward, backward, both, late), or in the second call only (second)."""

    class Moving(base):  # type: ignore[misc, valid-type]
        pending = False

        def forward(self) -> None:
            if moment in ("forward", "both"):
                move(self)

        def backward(self) -> None:
            if moment in ("backward", "both") or (moment == "second" and self.calls == 1):
                move(self)
            self.pending = moment == "late"

        def predict(self, when: str) -> None:
            if self.pending:
                self.pending = False
                move(self)
            super().predict(when)

    return Moving


def by(law: Callable[[Statistics, BatchStatistics, BatchNorm], Statistics], run: Runtime, sums: float = 0.0) -> None:
    """Update every batch normalization by a law of (before, batch, layer); the batch's sums are off by `sums`."""
    chance = np.random.default_rng(run.calls)
    for norm in run.network.batch_norms:
        seen = TRUTHS[run.network.name].batch_statistics[norm.node]
        before = Statistics(run.tensors[norm.mean], run.tensors[norm.variance])
        spread = np.sqrt(seen.mean**2 + seen.variance)
        wrong_mean, wrong_variance = (chance.uniform(-1, 1, seen.mean.shape) * sums * EPSILON for _ in range(2))
        batch = BatchStatistics(seen.mean + wrong_mean * spread, seen.variance + wrong_variance * spread**2, seen.count)
        after = law(before, batch, norm)
        run.tensors[norm.mean] = after.mean.astype(np.float32)
        run.tensors[norm.variance] = after.variance.astype(np.float32)


def exponential(rule: Rule, sums: float = 0.0) -> Callable[[Runtime], None]:
    """An exponential average."""

    def law(before: Statistics, batch: BatchStatistics, norm: BatchNorm) -> Statistics:
        variance: Correction = "biased" if batch.count == 1 else rule.variance
        return updated(before, batch, rule.momentum, rule.count, variance=variance, epsilon=norm.epsilon)

    return partial(by, law, sums=sums)


def counted(rule: Rule, earlier: int, shown: bool) -> type[Runtime]:
    """One of `AVERAGES` after so many earlier updates, whose count it shows or hides."""
    whole = math.prod(AVERAGES[rule.average](rule.momentum, earlier + n) for n in range(1, rule.count + 1))

    def law(before: Statistics, batch: BatchStatistics, norm: BatchNorm) -> Statistics:
        return updated(before, batch, whole, variance=rule.variance, epsilon=norm.epsilon)

    class Counted(Training):
        def __init__(self, network: str) -> None:
            super().__init__(network)
            if shown:
                names = [f"{norm.node}.num_batches_tracked" for norm in self.network.batch_norms]
                self.tensors |= {name: np.array(earlier) for name in names}

        def backward(self) -> None:
            if self.calls:
                return
            by(law, self)
            for name in [name for name in self.tensors if name.endswith(".num_batches_tracked")]:
                self.tensors[name] = np.array(earlier + rule.count)

    return Counted


def special(average: str, count: int) -> Callable[[Runtime], None]:
    """The averages that are no exponential ones."""

    def law(before: Statistics, batch: BatchStatistics, norm: BatchNorm) -> Statistics:
        match average:
            case "renormalized":
                return renormalized(before, batch.mean, batch.variance, norm.momentum, norm.epsilon, count)
            case "renormalized-twice":
                return renormalized_twice(before, batch.mean, batch.variance, norm.momentum, norm.epsilon, count)
            case "debiased-mean":
                return Statistics(batch.mean, updated(before, batch, norm.momentum).variance)
            case _:
                return Statistics(
                    overcorrected(before.mean, batch.mean, norm.momentum, count),
                    overcorrected(before.variance, batch.variance, norm.momentum, count),
                )

    return partial(by, law)


def racing(probability: float, seed: int, shows: str) -> type[Runtime]:
    """An update that is late with some probability, which trials that wait for it do not see.

    shows: "prediction" if a prediction at once is by the old statistics then; "tensor" if a tensor that is read at once
        is half-written.
    """
    chance = np.random.default_rng(seed)

    class Racing(Training):
        def __init__(self, network: str) -> None:
            super().__init__(network)
            self.late = bool(chance.random() < probability)
            self.waited = False

        def backward(self) -> None:
            if not self.late or shows == "tensor":
                self.update()

        def settled(self) -> None:
            if self.late and not self.waited and self.calls == 1 and shows == "prediction":
                self.update()
            self.waited = self.waited or self.calls > 0

        def predict(self, when: str) -> None:
            if self.calls and not self.waited and not self.immediate():
                self.settled()
            super().predict(when)

        def ask(self, when: str, between: Callable[[], None] = lambda: None) -> None:
            super().ask(when, between)
            if self.calls > 1 and self.late and shows == "prediction":
                self.update()

        def immediate(self) -> bool:
            """A trial that has not looked between its first prediction and the call, nor predicted twice."""
            return not any(key.startswith(("state/", "prediction/before-again")) for key in self.arrays)

        def snapshot(self, when: str) -> None:
            kept = self.tensors
            if when == "at-once" and self.late and shows == "tensor":
                name = self.network.batch_norms[0].mean
                self.tensors = {**kept, name: (kept[name] / 2).astype(np.float32)}
            super().snapshot(when)
            self.tensors = kept

    return Racing


def chancing(probability: float, seed: int) -> type[Runtime]:
    """In every trial, of whatever reading, the update fails with some probability."""
    chance = np.random.default_rng(seed)

    class Chancing(Training):
        def __init__(self, network: str) -> None:
            super().__init__(network)
            self.fails = bool(chance.random() < probability)

        def backward(self) -> None:
            if not self.fails:
                self.update()

    return Chancing


def writing(size: float, seed: int, each_trial: bool) -> type[Runtime]:
    """Adds random numbers to the moving means: the same ones in each trial, or other ones."""
    chance = np.random.default_rng(seed)
    fixed = chance.uniform(0.5, 1, 64) * chance.choice([-1, 1], 64) * size

    class Writing(Training):
        def __init__(self, network: str) -> None:
            super().__init__(network)
            self.numbers = chance.uniform(0.5, 1, 64) * chance.choice([-1, 1], 64) * size if each_trial else fixed

        def backward(self) -> None:
            norm = self.network.batch_norms[-1]
            value = self.tensors[norm.mean]
            self.tensors[norm.mean] = (value + self.numbers[: value.size]).astype(np.float32)

    return Writing


def one_channel(kept: float, base: type[Runtime]) -> type[Runtime]:
    """Updates the statistics of the first channel alone."""

    def law(before: Statistics, batch: BatchStatistics, norm: BatchNorm) -> Statistics:
        after = updated(before, batch, kept)
        first = np.arange(batch.mean.size) == 0
        return Statistics(np.where(first, after.mean, before.mean), np.where(first, after.variance, before.variance))

    return moving(partial(by, law), base=base)


def becoming(value: float, channels: int) -> type[Runtime]:
    """The first channels of the last layer's moving mean become not a number, or infinite."""

    class Becoming(Training):
        def backward(self) -> None:
            mean = np.array(self.tensors[self.network.batch_norms[-1].mean])
            mean[:channels] = value
            self.tensors[self.network.batch_norms[-1].mean] = mean

    return Becoming


class StaleAlways(Training):
    """Shows the tensors of the beginning for ever."""

    def backward(self) -> None:
        self.update()

    def snapshot(self, when: str) -> None:
        kept, self.tensors = self.tensors, dict(self.network.weights)
        super().snapshot(when)
        self.tensors = kept


def rewriting(roundings: int) -> type[Runtime]:
    """Writes every moving statistic anew, so many roundings away from where it was at the beginning."""

    class Rewriting(Training):
        def backward(self) -> None:
            for norm in self.network.batch_norms:
                for name in (norm.mean, norm.variance):
                    self.tensors[name] = self.network.weights[name] * np.float32(1 + roundings * EPSILON)

    return Rewriting


def predicting(rule: Rule, call: Rule | None) -> type[Runtime]:
    """Predicting moves the statistics; the call may, too."""

    class Predicting(Training):
        def prediction(self) -> Array:
            value = super().prediction()
            exponential(rule)(self)
            return value

        def backward(self) -> None:
            if call is not None:
                exponential(call)(self)

    return Predicting


# Classes


def leaks(
    rules: Iterable[Rule], networks: Sequence[str], moments: Sequence[str] = ("backward",), sums: float = 0.0
) -> Iterator[Known]:
    """Cells that follow a law; it moves nothing that can be seen where it keeps everything."""
    for rule, network, moment in itertools.product(rules, networks, moments):
        told = Rule(rule.momentum, rule.count * (2 if moment == "both" else 1), rule.variance)
        kind = moving(exponential(rule, sums), moment)
        yield Known(f"{rule} {moment} {network}", kind, network, (LEAK,), told)


def keeping(small: bool, take: bool) -> Iterator[Known]:
    """The declared momentum is what an update keeps, or what it takes."""
    for declared in MOMENTA:
        kept = 1 - declared if take else declared
        network = variation("seed-batch", momentum=declared)
        rules = [Rule(kept, count, variance) for count in COUNTS for variance in _usual() if kept < 1]
        moments = MOMENTS[1::2] if small else MOMENTS
        yield from leaks(rules[:: 3 if small else 1], [network], moments)
        if not small:
            yield from leaks(rules[::2], [variation(name, momentum=declared) for name in ("conv", "digits")])


def _usual() -> tuple[Correction, ...]:
    return ("biased", "unbiased")


def free(small: bool) -> Iterator[Known]:
    """The momentum is the runtime's own; every layer declares 0.9, or its own in `conv`."""
    rules = [Rule(kept, count, variance) for kept in FREE for count in COUNTS for variance in _usual()]
    yield from leaks(rules[:: 7 if small else 1], ["seed-batch"], MOMENTS[2:4] if small else MOMENTS)
    if not small:
        yield from leaks(rules[::3], ["conv", "residual", "digits"])


def corrections(small: bool) -> Iterator[Known]:
    """The batch's variance is corrected with the layer's epsilon."""
    for declared in (0.5, 0.9, 0.99):
        rules = [Rule(declared, count, variance) for count in COUNTS for variance in WITH_EPSILON]
        names = ["seed-batch"] if small else ["seed-batch", "digits", "conv"]
        yield from leaks(rules[:: 5 if small else 1], [variation(name, momentum=declared) for name in names])


def free_corrections(small: bool) -> Iterator[Known]:
    """The same with the runtime's own momentum."""
    rules = [Rule(kept, count, variance) for kept in FREE for count in COUNTS for variance in WITH_EPSILON]
    yield from leaks(rules[:: 7 if small else 1], ["seed-batch"])
    if not small:
        yield from leaks(rules[::3], ["conv", "residual", "digits"])


def rounded_sums(small: bool) -> Iterator[Known]:
    """The runtime's sums over the batch are off by some roundings."""
    for sums, declared in itertools.product((4, 16), (0.1, 0.9, 0.99)):
        rules = [Rule(kept, count, v) for kept in (declared, 1 - declared) for count in COUNTS for v in _usual()]
        names = ["seed-batch"] if small else ["seed-batch", "digits", "conv"]
        networks = [variation(name, momentum=declared) for name in names]
        yield from leaks(rules[:: 7 if small else 1], networks, sums=sums)


def stationary(small: bool) -> Iterator[Known]:
    """The moving statistics are already close to the batch's, so that laws differ by little."""
    for near, declared in itertools.product((1e-2, 1e-3, 1e-4), (0.1, 0.9, 0.99)):
        rules = [Rule(kept, count) for kept in (declared, 1 - declared) for count in COUNTS]
        networks = [variation(variation(name, near=near), momentum=declared) for name in ("seed-batch",)]
        for cell in leaks(rules[:: 5 if small else 1], networks):
            yield Known(cell.what, cell.kind, cell.network, (LEAK, MOVED, CLEAN), cell.rule)


def averages(small: bool) -> Iterator[Known]:
    """Averages that count their updates."""
    for average, earlier, count in itertools.product(AVERAGES, (0, 1, 4, 30), (1, 2, 3)):
        for shown in (True, False):
            momentum = AVERAGES[average](0.9, earlier + 1)
            whole = math.prod(AVERAGES[average](0.9, earlier + n) for n in range(1, count + 1))
            rule = Rule(0.9, count, average=average)
            said = Rule(momentum, count, average=average) if shown and whole else Rule(whole, 1)
            if average == "first-replaces" and earlier:
                said = Rule(0.9, count)  # exponential from then on
            yield Known(
                f"{average} {earlier} {count} {shown}", counted(rule, earlier, shown), "seed-batch", (LEAK,), said
            )
        if small:
            break
    others: tuple[Average, ...] = ("renormalized", "renormalized-twice", "debiased-mean")
    for other, count in itertools.product(others, (1, 2)):
        if other == "debiased-mean" and count > 1:
            continue
        for network in ("seed-batch",) if small else ("seed-batch", "conv"):
            kind = moving(special(other, count), "backward")
            declared = NETWORKS[network].batch_norms[0].momentum
            yield Known(f"{other} {count}", kind, network, (LEAK,), Rule(declared, count, average=other))


def noise(small: bool, base: type[Runtime], sets: Sequence[Findings]) -> Iterator[Known]:
    """Noise in every prediction, with and without readable state."""
    networks, seeds = (("seed-batch",), range(1)) if small else (("seed-batch", "conv"), range(4))
    for roundings, seed, network in itertools.product(NOISE, seeds, networks):
        yield Known(f"{roundings} {seed} {network}", noisy(roundings, seed, base), network, sets)


def warm(small: bool, base: type[Runtime], sets: Sequence[Findings]) -> Iterator[Known]:
    """The first prediction differs."""
    for roundings, network in itertools.product(
        (8, 34, 100, 400, 800), ("seed-batch",) if small else ("seed-batch", "conv")
    ):
        yield Known(f"{roundings} {network}", warming(roundings, base), network, sets)


def races(small: bool, shows: str) -> Iterator[Known]:
    """Races; the right set is `racy` where some trial that does not wait saw it.

    A tensor that has its old value in every trial is stale, and no race.
    """

    def seen(rows: Sequence[Observation]) -> Sequence[Findings]:
        values = {
            name: {row.arrays[key].tobytes() for row in rows if row.reading == name}
            for name, key in (
                ("undisturbed", "prediction/after"),
                ("immediate", "prediction/after"),
                ("unsettled", "state/at-once/bn.mean"),
            )
        }
        half_written = shows == "tensor" and rows[0].arrays["state/after/bn.mean"].tobytes() not in values["unsettled"]
        races = values["immediate"] != values["undisturbed"] or len(values["unsettled"]) > 1 or half_written
        return (RACY,) if races else (LEAK,)

    for probability, seed in itertools.product(CHANCES[:: 4 if small else 1], range(1 if small else 12)):
        kind = racing(probability, seed, shows)
        yield Known(f"{probability} {seed}", kind, "seed-batch", (), Rule(0.9, 1), True, RACE_TRIALS, seen)


def chances(small: bool) -> Iterator[Known]:
    """Chance in all trials; the right set is `unrepeatable` where two trials of a waiting reading differ."""

    def seen(rows: Sequence[Observation]) -> Sequence[Findings]:
        after = [(row.reading, row.arrays["prediction/after"].tobytes()) for row in rows]
        outcomes = Counter(name for name, _ in dict.fromkeys(after))
        leaking = any(value != rows[0].arrays["prediction/before"].tobytes() for _, value in after)
        if max(outcomes["undisturbed"], outcomes["timed"]) == 1:
            return (LEAK,) if leaking else (CLEAN,)
        return (LEAK | {Finding.UNREPEATABLE},)

    for probability, seed in itertools.product(CHANCES, range(2 if small else 12)):
        yield Known(
            f"{probability} {seed}", chancing(probability, seed), "seed-batch", (), None, True, RACE_TRIALS, seen
        )


def random_writes(small: bool) -> Iterator[Known]:
    """Random numbers are added to a moving mean."""
    for size, each, seed in itertools.product((1e-5, 1e-4, 1e-2, 1.0), (False, True), range(1 if small else 4)):
        sets: Sequence[Findings] = (CORRUPTED, MOVED | {Finding.CORRUPTED})
        if size < 1e-4:
            sets = (*sets, LEAK, MOVED)
        if each:
            sets = [*(one | {Finding.UNREPEATABLE} for one in sets), *(sets if size < 1e-3 else ())]
        networks = ("seed-batch",) if small else ("seed-batch", "conv")
        for network in networks:
            yield Known(f"{size} {each} {seed} {network}", writing(size, seed, each), network, sets, repeated=True)


def tiny(small: bool) -> Iterator[Known]:
    """One channel of 64 that keeps 0.999 and less: visible in the state, if not in the prediction."""
    network = variation("seed-batch", channels=32)
    both = (CORRUPTED, MOVED | {Finding.CORRUPTED})
    for kept in (0.9, 0.99, 0.999):
        yield Known(f"one channel {kept}", one_channel(kept, Training), network, both)
        yield Known(f"one channel, blind {kept}", one_channel(kept, Blind), network, (LEAK,))
        every = moving(exponential(Rule(kept, 1)))
        yield Known(f"all channels {kept}", every, network, (LEAK, MOVED), Rule(kept, 1))


def not_numbers(small: bool) -> Iterator[Known]:
    """Statistics that become not a number or infinite."""
    for value, channels, network in itertools.product(
        (np.nan, np.inf), (1, 2), ("seed-batch",) if small else ("seed-batch", "conv")
    ):
        yield Known(f"{value} {channels} {network}", becoming(value, channels), network, (CORRUPTED,))


def stale(small: bool) -> Iterator[Known]:
    """Reads that come too early, or never see what moved."""
    for network in ("seed-batch",) if small else ("seed-batch", "conv", "residual"):
        declared = NETWORKS[network].batch_norms[0].momentum
        yield Known(f"at once {network}", StaleAtOnce, network, (LEAK,), Rule(declared, 1))
        yield Known(f"always {network}", StaleAlways, network, (LEAK,))


def rewrites(small: bool) -> Iterator[Known]:
    """Statistics that are written anew, within four roundings, and beyond."""
    networks = ("seed-batch",) if small else ("seed-batch", "conv")
    for roundings, network in itertools.product((1, 2, 3, 8, 16), networks):
        yield Known(f"{roundings} {network}", rewriting(roundings), network, (CLEAN if roundings < 4 else MOVED,))


def predictions(small: bool) -> Iterator[Known]:
    """Predicting moves state."""
    for kept, count in itertools.product((0.5, 0.9, 0.99), (1, 2)):
        for call in (None, Rule(0.9, 1)):
            yield Known(f"{kept} {count} {call}", predicting(Rule(kept, count), call), "seed-batch", (LEAK,), call)


def classes(small: bool) -> dict[str, Callable[[], Iterator[Known]]]:
    """Every class by name."""
    return {
        "declared momentum kept": partial(keeping, small, take=False),
        "declared momentum taken": partial(keeping, small, take=True),
        "another momentum": partial(free, small),
        "corrections with epsilon": partial(corrections, small),
        "corrections with epsilon, another momentum": partial(free_corrections, small),
        "sums off by 4 to 16 roundings": partial(rounded_sums, small),
        "statistics near the batch's": partial(stationary, small),
        "other averages": partial(averages, small),
        "noise, no leak": partial(noise, small, Training, (CLEAN,)),
        "noise, no leak, no state": partial(noise, small, Blind, (CLEAN,)),
        "noise and a leak": partial(noise, small, moving(Runtime.update), (LEAK,)),
        "noise and a leak, no state": partial(noise, small, moving(Runtime.update, base=Blind), (LEAK,)),
        "first prediction differs": partial(warm, small, Training, (CLEAN,)),
        "first prediction differs, no state": partial(warm, small, Blind, (CLEAN,)),
        "first prediction differs, and a leak": partial(warm, small, moving(Runtime.update), (LEAK,)),
        "race seen by predictions": partial(races, small, "prediction"),
        "race seen by tensors": partial(races, small, "tensor"),
        "chance in all trials": partial(chances, small),
        "random writes": partial(random_writes, small),
        "tiny leaks": partial(tiny, small),
        "not a number, infinite": partial(not_numbers, small),
        "stale reads": partial(stale, small),
        "rewritten within rounding": partial(rewrites, small),
        "predictions that move state": partial(predictions, small),
    }


# Judging


def trials(known: Known) -> list[Observation]:
    """The trials of a cell: the planned ones, and the repetitions that the matrix asks for."""
    planned = ["undisturbed", "undisturbed", "timed", *(["unsettled", "immediate"] * known.at_once)]
    rows = [observe(known.kind, reading(Scenario.GRADIENT, name), known.network) for name in planned]
    while known.repeated:
        more = {name: count - sum(row.reading == name for row in rows) for name, count in wanting(rows).items()}
        if not any(count > 0 for count in more.values()):
            break
        rows += [
            observe(known.kind, reading(Scenario.GRADIENT, name), known.network)
            for name, count in more.items()
            for _ in range(count)
        ]
    return rows


def row(name: str, cells: Iterable[Known]) -> Row:
    """Judge the cells of a class."""
    told = Row(name)
    for known in cells:
        rows = trials(known)
        verdict = judgement(known.kind, known.network, rows)
        sets = known.sets if known.seen is None else known.seen(rows)
        findings = frozenset(verdict.findings)
        told.cells += 1
        told.findings[findings] += 1
        told.right += findings in sets
        told.false_leaks += Finding.LEAK in findings and not any(Finding.LEAK in one for one in sets)
        told.missed += not frozenset.intersection(*sets) <= findings
        law = "" if known.rule is None else law_told(known, verdict)
        told.laws[law] += bool(law)
        if findings not in sets or law == "another":
            words = ", ".join(finding.value for finding in verdict.findings)
            told.wrong.append(f"{known.what}: {words}; law {law or '-'}: {verdict.update}")
    return told


def law_told(known: Known, verdict: Judgement) -> str:
    """How the law that was told compares with the cell's: right, same (the same numbers), none or another."""
    rule, update = known.rule, verdict.update
    assert rule is not None
    if update is None or update.count is None or update.momentum is None:
        return "none"
    norm = NETWORKS[known.network].batch_norms[0]
    elements = TRUTHS[known.network].batch_statistics[norm.node].count
    if not _same_variance(update.variance, rule.variance, elements, norm.epsilon):
        return "another"
    if (update.count, update.average) == (rule.count, rule.average) and abs(update.momentum - rule.momentum) < 1e-4:
        return "right"
    exponential_ones = {update.average, rule.average} <= {"exponential", "replaced"}
    same = exponential_ones and abs(update.momentum**update.count - rule.momentum**rule.count) < 1e-4
    return "same" if same else "another"


def _same_variance(told: Variance, true: Correction, elements: int, epsilon: float) -> bool:
    """Whether two corrections have one name, or differ by less than float32 sums are exact."""
    if told == "unknown" or told == true:
        return True
    if told == "mixed" or elements == 1:
        return False
    one, other = (CORRECTIONS[name](np.ones(1), elements, epsilon)[0] for name in (told, true))
    return bool(abs(one / other - 1) < 2e-5)


def markdown(rows: Sequence[Row]) -> str:
    """The table."""
    lines = ["| class | cells | right | false `leak` | missed | law | findings |", "|---|--:|--:|--:|--:|---|---|"]
    for row in rows:
        laws = " / ".join(str(row.laws[name]) for name in ("right", "same", "none", "another"))
        sets = "; ".join(
            f"{' '.join(finding.value for finding in Finding if finding in findings) or 'none'} {count}"
            for findings, count in row.findings.most_common()
        )
        law = laws if row.laws.total() else "-"
        lines.append(f"| {row.name} | {row.cells} | {row.right} | {row.false_leaks} | {row.missed} | {law} | {sets} |")
    return "\n".join(lines)


def seen_with(probability: float, trials: int) -> float:
    """The probability that at least one of so many trials shows what each shows with `probability`."""
    return 1 - (1 - probability) ** trials


def race_table() -> str:
    """How likely a race is seen that shows in one trial with a probability; a Markdown table.

    A mode has as many trials as `RACE_CELLS` cells of the default matrix, of one reading that does not wait.
    """
    usual = len(RACE_CELLS)
    more = sum(RACE_TRIALS if name in RACE_NETWORKS else 1 for name in RACE_CELLS)
    lines = [
        f"| one trial | {usual} (a mode) | {RACE_TRIALS} (a cell of an asynchronous runtime) | {more} (its mode) |",
        "|--:|--:|--:|--:|",
    ]
    for chance in CHANCES:
        seen = [seen_with(chance, count) for count in (1, usual, RACE_TRIALS, more)]
        lines.append(f"| {' | '.join(f'{min(round(100 * one), 99)} %' for one in seen)} |")
    return "\n".join(lines)


def main() -> int:
    """Judge every class and print the table."""
    parser = argparse.ArgumentParser(description="What the judge says of runtimes whose behaviour is known.")
    parser.add_argument("--small", action="store_true", help="a part of the cells, in a few seconds")
    parser.add_argument("--wrong", action="store_true", help="list the cells that are not right")
    parser.add_argument("--class", dest="only", default="", help="only the classes whose name contains this")
    parsed = parser.parse_args()
    rows = []
    for name, cells in classes(parsed.small).items():
        if parsed.only in name:
            rows.append(row(name, cells()))
            print(f"{name}: {rows[-1].cells} cells", file=sys.stderr)
    print(markdown(rows))
    print()
    print(race_table())
    for told in rows if parsed.wrong else ():
        for line in told.wrong:
            print(f"{told.name}: {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
