"""Divides a job into shards, parts that run on several machines, balanced by the times of past runs."""

from __future__ import annotations

from crosscheck.shards.division import Division, Shard, Unit, balanced, divided, environments_of
from crosscheck.shards.times import OVERHEAD, Times, figures, past

__all__ = [
    "OVERHEAD",
    "Division",
    "Shard",
    "Times",
    "Unit",
    "balanced",
    "divided",
    "environments_of",
    "figures",
    "past",
]
