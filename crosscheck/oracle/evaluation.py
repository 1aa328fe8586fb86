"""Evaluates a plain graph in float64: predictions, input gradients and batch statistics, in either mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from autograd import make_vjp  # type: ignore[import-untyped]

from crosscheck.cells import Array
from crosscheck.oracle.operators import OPERATORS, batch_mean_and_variance, by_batch, renormalize

if TYPE_CHECKING:  # the toy runtime of the tests computes by this module, and needs no ONNX
    from crosscheck.networks.graph import Graph, Node

__all__ = [
    "BatchStatistics",
    "batch_statistics",
    "evaluate",
    "gradient",
    "layers",
    "predict",
    "renormalized_gradient",
    "values",
]

#: Computes a node's output, by default with its operator: (node, operator, inputs) -> output.
Apply = Callable[["Node", Callable[..., Array], Sequence[Array]], Array]


@dataclass(frozen=True, eq=False)
class BatchStatistics:
    """Batch statistics of one batch normalization: float64 (channels,) each, and the elements per channel."""

    mean: Array
    variance: Array  # biased: the sum of squares divided by `count`
    count: int


def predict(graph: Graph, weights: Mapping[str, Array], x: Array, training: bool = False) -> Array:
    """The output for x, float64 (rows, ...); with `training`, batch normalization uses the batch's own statistics."""
    return evaluate(graph, _float64(weights), np.asarray(x, np.float64), training)[0]


def gradient(graph: Graph, weights: Mapping[str, Array], x: Array, cotangent: Array, training: bool = False) -> Array:
    """The gradient d sum(output · cotangent) / d x, float64; with `training`, through the batch's own statistics."""
    numbers = _float64(weights)
    pull_back, _ = make_vjp(lambda traced: evaluate(graph, numbers, traced, training)[0])(np.asarray(x, np.float64))
    result: Array = pull_back(np.asarray(cotangent, np.float64))
    return result


def renormalized_gradient(graph: Graph, weights: Mapping[str, Array], x: Array, cotangent: Array) -> Array:
    """The training-mode gradient of batch renormalization whose averages equal the moving statistics."""
    numbers, output = _float64(weights), graph["outputs"][0]["name"]
    pull_back, _ = make_vjp(
        lambda traced: values(graph, numbers, traced, training=True, batch_norm=renormalize)[0][output]
    )(np.asarray(x, np.float64))
    result: Array = pull_back(np.asarray(cotangent, np.float64))
    return result


def batch_statistics(
    graph: Graph, weights: Mapping[str, Array], x: Array, training: bool = True
) -> dict[str, BatchStatistics]:
    """The batch statistics of every batch normalization for x, by node name; without `training`, in inference mode."""
    numbers, x = _float64(weights), np.asarray(x, np.float64)
    if training:
        return values(graph, numbers, x, training)[1]
    statistics = {}

    def seen(node: Node, operator: Callable[..., Array], inputs: Sequence[Array]) -> Array:
        if node["op"] == "BatchNormalization":
            statistics[node["name"]] = _statistics(inputs[0])
        return _apply(node, operator, inputs)

    values(graph, numbers, x, training, apply=seen)
    return statistics


def layers(graph: Graph, weights: Mapping[str, Array], x: Array, training: bool = False) -> dict[str, Array]:
    """The output of every node for x, float64, by tensor name, in execution order."""
    tensors = values(graph, _float64(weights), np.asarray(x, np.float64), training)[0]
    return {node["outputs"][0]: tensors[node["outputs"][0]] for node in graph["nodes"]}


def evaluate(
    graph: Graph, weights: Mapping[str, Array], x: Array, training: bool
) -> tuple[Array, dict[str, BatchStatistics]]:
    """The output, and with `training` the batch statistics by node name; differentiable by autograd in x and weights.

    Arrays have to be float64 already. Raises KeyError for an operator that `crosscheck.networks.graph` does not list.
    """
    tensors, statistics = values(graph, weights, x, training)
    return tensors[graph["outputs"][0]["name"]], statistics


def _apply(node: Node, operator: Callable[..., Array], inputs: Sequence[Array]) -> Array:
    return operator(node["attributes"], *inputs)


def values(
    graph: Graph,
    weights: Mapping[str, Array],
    x: Array,
    training: bool,
    batch_norm: Callable[..., Array] = by_batch,
    apply: Apply = _apply,
) -> tuple[dict[str, Array], dict[str, BatchStatistics]]:
    """Every tensor, and with `training` the batch statistics by node name, in the arrays' own type.

    batch_norm: the operator of batch normalizations in training mode. apply: see `Apply`.
    """
    tensors = {**weights, graph["inputs"][0]["name"]: x}
    statistics: dict[str, BatchStatistics] = {}
    for node in graph["nodes"]:
        inputs, operator = [tensors[name] for name in node["inputs"]], OPERATORS[node["op"]]
        if training and node["op"] == "BatchNormalization":
            operator = batch_norm
            statistics[node["name"]] = _statistics(inputs[0])
        tensors[node["outputs"][0]] = apply(node, operator, inputs)
    return tensors, statistics


def _statistics(x: Array) -> BatchStatistics:
    return BatchStatistics(*batch_mean_and_variance(x), x.size // x.shape[1])


def _float64(weights: Mapping[str, Array]) -> dict[str, Array]:
    return {name: np.asarray(value, np.float64) for name, value in weights.items()}
