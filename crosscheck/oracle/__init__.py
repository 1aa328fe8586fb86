"""The oracle: what a network predicts, its input gradients and its statistics in float64, by no runtime."""

from crosscheck.oracle.laws import Average, Law, Statistics, solve, updated
from crosscheck.oracle.truth import BatchStatistics, batch_statistics, gradient, layers, predict, renormalized_gradient

__all__ = [
    "Average",
    "BatchStatistics",
    "Law",
    "Statistics",
    "batch_statistics",
    "gradient",
    "layers",
    "predict",
    "renormalized_gradient",
    "solve",
    "updated",
]
