"""What writers of source text share about layers: constructors' keywords, classes, and what every node puts out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from crosscheck.runtimes.family.graph import LAYERS, Node, indented

__all__ = ["NAMES_OF_TORCH", "class_with_layers", "constructed", "options", "shown"]

#: Operator -> what its layer calls its weights, in libraries that took torch's names.
NAMES_OF_TORCH = {
    "BatchNormalization": ("weight", "bias", "running_mean", "running_var"),
    "Conv": ("weight", "bias"),
    "Gemm": ("weight", "bias"),
}


def options(node: Node, dilation: str, groups: str, no_bias: str) -> list[str]:
    """The keywords of a convolution that say something only where it is dilated, grouped or without a bias.

    dilation, groups: the keywords; no_bias: keyword and value.
    """
    attributes = node.attributes
    words = []
    if set(attributes["dilations"]) != {1}:
        words.append(f"{dilation}={tuple(attributes['dilations'])}")
    if attributes["group"] != 1:
        words.append(f"{groups}={attributes['group']}")
    if len(node.weights) == 1:
        words.append(no_bias)
    return words


def constructed(graph: Sequence[Node], shared: Collection[Node], layer: Callable[[Node], str]) -> list[str]:
    """Lines of `__init__`: a layer for every node with weights, the one of `first` for those that are shared."""
    made = [(node, f"first.{node.id}" if node in shared else layer(node)) for node in graph if node.op in LAYERS]
    return [f"self.{node.id} = {value}" for node, value in made]


def class_with_layers(
    head: str,
    init: Sequence[str],
    call: Sequence[str],
    decorated: str = "",
    method: str = "__call__(self, x)",
    arguments: str = "self",
) -> str:
    """The class of a network. init, call: lines of `__init__` and of `method`; decorated: the line before the latter.

    arguments: those of `__init__`.
    """
    return (
        f"class {head}:\n"
        + indented([f"def __init__({arguments}):"])
        + indented(init or ["pass"], 2)
        + "\n"
        + indented([*([decorated] if decorated else []), f"def {method}:"])
        + indented(call, 2)
        + "\n\n"
    )


def shown(graph: Sequence[Node], entry: str, expression: Callable[[Node, list[str]], str]) -> list[str]:
    """Lines that set `layers`, tensor of the graph -> its value; `expression` as for `graph.statements`.

    entry: the name of the graph's input, which is the variable `x`.
    """

    def variable(name: str) -> str:
        return "x" if name == entry else f'layers["{name}"]'

    return [
        "layers = {}",
        *(f"{variable(node.output)} = {expression(node, [variable(name) for name in node.inputs])}" for node in graph),
    ]
