"""The oracle: what a network predicts, its input gradients and its statistics in float64, by no runtime."""

from crosscheck.oracle.laws import Law, Statistics, solve, updated
from crosscheck.oracle.truth import BatchStatistics, batch_statistics, gradient, layers, predict

__all__ = [
    "BatchStatistics",
    "Law",
    "Statistics",
    "batch_statistics",
    "gradient",
    "layers",
    "predict",
    "solve",
    "updated",
]
