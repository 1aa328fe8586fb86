"""Writes the smallest case: network, inputs, script and a short text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from crosscheck.cells import Array, Asks, Intent, Scenario
from crosscheck.errors import CrosscheckError
from crosscheck.judge import Truth, fields_of, line
from crosscheck.networks.prepare import write_arrays
from crosscheck.probe import recorded
from crosscheck.records import JudgedCell
from crosscheck.records.versions import cell_of
from crosscheck.reduce.experiment import Answer
from crosscheck.reduce.symptom import Symptom
from crosscheck.repeatability import distance, same
from crosscheck.run_facts import environment_facts
from crosscheck.runtimes.catalog import Runtime
from crosscheck.script.writer import NoScript, composed

__all__ = ["write"]

#: The largest array that the text shows.
SHOWN = 64
#: The reading of `order` that scripts repeat.
AFTER_OTHER = "after-other"


def write(
    folder: Path,
    answer: Answer,
    symptom: Symptom,
    command: str,
    told: Sequence[str],
    runtimes: Mapping[str, Runtime] | None = None,
) -> None:
    """Write `network.onnx`, `inputs.npz` (x, cotangent), the script and `README.md` to a folder.

    command: what repeats the reduction. told: sentences about it. runtimes: what stands in for the catalog.
    Raises CrosscheckError if the folder cannot be written to.
    """
    planned = answer.planned
    network = planned.network
    cell = cell_of(
        line(
            planned.cell,
            planned.mode,
            fields_of(answer.judgement),
            released=planned.target.release.released,
            environment=environment_facts(planned, answer.environment),
            reproduce=command,
            call=planned.call,
        ),
    )
    answers = _answers(answer)
    if answers and network.x.size <= SHOWN:
        cell = replace(cell, gradient=answers[0][1].tolist())
    try:
        onnx.save(network.model, folder / "network.onnx")
        write_arrays(folder / "inputs.npz", {"x": network.x, "cotangent": network.cotangent})
        script = _script(folder, answer, cell, runtimes)
        text = _text(answer, symptom, cell, answers, command, told, script)
        (folder / "README.md").write_text(text, encoding="utf-8")
    except OSError as problem:
        raise CrosscheckError(f"{folder}: {problem.strerror or problem}. Name another folder by -o.") from problem


def _script(folder: Path, answer: Answer, cell: JudgedCell, runtimes: Mapping[str, Runtime] | None) -> str:
    """Write the script; returns a sentence about it."""
    try:
        text = "".join(composed(cell, answer.planned.network, runtimes))
    except NoScript as why:
        return f"There is no script of this case: {why}"
    name = "smallest.mjs" if text.startswith("//") else "smallest.py"
    (folder / name).write_text(text, encoding="utf-8")
    how = "node, as its first line says" if name.endswith(".mjs") else f"`uv run {name}`"
    return f"`{name}` shows it without crosscheck: {how}."


def _answers(answer: Answer) -> list[tuple[int, Array]]:
    """The distinct first answers (input gradients, or outputs) of the trials of one reading, each with its trials.

    The reading is the one that the script repeats. The answer furthest from the closed form of the mode's intent is the
    first, since a trial may be right by chance.
    """
    groups: list[list[Array]] = []
    shown = AFTER_OTHER if answer.planned.cell.scenario == Scenario.ORDER else answer.observations[0].reading
    for row in answer.observations:
        value = row.arrays.get(_answered(answer))
        if row.reading == shown and value is not None:
            group = next((group for group in groups if same(group[0], value)), None)
            if group is None:
                groups.append([value])
            else:
                group.append(value)
    if not groups:
        return []
    mode = answer.planned.mode
    right = Truth.of(answer.planned.network).in_mode(mode).answer(Asks(mode.asks), mode.intent == Intent.TRAINING)
    return sorted(((len(group), group[0]) for group in groups), key=lambda group: -distance(group[1], right))


def _answered(answer: Answer) -> str:
    """What the first answer of the mode is recorded as."""
    return recorded.GRADIENT_FIRST if answer.planned.mode.asks == Asks.GRADIENT else recorded.FORWARD_FIRST


def _text(
    answer: Answer,
    symptom: Symptom,
    cell: JudgedCell,
    answers: Sequence[tuple[int, Array]],
    command: str,
    told: Sequence[str],
    script: str,
) -> str:
    network, target = answer.planned.network, answer.planned.target
    arrays: dict[str, Array] = {"x": network.x, "cotangent": network.cotangent, **network.weights}
    parts = [
        f"# {symptom.finding}: {target.runtime.title} {target.release.version}, {cell.mode}",
        "\n".join(
            (
                f"- release: {target.id}, CPython {cell.environment.python}",
                f"- mode: {cell.mode} (intent {cell.intent}), scenario {cell.scenario}",
                f"- documented: statistics {cell.contract.statistics}, {cell.contract.link}",
                f"- findings: {', '.join(cell.findings)}",
                *(f"- {sentence}" for sentence in told),
            )
        ),
        "\n".join(_node(node) for node in network.graph["nodes"]),
        "\n\n".join(f"{name}, {_shape(array)}:\n\n{_block(array)}" for name, array in arrays.items()),
        *_numbers(answer, answers),
        "\n".join(
            f"- {item.finding}: {_evidence(item.what, item.value, item.threshold, item.detail)}"
            for item in answer.judgement.evidence
        ),
        f"{script} `network.onnx` and `inputs.npz` (x, cotangent) are the same case. Made by `{command}`.",
    ]
    return "\n\n".join(parts) + "\n"


def _node(node: Mapping[str, Any]) -> str:
    words = [*node["inputs"], *(f"{name}={value}" for name, value in node["attributes"].items())]
    return f"    {node['outputs'][0]} = {node['op']}({', '.join(words)})"


def _numbers(answer: Answer, answers: Sequence[tuple[int, Array]]) -> list[str]:
    """The measured answers and both closed forms, where they are small."""
    network, asks = answer.planned.network, Asks(answer.planned.mode.asks)
    if not answers or network.x.size > SHOWN:
        return []
    trials = sum(count for count, _ in answers)
    title = "input gradient" if asks is Asks.GRADIENT else "output"
    rows = [
        (f"{title}, measured" + (f" in {count} of {trials} trials" if len(answers) > 1 else ""), value)
        for count, value in answers
    ]
    truth = Truth.of(network).in_mode(answer.planned.mode)
    rows += [(f"{intent}-mode closed form", truth.answer(asks, intent is Intent.TRAINING)) for intent in Intent]
    return [f"{title}:\n\n{_block(np.asarray(value, np.float64))}" for title, value in rows]


def _evidence(what: str, value: float | None, threshold: float | None, detail: str) -> str:
    numbers = "" if value is None else f" {value:.6g}" + ("" if threshold is None else f", threshold {threshold:.6g}")
    return what + numbers + (f" ({detail})" if detail else "")


def _shape(array: Array) -> str:
    return "x".join(map(str, array.shape)) or "one number"


def _block(array: Array) -> str:
    """The numbers of an array, indented, in six digits; long ones only in part."""
    text = np.array2string(array, precision=6, threshold=SHOWN, separator=" ", max_line_width=112)
    return "\n".join("    " + row for row in text.splitlines())
