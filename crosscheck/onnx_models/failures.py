"""What Python raises where a node's inputs or attributes contradict its operator, and the sentence about it.

onnx's checker and shape inference accept many nodes that have no meaning: a Slice with steps of another length, a group
that does not divide the channels, a window of a terabyte.
"""

from __future__ import annotations

__all__ = ["FAILURES", "contradiction"]

#: Not AssertionError, which is a mistake of crosscheck's own.
FAILURES = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)


def contradiction(problem: BaseException) -> str:
    """What a node with this failure has, for a message that begins with the node."""
    if isinstance(problem, MemoryError):
        return "needs more memory than crosscheck takes for a file of this size; make its sizes smaller"
    reason = " ".join(str(problem).split()) or type(problem).__name__
    return f"has inputs or attributes that its operator does not take ({reason}); correct them"
