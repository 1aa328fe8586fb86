"""What the report reads: a line of `cells.jsonl` and the facts of `run.json`, typed and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, cast

from crosscheck.errors import CrosscheckError, UsageError

__all__ = [
    "PLAIN",
    "Contract",
    "Curve",
    "EnvironmentFacts",
    "Evidence",
    "JudgedCell",
    "Later",
    "ModeFacts",
    "ModeGradientErrors",
    "Outcome",
    "ReadingTrials",
    "Run",
    "RuntimeFacts",
    "Update",
    "anchor",
    "read_cells",
    "read_run",
]

SCHEMA = 1

#: The variant of a release as it is installed.
PLAIN = "plain"

#: How JSON, which has no such numbers, carries them.
_NON_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class Contract(TypedDict):
    """What the runtime documents for a mode: `statistics` is "stay", "move" or "undocumented"."""

    statistics: str
    says: str
    link: str


class Evidence(TypedDict):
    """One number behind a finding, the threshold it was held against, and why that threshold."""

    finding: str
    what: str
    value: float | str | None
    threshold: float | str | None
    why: str
    detail: str


class Outcome(TypedDict):
    """One distinct outcome of a reading's trials, and how many trials ended in it."""

    count: int
    what: str


class ReadingTrials(TypedDict):
    """The trials of one reading: how many, how they ended, and what they saw."""

    reading: str
    count: int
    statuses: dict[str, int]
    outcomes: list[Outcome]


class ModeGradientErrors(TypedDict):
    """Errors of a gradient against either mode's closed form, relative to the oracle's largest entry."""

    inference: float | None
    training: float | None


class Later(TypedDict):
    """Errors of the gradients that were taken after the call under test, at the statistics of that moment."""

    gradient_again: ModeGradientErrors | None
    inference_gradient: ModeGradientErrors | None


class Update(TypedDict):
    """The law by which the statistics moved."""

    when: str
    count: int | None
    momentum: float | None
    variance: str
    residual: float | None


class Curve(TypedDict):
    """`twenty` and `ascent`: accuracy (0 to 1) and the probe image's class before the first call and after each."""

    accuracy: list[float]
    top1: list[int]
    label: int | None


class CellEnvironment(TypedDict):
    """What the trials ran in."""

    python: str
    packages: dict[str, str]
    variables: dict[str, str]


class JudgedCell(TypedDict):
    """One line of `cells.jsonl`.

    A line may leave out the keys of `_DEFAULTS` (a cell that could not be measured has nothing to say there) and
    then reads as that default; every other key has to be there. Predictions and the gradient are [rows][classes].
    """

    schema: int
    id: str
    runtime: str
    release: str
    released: str
    variant: str
    mode: str
    intent: str
    asks: str
    network: str
    scenario: str
    call: str
    status: str
    reason: str | None
    findings: list[str]
    evidence: list[Evidence]
    contract: Contract
    contradicts: bool | None
    trials: list[ReadingTrials]
    prediction_before: list[list[float]] | None
    prediction_after: list[list[float]] | None
    top1_before: list[int] | None
    top1_after: list[int] | None
    gradient: list[Any] | None
    gradient_error: ModeGradientErrors | None
    later: Later | None
    state_changes: dict[str, float]
    update: Update | None
    public_view: str | None
    curve: Curve | None
    seconds: float
    environment: CellEnvironment
    stderr: str
    arrays: str | None
    reproduce: str


#: The keys that a line may leave out or leave null, and what is read then.
_DEFAULTS: Mapping[str, Any] = {
    "released": "",
    "reason": None,
    "call": "",
    "contradicts": None,
    "contract": {"statistics": "undocumented", "says": "", "link": ""},
    "evidence": [],
    "trials": [],
    "prediction_before": None,
    "prediction_after": None,
    "top1_before": None,
    "top1_after": None,
    "gradient": None,
    "gradient_error": None,
    "later": None,
    "state_changes": {},
    "update": None,
    "public_view": None,
    "curve": None,
    "seconds": 0.0,
    "environment": {"python": "", "packages": {}, "variables": {}},
    "stderr": "",
    "arrays": None,
    "reproduce": "",
}
_REQUIRED = tuple(key for key in JudgedCell.__annotations__ if key not in _DEFAULTS)
#: Where "NaN" and its kin stand for numbers; elsewhere they are words.
_NUMERIC = (
    "prediction_before",
    "prediction_after",
    "gradient",
    "gradient_error",
    "later",
    "state_changes",
    "update",
    "curve",
)


class ModeFacts(TypedDict):
    """One way of asking, as the runtime's adapter describes it."""

    name: str
    intent: str
    asks: str
    call: str
    contract: Contract


class RuntimeFacts(TypedDict):
    """A runtime: `releases` from the oldest to the newest, `modes` in the adapter's order."""

    title: str
    link: str
    releases: list[str]
    modes: list[ModeFacts]


class EnvironmentFacts(TypedDict):
    """An environment that the run made or found: the lock it came from and what is in it."""

    lock: str
    python: str
    packages: dict[str, str]


class Run(TypedDict):
    """`run.json`: the machine, the command, the timings (seconds), and what runtimes, networks and scenarios are."""

    schema: int
    crosscheck: str
    started: str
    command: list[str]
    machine: dict[str, Any]
    jobs: int
    isolation: str
    seconds: dict[str, float]
    counts: dict[str, int]
    runtimes: dict[str, RuntimeFacts]
    networks: dict[str, dict[str, str]]
    scenarios: dict[str, dict[str, str]]
    environments: dict[str, EnvironmentFacts]


def read_cells(path: Path) -> list[JudgedCell]:
    """Read `cells.jsonl`, one judged cell a line; the numbers' words "NaN" and "Infinity" come back as numbers.

    Raises UsageError without such a file, CrosscheckError, naming the line, where a line is not strict JSON, lacks a
    key or has another schema.
    """
    lines = enumerate(_text(path).split("\n"), 1)
    return [_cell(line, f"{path}, line {number}") for number, line in lines if line.strip()]


def read_run(path: Path) -> Run:
    """Read `run.json`. Raises UsageError without it, CrosscheckError if it is not JSON with all keys."""
    record = _record(_text(path), str(path))
    _require(record, tuple(Run.__annotations__), str(path))
    return cast(Run, record)


def anchor(cell: JudgedCell) -> str:
    """Return the cell's id as an HTML id: the same text wherever it has no white space, which HTML ids cannot have."""
    return "_".join(cell["id"].split())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(
            f"{path} is not there: {path.parent} holds no finished run. Name the folder of one by --out."
        ) from None


def _cell(line: str, where: str) -> JudgedCell:
    record = _record(line, where)
    _require(record, _REQUIRED, where)
    for key, default in _DEFAULTS.items():
        if record.get(key) is None:
            record[key] = default
    for key in _NUMERIC:
        record[key] = _numbers(record[key])
    record["evidence"] = [
        {**item, "value": _numbers(item["value"]), "threshold": _numbers(item["threshold"])}
        for item in record["evidence"]
    ]
    return cast(JudgedCell, record)


def _record(text: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(text, parse_constant=_refuse)
    except ValueError as problem:
        raise CrosscheckError(f"{where}: not strict JSON ({problem}). Run the job again; it judges anew.") from problem
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise CrosscheckError(
            f"{where}: this crosscheck reads schema {SCHEMA} only. Run the job again with this crosscheck."
        )
    return record


def _require(record: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    missing = [key for key in keys if key not in record]
    if missing:
        raise CrosscheckError(f"{where}: lacks {', '.join(missing)}. Run the job again with this crosscheck.")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _numbers(value: Any) -> Any:
    if isinstance(value, str):
        return _NON_FINITE.get(value, value)
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    return value
