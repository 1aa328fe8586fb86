"""Texts of modes under context managers."""

from __future__ import annotations

from crosscheck.runtimes.family.graph import indented
from crosscheck.runtimes.mode import CUT

__all__ = ["within"]


def within(contexts: str, text: str) -> str:
    """The text under context managers, which every part of it enters anew."""
    return CUT.join(f"with {contexts}:\n" + indented(part.splitlines()) for part in text.split(CUT))
