"""What writers of source text share about layers: constructors' keywords, and classes."""

from __future__ import annotations

from collections.abc import Sequence

from crosscheck.runtimes.family.graph import Node, indented

__all__ = ["NAMES_OF_TORCH", "class_with_layers", "options"]

#: Operator -> what its layer calls its weights, in libraries that took torch's names.
NAMES_OF_TORCH = {
    "BatchNormalization": ("weight", "bias", "running_mean", "running_var"),
    "Conv": ("weight", "bias"),
    "ConvTranspose": ("weight", "bias"),
    "Gemm": ("weight", "bias"),
}


def options(node: Node, dilation: str, groups: str, no_bias: str = "") -> list[str]:
    """The keywords of a convolution that say something only where it is dilated, grouped or without a bias.

    dilation, groups: the keywords; no_bias: keyword and value, for layers that have a bias unless told otherwise.
    """
    words = [f"{dilation}={node.dilations}"] * node.dilated
    words += [f"{groups}={node.attributes['group']}"] * (node.attributes["group"] != 1)
    return words + [no_bias] * (no_bias != "" and not node.biased)


def class_with_layers(
    head: str,
    init: Sequence[str],
    call: Sequence[str],
    method: str = "__call__(self, x)",
    arguments: str = "self",
    fields: Sequence[str] = (),
    decorated: str = "",
) -> str:
    """The class of a network. init, call: lines of `__init__` and of `method`; decorated: the line before the latter.

    arguments: those of `__init__`. fields: lines before it.
    """
    return (
        f"class {head}:\n"
        + indented([*fields, f"def __init__({arguments}):"])
        + indented(init or ["pass"], 2)
        + "\n"
        + indented([*([decorated] if decorated else []), f"def {method}:"])
        + indented(call, 2)
        + "\n\n"
    )
