"""The oracle: predictions, input gradients and statistics in float64, independent of every runtime."""

from crosscheck.oracle.evaluation import (
    BatchStatistics,
    batch_statistics,
    gradient,
    layers,
    predict,
    renormalized_gradient,
)
from crosscheck.oracle.laws import Law, Statistics, agree, explanations, solve, updated

__all__ = [
    "BatchStatistics",
    "Law",
    "Statistics",
    "agree",
    "batch_statistics",
    "explanations",
    "gradient",
    "layers",
    "predict",
    "renormalized_gradient",
    "solve",
    "updated",
]
