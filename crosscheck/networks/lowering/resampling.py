"""Rules of operators that enlarge images, by repeated or interpolated entries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from crosscheck.networks.lowering.step import Step

__all__ = ["RULES"]

#: Since this opset Resize has coordinates and a rounding; before, it is Upsample.
COORDINATES = 11
#: Coordinates and rounding by which "nearest" repeats every entry a whole number of times.
REPEATS = frozenset(
    {
        ("asymmetric", "floor"),
        *(
            (coordinates, rounding)
            for coordinates in ("half_pixel", "pytorch_half_pixel")
            for rounding in ("round_prefer_floor", "round_prefer_ceil")
        ),
    }
)


def _resize(step: Step) -> None:
    before, after = step.sizes(), step.output_sizes()
    if before == after:
        step.same()
        return
    if len(before) != 3 or before[0] != after[0]:
        raise step.refusal("resizes other axes than the two of an image; only these are supported")
    mode, coordinates, rounding = _how(step)
    scales = [_scale(old, new) for old, new in zip(before[1:], after[1:], strict=True)]
    attributes = {"coordinates": coordinates, "mode": mode, "scales": scales}
    if mode == "nearest":
        if (coordinates, rounding) not in REPEATS or any(size % old for old, size in zip(before, after, strict=True)):
            raise step.refusal("takes the nearest entries otherwise than by repeating each a whole number of times")
        attributes["coordinates"] = "asymmetric"
    elif mode == "linear":
        if coordinates == "pytorch_half_pixel" and 1 not in after[1:]:
            attributes["coordinates"] = "half_pixel"
        if attributes["coordinates"] not in ("half_pixel", "align_corners"):
            raise step.refusal(
                f"interpolates with {coordinates} coordinates; only half_pixel and align_corners are supported"
            )
        if step.attributes.get("antialias", 0):
            raise step.refusal("has antialias = 1; only 0 is supported")
        if coordinates != "align_corners" and not _exact(step, before, after):
            raise step.refusal("has scales that are not the ratios of its sizes; give the sizes")
    else:
        raise step.refusal(f"has the mode {mode}; only nearest and linear are supported")
    step.end("Resize", [step.data()], attributes)


def _how(step: Step) -> tuple[str, str, str]:
    """Mode, coordinates, rounding."""
    mode = step.attributes.get("mode", b"nearest").decode()
    if step.proto.op_type == "Upsample" or step.table.opset < COORDINATES:
        return mode, "asymmetric", "floor"
    coordinates = step.attributes.get("coordinate_transformation_mode", b"half_pixel").decode()
    return mode, coordinates, step.attributes.get("nearest_mode", b"round_prefer_floor").decode()


def _scale(before: int, after: int) -> float:
    """The ratio, as a float32 that makes `after` of `before` when the product is rounded down."""
    scale = np.float32(after / before)
    while int(before * float(scale)) < after:
        scale = np.nextafter(scale, np.float32(np.inf))
    return float(scale)


def _exact(step: Step, before: list[int], after: list[int]) -> bool:
    """Whether scales, if there are any, make the sizes without a remainder."""
    if not step.has(2):
        return True
    scales = step.constant(2)[-2:]
    return not scales.size or bool(np.all(scales * np.array(before[1:], np.float32) == np.array(after[1:], np.float32)))


#: Operator -> its rule; may raise NetworkError.
RULES: Mapping[str, Callable[[Step], Any]] = {"Resize": _resize, "Upsample": _resize}
