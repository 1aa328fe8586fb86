"""What networks in layers and in programs have in common, in releases since 2.0 and before."""

from __future__ import annotations

from crosscheck.runtimes.family.graph import Node
from crosscheck.runtimes.source import Request, Stored

__all__ = ["KEYS", "fetched", "half", "place", "turned", "value"]

#: Operator -> what its layer calls its weights.
KEYS = {
    "BatchNormalization": ("weight", "bias", "_mean", "_variance"),
    "Conv": ("weight", "bias"),
    "Gemm": ("weight", "bias"),
}


def turned(node: Node, number: int) -> bool:
    """Whether Paddle has the transpose of a weight: matrices of dense layers are (in, out)."""
    return node.op == "Gemm" and number == 0


def value(node: Node, number: int) -> str:
    """A weight as Paddle has it."""
    return node.values[number] + ".T" * turned(node, number)


def place(node: Node, number: int, tensor: str = "{}") -> Stored:
    """Where a weight is; `tensor` is an expression with `{}` for the layer's own variable."""
    axes = (1, 0) if turned(node, number) else None
    return tensor.format(f"net.{node.id}.{KEYS[node.op][number]}"), axes


def half(request: Request) -> str:
    """The mode of the network in a mode that asks for a prediction; `norm` is given to those in evaluation alone."""
    return "train" if request.intent == "training" and not request.norm else "eval"


def fetched(cloned: bool) -> str:
    """Sets `layers`, variables of the program `watched`, to their values; of its clone for testing, if it is cloned."""
    clone = (
        "watched = watched.clone(for_test=True)\n"
        "layers = {name: watched.global_block().var(value.name) for name, value in layers.items()}\n"
    )
    return (clone if cloned else "") + (
        'values = exe.run(watched, feed={"x": image}, fetch_list=list(layers.values()))\n'
        "layers = dict(zip(layers, values))\n"
    )
