"""The rules: how each operator hands a cotangent from its outputs to its inputs.

A rule is a function (writer, call, cotangents) -> gradients: `cotangents` has the name of d sum / d output for every
output of the node, None where nothing came back; the result has a name for every input, None where `call.wanted` says
that nobody asks or where the operator does not depend on it. Gradients have the shape of their input.
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
from crosscheck.networks.differentiate.rules.normalization import batch_statistics
from crosscheck.networks.differentiate.rules.rule import Rule

__all__ = ["INDIFFERENT", "RULES", "batch_statistics"]

#: Operators whose outputs are constants, integers or truth values, or do not change with the input.
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
