"""The rules: each operator's map from cotangents of outputs to gradients of inputs.

A rule is a function (writer, call, cotangents) -> gradients: `cotangents` has the name of d sum / d output for every
output of the node, None for an unused one; the result has a name for every input, None where `call.wanted` is false or
the operator does not depend on it. Gradients have the shape of their input.
"""

from __future__ import annotations

from crosscheck.gradients.rules import (
    activations,
    convolution,
    dropout,
    einsum,
    elementwise,
    matrices,
    normalization,
    pooling,
    quantization,
    reductions,
    resampling,
    scatters,
    selections,
    shapes,
    trigonometry,
)
from crosscheck.gradients.rules.rule import Rule
from crosscheck.gradients.rules.statistics import batch_statistics

__all__ = ["INDIFFERENT", "MOVING", "RULES", "batch_statistics"]

#: Operators whose outputs are constants, integers or booleans, or do not depend on the input.
INDIFFERENT = (
    "And",
    "ArgMax",
    "ArgMin",
    "Bernoulli",
    "BitCast",
    "BitShift",
    "BitwiseAnd",
    "BitwiseNot",
    "BitwiseOr",
    "BitwiseXor",
    "BlackmanWindow",
    "Constant",
    "ConstantOfShape",
    "Equal",
    "EyeLike",
    "Greater",
    "GreaterOrEqual",
    "HammingWindow",
    "HannWindow",
    "IsFinite",
    "IsInf",
    "IsNaN",
    "Less",
    "LessOrEqual",
    "MelWeightMatrix",
    "Multinomial",
    "NonMaxSuppression",
    "NonZero",
    "Not",
    "Or",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Shape",
    "Size",
    "Xor",
)

#: Operators with a rule for quantized outputs, too: they move elements and keep their values.
MOVING = (
    "QuantizeLinear",
    "Concat",
    "Flatten",
    "Gather",
    "Identity",
    "Reshape",
    "Slice",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
)

#: Operator -> its rule.
RULES: dict[str, Rule] = {
    operator: rule
    for module in (
        activations,
        convolution,
        dropout,
        einsum,
        elementwise,
        matrices,
        normalization,
        pooling,
        quantization,
        reductions,
        resampling,
        scatters,
        selections,
        shapes,
        trigonometry,
    )
    for operator, rule in module.RULES.items()
}
