"""Puts the cells, the report and the facts of a run into its folder together, and tells whether they belong together.

They are written to a folder beside those of the run before, which is renamed once it is complete: from then on they
count, and a run that was killed while it moved them is completed by the next one. Arrays and exported files have names
that follow from their contents; they are written before, and those of the run before are deleted afterwards.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from crosscheck.whole_files import remove_parts, whole

__all__ = [
    "ARRAYS",
    "CELLS",
    "FILES",
    "REPORT",
    "RUN",
    "belongs_together",
    "complete",
    "publish",
    "read_facts",
    "refresh",
    "staging",
]

CELLS, REPORT, RUN = "cells.jsonl", "report.html", "run.json"
ARRAYS, FILES = "arrays", "files"
#: While they are written, and once they count; the facts, which have digests of the others, are moved last.
UNFINISHED, FINISHED = "results.new", "results"
ORDER = (CELLS, REPORT, RUN)


def staging(out: Path) -> Path:
    """A new folder for the results, which `publish` moves; complete what an earlier run left."""
    complete(out)
    folder = out / UNFINISHED
    folder.mkdir()
    return folder


def complete(out: Path) -> None:
    """Move results that count to their places; delete what killed runs left unfinished."""
    shutil.rmtree(out / UNFINISHED, ignore_errors=True)
    remove_parts(out)
    finished = out / FINISHED
    if finished.is_dir():
        for name in ORDER:
            if (finished / name).exists():
                (finished / name).replace(out / name)
        finished.rmdir()


def publish(out: Path, facts: Mapping[str, Any], kept: Set[Path]) -> None:
    """Replace the results in `out` by those in the folder of `staging`, and delete all arrays and files but these.

    facts: the contents of `run.json`.
    """
    folder = out / UNFINISHED
    about = dict(facts, results=_digests(folder) | {"others": _listing(out, kept)})
    with (folder / RUN).open("w", encoding="utf-8") as file:
        file.write(json.dumps(about, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    folder.rename(out / FINISHED)
    complete(out)
    for path in _others(out) - kept:
        path.unlink()


def belongs_together(out: Path) -> bool:
    """Whether all results are there as the last run published them; of arrays and files, by name and size."""
    return read_facts(out).get("results") == _digests(out) | {"others": _listing(out, _others(out))}


def read_facts(out: Path) -> dict[str, Any]:
    """The contents of `run.json`; {} if it is missing or damaged."""
    try:
        facts = json.loads((out / RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def refresh(out: Path) -> None:
    """Note that the report was written again from the same cells, which still belong together then."""
    facts = read_facts(out)
    if "results" in facts:
        with whole(out / RUN) as unfinished:
            unfinished.write_text(json.dumps(dict(facts, results=facts["results"] | _digests(out)), indent=1) + "\n")


def _digests(folder: Path) -> dict[str, str]:
    """Of the cells and the report in a folder."""
    digests = {}
    for name in (CELLS, REPORT):
        with contextlib.suppress(OSError), (folder / name).open("rb") as file:
            digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def _others(out: Path) -> set[Path]:
    """The arrays and exported files of a run."""
    places = (place for name in (ARRAYS, FILES) for place in os.walk(out / name))
    return {Path(folder, name) for folder, _, names in places for name in names}


def _listing(out: Path, paths: Set[Path]) -> str:
    """A digest of names and sizes."""
    rows = sorted((str(path.relative_to(out)), path.lstat().st_size) for path in paths)
    return hashlib.sha256(repr(rows).encode()).hexdigest()
