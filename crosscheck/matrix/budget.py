"""The time that a run may spend on measuring, shared among its targets."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from crosscheck.errors import UsageError
from crosscheck.matrix.selection import Target

__all__ = ["Budget", "seconds_of"]

UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds_of(text: str) -> float:
    """The seconds of a duration such as 90s, 10m or 1.5h; infinite for `none`. Raises UsageError."""
    if text == "none":
        return math.inf
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if match is None or not float(match[1]):
        raise UsageError(f"--budget takes a duration, as in 90s, 10m or 2h, or none; not '{text}'.")
    return float(match[1]) * UNITS[match[2]]


@dataclass
class _Share:
    """The seconds of a target: allowed, spent by earlier servers, and when its last server started."""

    allowed: float = 0.0
    spent: float = 0.0
    since: float = 0.0


@dataclass
class Budget:
    """The seconds of measuring that a run has left, and the shares of the targets of its current stage.

    A target is allowed an equal part of what is left when its server starts; what it does not need goes to those after
    it. Shares are wall times of servers; with several at once, they are larger by as many.
    """

    left: float = math.inf
    clock: Callable[[], float] = time.monotonic
    _shares: dict[Target, _Share] = field(default_factory=dict)
    _servers: int = 1
    _waiting: int = 0
    _pool: float = 0.0

    def stage(self, targets: int, servers: int) -> None:
        """A stage begins, with so many targets, and up to so many servers at once."""
        self.left = max(0.0, self.left - sum(share.spent for share in self._shares.values()) / self._servers)
        self._shares, self._waiting, self._servers = {}, targets, max(1, min(targets, servers))
        self._pool = self.left * self._servers

    def begin(self, target: Target) -> None:
        """A server of the target starts."""
        if target not in self._shares:
            self._shares[target] = _Share()
            self._waiting -= 1
        share, part = self._shares[target], self._pool / (self._waiting + 1)
        share.allowed, share.since = share.spent + part, self.clock()
        if math.isfinite(part):
            self._pool -= part

    def end(self, target: Target) -> None:
        """The server of the target has stopped."""
        share = self._shares[target]
        share.spent += self.clock() - share.since
        if math.isfinite(share.allowed):
            self._pool += max(0.0, share.allowed - share.spent)

    def over(self, target: Target) -> bool:
        """Whether the target, whose server is running, has used its share up."""
        share = self._shares[target]
        return share.spent + self.clock() - share.since >= share.allowed
