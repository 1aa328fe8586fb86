"""Collects every node that cannot be differentiated, for one message about all of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from crosscheck.errors import NetworkError
from crosscheck.gradients.call import Call
from crosscheck.onnx_models.failures import FAILURES, contradiction

__all__ = ["Refusals"]

REMEDY = "rewrite the model without it, or choose other ends with --wrt and --output"


class Refusals:
    """The nodes that were refused, and why. source: the model's name."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._reasons: dict[int, str] = {}
        self._without_rule: dict[str, dict[int, str]] = {}

    @contextlib.contextmanager
    def of(self, call: Call) -> Iterator[None]:
        """Record what a node's rule raises instead of raising it."""
        try:
            yield
        except NetworkError as problem:
            self._record(call, problem)
        except FAILURES as problem:
            self._record(call, call.refusal(contradiction(problem)))

    def _record(self, call: Call, problem: NetworkError) -> None:
        self._reasons[call.index] = str(problem).removeprefix(f"{self._source}: ").removesuffix(".")

    def without_rule(self, call: Call) -> None:
        """Record a node whose operator has no rule."""
        operator = f"{call.node.domain}.{call.node.op_type}".removeprefix(".")
        self._without_rule.setdefault(operator, {})[call.index] = call.title

    def check(self) -> None:
        """Raise one NetworkError about all recorded nodes, in their order."""
        text = self.text()
        if text:
            raise NetworkError(f"{self._source}: {text}.")

    def text(self) -> str:
        """What check says, without the source; empty if nothing was recorded."""
        reasons = dict(self._reasons)
        for operator, titles in self._without_rule.items():
            listed = ", ".join(titles[index] for index in sorted(titles))
            nodes, verb = ("node", "has") if len(titles) == 1 else ("nodes", "have")
            reasons[min(titles)] = f"{nodes} {listed} ({operator}) {verb} no rule for the gradient; {REMEDY}"
        every = [reasons[index] for index in sorted(reasons)]
        count = f"{len(every)} reasons block the gradient: " if len(every) > 1 else ""
        return count + " | ".join(every)
