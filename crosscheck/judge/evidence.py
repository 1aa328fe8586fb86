"""Merges the evidence of several readings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from crosscheck.records import Evidence

__all__ = ["across_readings"]


def across_readings(evidence: Mapping[str, Evidence], readings: Iterable[str]) -> list[Evidence]:
    """Merge evidence of several readings: the first one, with the names of the others.

    evidence: reading -> evidence. readings: all readings that could show it.
    """
    if not evidence:
        return []
    reading, first = next(iter(evidence.items()))
    others = [name for name in evidence if name != reading]
    missing = [name for name in dict.fromkeys(readings) if name not in evidence]
    notes = [
        first.detail,
        f"also {', '.join(others)}" if others else "",
        f"not {', '.join(missing)}" if missing else "",
    ]
    return [replace(first, what=f"{reading}: {first.what}", detail="; ".join(filter(None, notes)))]
