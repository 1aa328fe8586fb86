"""Writes the smallest case: network, inputs, script and a short text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx

from crosscheck.cells import Array
from crosscheck.errors import CrosscheckError
from crosscheck.job import environment_facts
from crosscheck.judge import line
from crosscheck.networks.prepare import write_arrays
from crosscheck.reduce.experiment import Answer
from crosscheck.reduce.symptom import Symptom
from crosscheck.report.records import JudgedCell
from crosscheck.runtimes.catalog import Runtime
from crosscheck.script.writer import NoScript, composed

__all__ = ["write"]

#: The largest array that the text shows.
SHOWN = 64


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
    cell = cast(
        JudgedCell,
        line(
            planned.cell,
            planned.mode,
            answer.judgement,
            released=planned.target.release.released,
            environment=environment_facts(planned, answer.environment),
            reproduce=command,
            call=planned.call,
        ),
    )
    try:
        onnx.save(network.model, folder / "network.onnx")
        write_arrays(folder / "inputs.npz", {"x": network.x, "cotangent": network.cotangent})
        script = _script(folder, answer, cell, runtimes)
        (folder / "README.md").write_text(_text(answer, symptom, cell, command, told, script), encoding="utf-8")
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


def _text(answer: Answer, symptom: Symptom, cell: JudgedCell, command: str, told: Sequence[str], script: str) -> str:
    network, target = answer.planned.network, answer.planned.target
    arrays: dict[str, Array] = {"x": network.x, "cotangent": network.cotangent, **network.weights}
    parts = [
        f"# {symptom.finding}: {target.runtime.title} {target.release.version}, {cell['mode']}",
        "\n".join(
            (
                f"- release: {target.id}, CPython {cell['environment']['python']}",
                f"- mode: {cell['mode']} (intent {cell['intent']}), scenario {cell['scenario']}",
                f"- documented: statistics {cell['contract']['statistics']}, {cell['contract']['link']}",
                f"- findings: {', '.join(cell['findings'])}",
                *(f"- {sentence}" for sentence in told),
            )
        ),
        "\n".join(_node(node) for node in network.graph["nodes"]),
        "\n\n".join(f"{name}, {_shape(array)}:\n\n{_block(array)}" for name, array in arrays.items()),
        *_numbers(cell),
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


def _numbers(cell: JudgedCell) -> list[str]:
    """The measured answer and both closed forms, where they are small."""
    if cell["gradient"] is None:
        return []
    rows: dict[str, Any] = {"measured": cell["gradient"], **(cell["closed_forms"] or {})}
    titles = {"measured": "input gradient, measured"}
    return [
        f"{titles.get(name, f'{name}-mode closed form')}:\n\n{_block(np.array(value, np.float64))}"
        for name, value in rows.items()
    ]


def _evidence(what: str, value: float | None, threshold: float | None, detail: str) -> str:
    numbers = "" if value is None else f" {value:.6g}" + ("" if threshold is None else f", threshold {threshold:.6g}")
    return what + numbers + (f" ({detail})" if detail else "")


def _shape(array: Array) -> str:
    return "x".join(map(str, array.shape)) or "one number"


def _block(array: Array) -> str:
    """The numbers of an array, indented, in six digits; long ones only in part."""
    text = np.array2string(array, precision=6, threshold=SHOWN, separator=" ", max_line_width=112)
    return "\n".join("    " + row for row in text.splitlines())
