"""Digests that tell whether a run has anything to do: of all that its results depend on, and of what was observed."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import zlib
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

import crosscheck
from crosscheck.environments.environment import describe
from crosscheck.errors import CrosscheckError, EnvironmentFailure
from crosscheck.judgements import versions
from crosscheck.matrix.journal import Journal, is_closed
from crosscheck.matrix.ledger import Measured
from crosscheck.matrix.plan import Planned
from crosscheck.matrix.selection import Target
from crosscheck.networks import Network

__all__ = ["DONE", "asked", "code_of", "fingerprint", "is_done"]

#: The mark in the journal under which the last run noted what it was asked, if it left nothing to measure.
DONE = "the last run"


def asked(selected: Sequence[Target], networks: Sequence[Network], code: str, options: Sequence[Any]) -> str:
    """A digest of all that the results of a job depend on, beside chance: code, environments, networks and options.

    options: JSON types.
    """
    environments = []
    for target in selected:
        try:
            environments.append([target.id, describe(target.runtime, target.release, target.variant, fetch=False).key])
        except EnvironmentFailure as failure:
            environments.append([target.id, str(failure)])
    parts = [
        code,
        versions(),
        environments,
        [[network.name, network.words, network.digest] for network in networks],
        options,
    ]
    return hashlib.sha256(json.dumps(parts, default=repr).encode()).hexdigest()


def is_done(path: Path, mark: str) -> bool:
    """Whether the last run with the journal at `path` was asked what `mark` stands for, and left nothing to measure.

    Not of a journal that a run has open, or that a killed run left open: the next run closes it.
    """
    if not os.path.exists(path) or not is_closed(path):  # False for a name that no file can have, too
        return False
    try:
        with Journal(path, writable=False) as journal:
            return journal.derived(DONE) == mark.encode()
    except (CrosscheckError, sqlite3.Error, zlib.error):
        return False


def code_of(runtimes: Set[Path]) -> str:
    """A digest of the package's files, and of those of runtimes, which may lie elsewhere."""
    sums = hashlib.sha256()
    for folder in (Path(crosscheck.__file__).parent, *sorted(runtimes)):
        for file in sorted(folder.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                sums.update(str(file.relative_to(folder)).encode() + b"\0")
                sums.update(hashlib.sha256(file.read_bytes()).digest())
    return sums.hexdigest()


def fingerprint(plan: Sequence[Planned], measured: Measured, journal: Journal, code: str) -> str:
    """A digest of all inputs of the report: cells, what their trials observed, and code.

    Of all code, since lines and page depend on nearly every module, table and template. An unnecessary report costs
    less than an outdated one.
    """
    sums = hashlib.sha256(code.encode())
    for planned in plan:
        cell = planned.cell.id
        observed = journal.stamp(measured.keys.get(cell, ()))
        sums.update(json.dumps([cell, observed, measured.statuses.get(cell)]).encode())
    return sums.hexdigest()
