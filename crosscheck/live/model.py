"""What is asked of a live model, whatever its framework."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, ClassVar, NamedTuple

import numpy as np

from crosscheck.cells import Array
from crosscheck.live.nested import mapped

__all__ = ["Batch", "Batches", "LiveModel", "Norm", "Tensor", "batch_of", "seen_by"]


class Tensor(NamedTuple):
    """A persistent tensor, in the framework's own type; a `parameter` if training writes it by its gradient."""

    name: str
    value: Any
    parameter: bool


class Batch(NamedTuple):
    """What a batch normalization saw in one forward pass: biased float64 statistics, and the size per channel."""

    mean: Array
    variance: Array
    size: int


#: Name of a batch normalization -> the batches that it saw, in their order.
Batches = dict[str, list[Batch]]


@dataclass(frozen=True)
class Norm:
    """A batch normalization.

    mean, variance, counter: names of its tensors; no counter if "".
    momentum: as declared, None for a cumulative average. axis: of the channels of its input.
    """

    name: str
    layer: Any
    mean: str
    variance: str
    momentum: float | None
    epsilon: float
    axis: int
    counter: str = ""


class LiveModel(ABC):
    """A model in its framework's hands. Nothing here but `gradient` may change it.

    takes: what the framework calls such a model.
    unseen: why the batches of its normalizations may be neither seen in a call nor replayed.
    runtime, mode: the way of asking, in crosscheck's catalog, that leaves such a model as it was.
    """

    takes: ClassVar[str]
    unseen: ClassVar[str] = "a forward pass in training mode failed"
    runtime: ClassVar[str]
    mode: str

    @abstractmethod
    def tensors(self) -> Iterable[Tensor]:
        """Every persistent tensor by now. Raises ValueError if the model has no weights yet."""

    @abstractmethod
    def flags(self) -> Mapping[str, object]:
        """Mode flags of the layers and of the framework."""

    def left(self) -> Mapping[str, Any]:
        """Gradients and hooks on the model, and parameters that take no gradient."""
        return {}

    @abstractmethod
    def norms(self) -> Iterable[Norm]:
        """The batch normalizations."""

    @abstractmethod
    def predict(self, x: Any, predict: Callable[[Any, Any], Any] | None) -> Any:
        """The prediction in the framework's documented way, or in the caller's; x is a copy that may be written."""

    @abstractmethod
    def gradient(self, x: Any) -> Any:
        """The gradient of the sum of all outputs by x, of the model in the mode that its user left it in."""

    def copied(self, x: Any) -> Any:
        """A copy of an input, as far as its arrays can be written."""
        return mapped(lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf, x)

    def array(self, value: Any) -> Array:
        """A copy of a tensor as numpy's array."""
        return np.array(value)

    def settle(self) -> None:
        """Wait for what still computes."""
        return

    @contextmanager
    def watched(self) -> Iterator[Batches]:
        """Collects the batches that batch normalizations see inside of it, as far as the framework shows them."""
        yield {}

    def replay(self, x: Any) -> Batches:
        """The batches of a forward pass in training mode, made on a copy; empty if the framework has no such copies."""
        return {}


def batch_of(values: Array, axis: int) -> Batch:
    """The statistics of an input over all axes but that of the channels."""
    channels = np.moveaxis(np.asarray(values, np.float64), axis, 0)
    flat = channels.reshape(len(channels), -1)
    return Batch(flat.mean(axis=1), flat.var(axis=1), flat.shape[1])


@contextmanager
def seen_by(owner: type, method: str, see: Callable[[Any, Any], None]) -> Iterator[None]:
    """Calls `see(layer, input)` before every call of a method, until the end of the block."""
    own = next(kind for kind in owner.__mro__ if method in vars(kind))
    original = vars(own)[method]

    @wraps(getattr(own, method))
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if args:
            see(self, args[0])
        return original.__get__(self, type(self))(*args, **kwargs)

    setattr(own, method, call)
    try:
        yield
    finally:
        setattr(own, method, original)
