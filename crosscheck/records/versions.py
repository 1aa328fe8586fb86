"""Versions of the stored files."""

from __future__ import annotations

__all__ = ["CELL_SCHEMA"]

#: Version of a line of `cells.jsonl`.
CELL_SCHEMA = 1
