"""Everything that a call could change, as numpy's arrays at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from crosscheck.cells import Array
from crosscheck.live.model import LiveModel
from crosscheck.live.nested import leaves

__all__ = ["Snapshot", "arrays", "changed"]


@dataclass(frozen=True)
class Snapshot:
    """parameters, state: persistent tensors. left: gradients, hooks, parameters without gradient. x: the input."""

    parameters: Mapping[str, Array]
    state: Mapping[str, Array]
    flags: Mapping[str, object]
    left: Mapping[str, Array]
    x: Mapping[str, Array]

    @classmethod
    def of(cls, model: LiveModel, x: Any) -> Snapshot:
        """What the model and its input are by now."""
        model.settle()
        tensors = list(model.tensors())
        return cls(
            parameters={name: model.array(value) for name, value, parameter in tensors if parameter},
            state={name: model.array(value) for name, value, parameter in tensors if not parameter},
            flags=dict(model.flags()),
            left={name: model.array(value) for name, value in model.left().items()},
            x=arrays(model, x, "x"),
        )

    def differences(self, other: Snapshot) -> list[str]:
        """Names of what is not the same, bit by bit."""
        return [
            name
            for part in fields(self)
            for here, there in [(getattr(self, part.name), getattr(other, part.name))]
            for name in {**here, **there}
            if name not in here or name not in there or changed(here[name], there[name])
        ]


def changed(before: object, after: object) -> bool:
    """Whether two arrays, or two flags, differ in any bit."""
    if isinstance(before, np.ndarray) and isinstance(after, np.ndarray):
        alike = before.shape == after.shape and before.dtype == after.dtype
        return not (alike and before.tobytes() == after.tobytes())
    return type(before) is not type(after) or before != after


def arrays(model: LiveModel, values: Any, name: str) -> dict[str, Array]:
    """The numbers among some inputs or outputs, by their places."""
    found = {place: model.array(leaf) for place, leaf in leaves(values, name)}
    return {place: value for place, value in found.items() if value.dtype != object}
