"""The rules: each operator's map from cotangents of outputs to gradients of inputs.

A rule is a function (writer, call, cotangents) -> gradients: `cotangents` has the name of d sum / d output for every
output of the node, None for an unused one; the result has a name for every input, None where `call.wanted` is false or
the operator does not depend on it. Gradients have the shape of their input.
"""

from __future__ import annotations

from crosscheck.networks.differentiate.rules import (
    activations,
    convolution,
    dropout,
    elementwise,
    matrices,
    normalization,
    pooling,
    reductions,
    resampling,
    selections,
    shapes,
)
from crosscheck.networks.differentiate.rules.rule import Rule
from crosscheck.networks.differentiate.rules.statistics import batch_statistics

__all__ = ["INDIFFERENT", "RULES", "batch_statistics"]

#: Operators whose outputs are constants, integers or booleans, or do not depend on the input.
INDIFFERENT = (
    "And",
    "ArgMax",
    "ArgMin",
    "Constant",
    "ConstantOfShape",
    "Equal",
    "EyeLike",
    "Greater",
    "GreaterOrEqual",
    "IsInf",
    "IsNaN",
    "Less",
    "LessOrEqual",
    "NonZero",
    "Not",
    "Or",
    "Shape",
    "Size",
    "Xor",
)

#: Operator -> its rule.
RULES: dict[str, Rule] = {
    operator: rule
    for module in (
        activations,
        convolution,
        dropout,
        elementwise,
        matrices,
        normalization,
        pooling,
        reductions,
        resampling,
        selections,
        shapes,
    )
    for operator, rule in module.RULES.items()
}
