"""Attributes the error of an imported file to the exporter, the importer or both.

Errors are largest absolute differences, relative to the largest entry of the oracle's answer for the exported network;
`inf` for answers of another shape.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from crosscheck import oracle
from crosscheck.cells import MEASURED, Array, Asks, Observation
from crosscheck.judge.compare import relative_error
from crosscheck.judge.file_reference import FileTruth
from crosscheck.judge.thresholds import CLOSED_FORM
from crosscheck.networks import Network
from crosscheck.onnx_models.domains import foreign_operators, opset_of
from crosscheck.probe import recorded
from crosscheck.records import Exported, FirstLayer, Trip
from crosscheck.records.exported import Fault

__all__ = ["Origin", "exported", "trip"]


@dataclass(frozen=True)
class Origin:
    """An export: the cell, the network's tensors in its mode, and whether it is a training export."""

    cell: str
    network: Network
    weights: Mapping[str, Array]
    training: bool = False


def exported(
    truth: FileTruth,
    file: str,
    asks: Asks = Asks.EXPORT,
    observation: Observation | None = None,
    layer: FirstLayer | None = None,
    origins: Sequence[Origin] = (),
) -> Exported:
    """Build the `exported` field of a line; for a reader, with its first trial `observation` and one trip per origin.

    layer: the first node that differs between reader and file, if the reader exposes nodes.
    """
    answer = None if observation is None else _answer(observation, asks)
    importer_error = None
    if answer is not None and truth.known(asks):
        importer_error = _error(answer, truth.answer(asks, training=False))
    return Exported(
        network=truth.network.name,
        file=file,
        opset=opset_of(truth.network.model) or None,
        foreign=foreign_operators(truth.network.model),
        refusal=truth.refusal,
        importer_error=importer_error,
        trips=[trip(truth, asks, origin, answer, importer_error, layer) for origin in origins],
    )


def trip(
    truth: FileTruth,
    asks: Asks,
    origin: Origin,
    answer: Array | None,
    importer_error: float | None,
    layer: FirstLayer | None,
) -> Trip:
    """The trip of one export and one reader; `answer` is None if the reader gave none."""
    assert truth.source is not None, "a runtime exported the file"
    expected = truth.source.answer(asks, origin.training, origin.weights)
    file_error = _error(truth.answer(asks, training=False), expected) if truth.known(asks) else None
    if answer is None:
        return Trip(origin.cell, None, file_error, None)
    error = _error(answer, expected)
    fault = _fault(error, file_error, importer_error)
    if fault == "none":
        return Trip(origin.cell, error, file_error, fault)
    if layer is not None:
        return Trip(origin.cell, error, file_error, fault, "importer", layer)
    layer = _first_difference(truth, origin) if fault in ("exporter", "both") else None
    return Trip(origin.cell, error, file_error, fault, None if layer is None else "exporter", layer)


def _answer(observation: Observation, asks: Asks) -> Array | None:
    key = recorded.GRADIENT_FIRST if asks is Asks.GRADIENT else recorded.FORWARD_FIRST
    return observation.arrays.get(key) if observation.status in MEASURED else None


def _error(value: Array, expected: Array) -> float:
    return relative_error(value, expected)


def _fault(error: float, file_error: float | None, importer_error: float | None) -> Fault:
    if error <= CLOSED_FORM.value:
        return "none"
    if file_error is None or importer_error is None:
        return "unknown"
    exporter, importer = file_error > CLOSED_FORM.value, importer_error > CLOSED_FORM.value
    if exporter and importer:
        return "both"
    # Two errors just below the threshold can add up to one above it.
    return "exporter" if exporter or (not importer and file_error >= importer_error) else "importer"


def _first_difference(truth: FileTruth, origin: Origin) -> FirstLayer | None:
    """The first node of the file whose value differs from that of the network's n-th node of the same operator.

    Skips operators whose counts differ between file and network: nodes were merged or split.
    """
    with np.errstate(all="ignore"):
        values = oracle.layers(origin.network.graph, origin.weights, origin.network.x, origin.training)
    sources = [(node["op"], values[node["outputs"][0]]) for node in origin.network.graph["nodes"]]
    nodes = truth.network.graph["nodes"]
    there, here = Counter(op for op, _ in sources), Counter(node["op"] for node in nodes)
    occurrences: Counter[str] = Counter()
    expected_layers = truth.layers(training=False)
    for node in nodes:
        op, name = node["op"], node["outputs"][0]
        if there[op] != here[op] or name not in expected_layers:
            continue
        expected = [value for kind, value in sources if kind == op][occurrences[op]]
        occurrences[op] += 1
        error = _error(expected_layers[name], expected)
        if error > CLOSED_FORM.value:
            return FirstLayer(node=node["name"], op=op, tensor=name, error=error)
    return None
