"""Finds `export-changed` in an exported ONNX file by the checker, the attributes, the tensors and the prediction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from crosscheck.cells import Array, Asks, Finding, Intent
from crosscheck.errors import NetworkError
from crosscheck.judge.case import Case
from crosscheck.judge.compare import relative_error
from crosscheck.judge.evaluator import BATCH_NORM_DEFAULTS, evaluate
from crosscheck.judge.predictions import numbers
from crosscheck.judge.thresholds import EXACT
from crosscheck.networks import BatchNorm
from crosscheck.networks.onnx_files import check_sizes
from crosscheck.onnx_models.domains import foreign_operators
from crosscheck.onnx_models.failures import FAILURES
from crosscheck.onnx_models.memory import ANSWERING, limited
from crosscheck.onnx_models.read import parsed
from crosscheck.probe import recorded
from crosscheck.records import Evidence
from crosscheck.repeatability import distance

__all__ = ["file_changed"]

PREFIX = recorded.FILE
VALID = "an exported file conforms to the ONNX specification"


def file_changed(case: Case) -> list[Evidence]:
    """Differences between an exported ONNX file and the exported network."""
    files = {
        key: value for row in case.measured for key, value in row.arrays.items() if key.startswith(PREFIX)
    }  # trials write equal files, or the cell is `unrepeatable`
    if case.asks is not Asks.EXPORT:
        return []
    return [
        item for key, value in files.items() for item in _evidence_of(case, key.removeprefix(PREFIX), value.tobytes())
    ]


def _evidence_of(case: Case, name: str, content: bytes) -> list[Evidence]:
    """The differences of a file, which may have anything in it."""
    try:
        with limited(name, len(content), ANSWERING):
            return list(_file(case, name, content))
    except (NetworkError, *FAILURES) as problem:
        return [_event(f"{name}: cannot be read as a network", " ".join(str(problem).split()))]


def _file(case: Case, name: str, content: bytes) -> Iterator[Evidence]:
    model = parsed(content, name)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as problem:
        yield _event(f"{name}: onnx's checker rejects it", next(iter(str(problem).strip().splitlines()), ""))
    nodes = [node for node in model.graph.node if node.op_type == "BatchNormalization"]
    norms = case.network.batch_norms
    if len(nodes) > len(norms):
        yield _event(f"{name}: {len(nodes)} BatchNormalization nodes", f"the network has {len(norms)}")
    elif len(nodes) == len(norms):
        tensors = _constants(model)
        for node, norm in zip(nodes, norms, strict=True):
            yield from _layer(case, name, node, norm, tensors)
    # Fewer nodes are no error: exporters fold them into convolutions, which only the numbers can judge.
    if not foreign_operators(model):  # ONNX does not define their behaviour
        yield from _prediction(case, name, model)


def _constants(model: onnx.ModelProto) -> dict[str, Array]:
    """Tensor name -> its initialiser or equivalent.

    Some exporters write weights as Constant nodes, some share equal initialisers through Identity nodes.
    """
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Identity" and node.input[0] in tensors:
            tensors[node.output[0]] = tensors[node.input[0]]
        if node.op_type == "Constant":
            for item in node.attribute:
                if item.name == "value":
                    tensors[node.output[0]] = numpy_helper.to_array(item.t)
    return tensors


def _layer(
    case: Case, name: str, node: onnx.NodeProto, norm: BatchNorm, tensors: Mapping[str, Array]
) -> Iterator[Evidence]:
    """Compare one node with its original layer: attributes and the four tensors."""
    attributes = BATCH_NORM_DEFAULTS | {item.name: helper.get_attribute_value(item) for item in node.attribute}
    where = f"of {norm.node} in {name}"
    # Computed statistics may be the batch's, an equivalent training form, which the numbers judge.
    computed = _training(case) and not {*node.input[3:]} & tensors.keys()
    for attribute in ("epsilon",) if computed else ("epsilon", "momentum"):
        expected, actual = np.float32(getattr(norm, attribute)), np.float32(attributes[attribute])
        if actual != expected:
            note = (
                ""
                if any(item.name == attribute for item in node.attribute)
                else ", the default of the absent attribute"
            )
            yield _evidence(
                f"{attribute} {where}: difference",
                abs(float(actual - expected)),
                f"{actual:.6g}{note}, not {expected:.6g}",
            )
    if not computed and bool(attributes["training_mode"]) != _training(case):
        yield _event(f"training_mode {where}", f"it is {attributes['training_mode']}")
    if not attributes["spatial"]:
        yield _event(
            f"spatial {where}",
            "it is 0: in opset 7 and 8 each entry of a row then has separate statistics, "
            "but the layer has one per channel",
        )
    weights = case.weights
    for tensor, source in zip(node.input[1:], (norm.scale, norm.bias, norm.mean, norm.variance), strict=True):
        if computed and source in (norm.mean, norm.variance):
            continue
        if tensor not in tensors:
            yield _event(f"{source} {where}", "it is no initialiser")
        elif (apart := distance(tensors[tensor], weights[source])) > 0:
            yield _evidence(
                f"{source} {where}: largest difference",
                apart,
                f"{numbers(tensors[tensor])}, not {numbers(weights[source])}",
            )


def _prediction(case: Case, name: str, model: onnx.ModelProto) -> Iterator[Evidence]:
    """The file's prediction: batch normalizations by the oracle, other operators by onnx's evaluator."""
    expected = case.truth.prediction(_training(case))
    initialisers = {tensor.name for tensor in model.graph.initializer}
    inputs = [item.name for item in model.graph.input if item.name not in initialisers]
    try:
        with limited(name, model.ByteSize()):
            check_sizes(model, name, inputs[0], case.network.x)
        y = evaluate(model, dict.fromkeys(inputs, case.network.x))[0]
    except Exception as problem:  # evaluators raise any exception for arbitrary files
        kind = "" if isinstance(problem, NetworkError) else f"{type(problem).__name__}: "
        yield _event(f"{name}: cannot be evaluated", kind + " ".join(str(problem).split()))
        return
    error = relative_error(y, expected)
    if threshold := case.exceeded(error):
        yield Evidence(
            Finding.EXPORT_CHANGED,
            f"relative error of the prediction of {name} against the oracle",
            error,
            threshold.value,
            threshold.why,
            f"{numbers(y)} instead of {numbers(expected)}",
        )


def _training(case: Case) -> bool:
    return Intent(case.mode.intent) is Intent.TRAINING


def _event(what: str, detail: str) -> Evidence:
    return Evidence(Finding.EXPORT_CHANGED, what, None, None, VALID, detail)


def _evidence(what: str, value: float, detail: str) -> Evidence:
    return Evidence(Finding.EXPORT_CHANGED, what, value, EXACT.value, "an exporter copies numbers exactly", detail)
