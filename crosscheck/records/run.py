"""`run.json`: the machine, the command, the times, and what the cells of a run are about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from crosscheck.cells import Asks, Intent
from crosscheck.records.contract import UNDOCUMENTED, Contract

__all__ = [
    "BatchNormFacts",
    "EnvironmentFacts",
    "FileFacts",
    "ModeFacts",
    "NetworkFacts",
    "Run",
    "RuntimeFacts",
    "ScenarioFacts",
    "ShardFacts",
    "ValueFacts",
]


@dataclass(frozen=True)
class ModeFacts:
    """One mode, as its runtime's folder describes it; `crosscheck.runtimes.mode.Mode` has the meaning of each field.

    summary: what is peculiar to it, in a sentence (`crosscheck.runtimes.catalog.Runtime.summary`); "" for early runs.
    answers: what a toolkit's call answers, in words (`crosscheck.runtimes.answer.Answer.said`); "" for others.
    """

    name: str
    intent: Intent
    asks: Asks
    call: str
    contract: Contract = UNDOCUMENTED
    unit_scale: bool = False
    zero_bias: bool = False
    batch_prediction: bool = False
    renormalized: bool = False
    since: str | None = None
    until: str | None = None
    inference: str | None = None
    training: str | None = None
    default: bool = False
    kind: str = ""
    form: str | None = None
    summary: str = ""
    starts: str = ""
    answers: str = ""


@dataclass(frozen=True)
class RuntimeFacts:
    """A runtime: `releases`, oldest first, `modes` in their order, `clears`, `base` and `apis` as in the catalog.

    unlisted: release that the run resolved by itself -> how.
    """

    title: str
    link: str
    releases: tuple[str, ...]
    modes: tuple[ModeFacts, ...]
    clears: str = ""
    base: str = ""
    apis: Mapping[str, str] = field(default_factory=dict)
    unlisted: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ValueFacts:
    """An input or output of a user's file, as asked about. type, shape: "" and None where they are not known."""

    name: str
    type: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class BatchNormFacts:
    """All batch normalizations with the same attributes.

    attributes: in words. statistics: which of them an inference call uses, in words. layers: the node's name, or its
    number, and its number of channels, or "?".
    """

    attributes: str
    statistics: str
    layers: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class FileFacts:
    """A user's file as it was asked about: old opsets converted, sizes fixed.

    inputs: the differentiated one first; the others are held. outputs: the differentiated one first. operators: name ->
    count. differentiated: of each row of the first output, in words; "" without an input gradient. rows: of the input.
    said: sentences about sizes and values that crosscheck chose, without the path.
    """

    file: str
    opset: int
    ir: int
    nodes: int
    inputs: tuple[ValueFacts, ...]
    outputs: tuple[ValueFacts, ...]
    operators: Mapping[str, int]
    batch_norms: tuple[BatchNormFacts, ...]
    differentiated: str
    rows: int
    said: tuple[str, ...]


@dataclass(frozen=True)
class NetworkFacts:
    """A network: its title, its short name ("" for its name), and a user's file."""

    title: str
    short: str = ""
    file: FileFacts | None = None


@dataclass(frozen=True)
class ScenarioFacts:
    """What a scenario is for, and its steps in words."""

    question: str
    steps: str


@dataclass(frozen=True)
class EnvironmentFacts:
    """An environment of the run: its lock and contents."""

    lock: str
    python: str
    packages: Mapping[str, str] = field(default_factory=dict)
    key: str = ""


@dataclass(frozen=True)
class ShardFacts:
    """Which part of a job a run is (`crosscheck run --shard`), and what all parts have in common.

    parts: what each part measures, as in `crosscheck.shards.Division`. job: the options of the whole job that decide
    what is measured. code: a digest of crosscheck and of the runtimes' folders. targets, networks: those of the whole
    job; name of a network -> digest.
    """

    number: int
    count: int
    parts: tuple[tuple[str, ...], ...]
    job: Mapping[str, Any]
    code: str
    targets: tuple[str, ...]
    networks: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Run:
    """The facts of a run; times are in seconds.

    causes: numbers of cells ("cells_asked", "cells_left_out", "cells_unmeasured") as in `crosscheck.locate.Located`;
    empty for early runs. import_seconds: of each target's runtime. fingerprint: a digest of what the run depends on.
    shard: of a part of a job.
    """

    crosscheck: str
    started: str
    command: tuple[str, ...]
    machine: Mapping[str, Any]
    jobs: int
    isolation: str
    seconds: Mapping[str, float]
    counts: Mapping[str, Any]
    runtimes: Mapping[str, RuntimeFacts]
    networks: Mapping[str, NetworkFacts]
    scenarios: Mapping[str, ScenarioFacts]
    environments: Mapping[str, EnvironmentFacts]
    causes: Mapping[str, int] = field(default_factory=dict)
    import_seconds: Mapping[str, float] = field(default_factory=dict)
    fingerprint: str = ""
    shard: ShardFacts | None = None
