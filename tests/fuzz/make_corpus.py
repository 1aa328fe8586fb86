"""Writes the corpus of the campaigns: small files, each with other parts of its format.

uv run python -m tests.fuzz.make_corpus
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np

from crosscheck.job import Job, run
from crosscheck.matrix.server import COUNTS
from crosscheck.networks import load
from crosscheck.networks.forms import write
from crosscheck.probe.recorder import Recorder
from crosscheck.runtimes.catalog import load_runtime
from tests.conftest import SilentProgress
from tests.fuzz import models
from tests.fuzz.targets import BETWEEN, CORPUS, TRIAL_FILES, journal_of

#: Modes of the toy: a leak, a change without a law, and none.
MODES = ("leak-backward", "predict", "corrupted")


def main() -> None:
    """Write every folder of the corpus."""
    files = {
        f"onnx/{name}.onnx": made.SerializeToString()
        for name, made in {
            "small": models.small(),
            "branches": models.branches(2, constant=False),
            "functions": models.functions(2, 2),
            "loop": models.loop(3),
            "recurrent": models.recurrent("LSTM", 4, 2),
            **{name: models.layer(name) for name in models.LAYERS},
        }.items()
    }
    files |= {f"exported/opset-{opset}.onnx": write(load("conv"), opset).SerializeToString() for opset in (9, 15)}
    files["exported/training.onnx"] = write(load("conv"), 15, training=True).SerializeToString()
    files["wire/imported"] = lines({"ready": True, "import_seconds": 0.5}, reply(1))
    files["wire/failed"] = lines({"failed": "ImportError: no such library"})
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory() as out:
        folder = Path(scratch)
        files["results/trial"] = BETWEEN.join(trial(folder))
        files["cells/cells.jsonl"] = cells(Path(out))
        for name, content in files.items():
            (CORPUS / name).parent.mkdir(parents=True, exist_ok=True)
            (CORPUS / name).write_bytes(content)
        (CORPUS / "journal").mkdir(exist_ok=True)
        (CORPUS / "journal" / "journal.sqlite").write_bytes(journal_of(folder))


def lines(*values: object) -> bytes:
    return "\n".join(map(json.dumps, values)).encode()


def reply(number: int) -> dict[str, object]:
    return {"trial": number, "ended": "exit", "code": 0, **dict.fromkeys(COUNTS[1:], 10**8)}


def trial(folder: Path) -> list[bytes]:
    """The files of a trial, as the probe writes them."""
    recorder = Recorder(str(folder))
    recorder.step("predict", lambda: None)
    recorder.flags("flags", {"training": False})
    recorder.array("predict:y", np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3))
    recorder.array("state:mean", np.zeros(2))
    recorder.array("predict:large", np.arange(1100, dtype=np.int64))
    recorder.close()
    end = {"status": "ok", "reason": None, "seconds": 0.1, "cpu_seconds": 0.1}
    (folder / "end.json").write_text(json.dumps(end))
    return [(folder / name).read_bytes() for name in TRIAL_FILES]


def cells(folder: Path) -> bytes:
    """The shortest lines of a run of the toy, of each status and first finding."""
    toy = load_runtime(Path(__file__).parents[1] / "toy")
    run(
        Job(what=["toy"], networks=["seed"], modes=MODES, scenarios=["gradient"], out=folder),
        SilentProgress(),
        {"toy": toy},
    )
    shortest: dict[tuple[str, ...], str] = {}
    for line in sorted((folder / "cells.jsonl").read_text().splitlines(), key=len):
        cell = json.loads(line)
        shortest.setdefault((cell["status"], *cell["findings"][:1]), line)
    return "".join(line + "\n" for line in list(shortest.values())[:4]).encode()


if __name__ == "__main__":
    main()
