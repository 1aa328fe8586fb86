"""Delta debugging over the parts of a network (Zeller and Hildebrandt 2002, "Simplifying and isolating failures")."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from crosscheck.errors import NetworkError
from crosscheck.networks import Network
from crosscheck.subnetworks.parts import prefix, renamed, suffix, values, without
from crosscheck.subnetworks.smaller import with_channels, with_digits, with_integers, with_pixels, with_rows

__all__ = ["Search"]

#: Whether a candidate still shows what is looked for; the text says how it was made ("up to pool").
Test = Callable[[Network, str], bool]
#: Makes a candidate; None, or a NetworkError, where there is none.
Make = Callable[[], Network | None]

Item = TypeVar("Item")


class Search:
    """Reduces a network as far as a test persists. `network` is the smallest one so far, at any moment.

    All candidates have one name, so that networks are equal if their digests are; none is tested twice.
    """

    def __init__(self, network: Network, test: Test) -> None:
        self.network, self.test = network, test
        self._tried = {network.digest}

    def run(self) -> None:
        """Reduce nodes, then rows, channels, pixels and digits, until nothing can be reduced any more."""
        while True:
            before = self.network.digest
            self._prefixes()
            self._suffixes()
            self._nodes()
            self._rows()
            self._channels()
            self._pixels()
            self._digits()
            if self.network.digest == before:
                return

    def _try(self, make: Make) -> bool:
        """Go on with the candidate if it is new and passes the test."""
        candidate = None
        with contextlib.suppress(NetworkError):
            candidate = make()
        if candidate is None:
            return False
        how = candidate.title.removeprefix(f"{self.network.title}, ")
        candidate = renamed(candidate, self.network.name, self.network.title)
        if candidate.digest in self._tried:
            return False
        self._tried.add(candidate.digest)
        if not self.test(candidate, how):
            return False
        self.network = candidate
        return True

    def _prefixes(self) -> None:
        whole = self.network
        ends = [node["name"] for node in reversed(whole.graph["nodes"])]
        self._bisect(ends, lambda node: lambda: prefix(whole, node))

    def _suffixes(self) -> None:
        whole = self.network
        starts = [node["name"] for node in whole.graph["nodes"]]
        self._bisect(starts, lambda node: lambda: suffix(whole, node))

    def _bisect(self, names: Sequence[str], part: Callable[[str], Make]) -> None:
        """Find the last of `names` whose part passes, as if all parts before it passed, too; the first is the whole."""
        low, high = 0, len(names) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self._try(part(names[middle])):
                low = middle
            else:
                high = middle - 1

    def _nodes(self) -> None:
        whole = self.network
        shapes = {tensor: value.shape for tensor, value in values(whole).items()}
        removable = [
            node["name"] for node in whole.graph["nodes"] if shapes[node["inputs"][0]] == shapes[node["outputs"][0]]
        ]

        def left(kept: Sequence[str]) -> Network | None:
            return without(whole, [name for name in removable if name not in kept])

        self._fewest(removable, left, least=0)

    def _rows(self) -> None:
        whole = self.network
        self._fewest(range(len(whole.x)), lambda kept: with_rows(whole, kept))

    def _channels(self) -> None:
        x = self.network.graph["inputs"][0]["name"]
        makers = [node["outputs"][0] for node in self.network.graph["nodes"] if node["op"] in ("Conv", "Gemm")]
        for tensor in (x, *makers):
            self._channels_of(tensor)

    def _channels_of(self, tensor: str) -> None:
        whole = self.network
        value = values(whole).get(tensor)
        if value is not None:  # a branch may have gone with the channels of another tensor
            channels = range(value.shape[1])
            self._fewest(channels, lambda kept: with_channels(whole, tensor, kept))

    def _fewest(self, items: Sequence[Item], make: Callable[[Sequence[Item]], Network | None], least: int = 1) -> None:
        """Remove as many of `items` as possible: halves first, then smaller and smaller pieces."""
        kept = list(items)
        piece = max(len(kept) // 2, 1)
        while piece and len(kept) > least:
            start = 0
            while start < len(kept):
                rest = kept[:start] + kept[start + piece :]
                if len(rest) >= least and self._try(lambda rest=rest: make(rest)):  # type: ignore[misc]
                    kept = rest
                else:
                    start += piece
            piece //= 2

    def _pixels(self) -> None:
        axes = range(self.network.x.ndim - 2)
        for together in dict.fromkeys((tuple(axes), *((axis,) for axis in axes))):
            piece = max(self.network.x.shape[2:], default=0) // 2
            while piece:
                while self._cropped(together, piece, 0) or self._cropped(together, 0, piece):
                    pass
                piece //= 2

    def _cropped(self, axes: Sequence[int], first: int, last: int) -> bool:
        """Remove pixels at the beginning and at the end of some axes."""
        whole = self.network
        kept = [
            range(first, size - last) if axis in axes else range(size) for axis, size in enumerate(whole.x.shape[2:])
        ]
        return self._try(lambda: with_pixels(whole, kept))

    def _digits(self) -> None:
        whole = self.network
        if all(np.array_equal(np.rint(array), array) for array in (whole.x, whole.cotangent, *whole.weights.values())):
            return
        if self._try(lambda: with_integers(whole, new_norms=True)) or self._try(lambda: with_integers(whole)):
            return
        for digits in (1, 2, 3):
            if self._try(lambda digits=digits: with_digits(whole, digits)):  # type: ignore[misc]
                return
