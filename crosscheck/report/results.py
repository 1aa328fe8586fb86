"""A finished run, for Python: the facts of the run, its judged cells, and their arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from crosscheck.cells import Array
from crosscheck.errors import CrosscheckError
from crosscheck.records import JudgedCell
from crosscheck.records.run import Run
from crosscheck.report.arrays import Arrays
from crosscheck.report.reading import pick, read_cells, read_run

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped]

__all__ = ["Results", "load"]


@dataclass(frozen=True)
class Results:
    """The results of a run.

    folder: where they are. run: the machine, the runtimes with their releases and modes, networks, scenarios and
    times. cells: the judged cells, in the order of the plan.
    """

    folder: Path
    run: Run = field(repr=False)
    cells: Sequence[JudgedCell] = field(repr=False)

    def cell(self, cell_id: str) -> JudgedCell:
        """The cell with this id. Raises UsageError, with the nearest ids, if there is none."""
        return pick(self.cells, cell_id, self.folder)

    def arrays(self, cell: JudgedCell, keys: Sequence[str]) -> Mapping[str, Array]:
        """Those of these arrays that the cell's first trial recorded, such as "prediction/before", float32."""
        return Arrays(self.folder).of(cell, keys)

    def to_pandas(self) -> pandas.DataFrame:
        """A row for each cell, indexed by its id: what was asked, status, findings, and the main numbers.

        Columns are those of `COLUMNS`; numbers that were not measured are NaN.
        Raises CrosscheckError if pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise CrosscheckError("to_pandas needs pandas. `pip install crosscheck[pandas]` installs it.") from None
        rows = [_row(cell) for cell in self.cells]
        return pandas.DataFrame.from_records(rows, columns=["id", *COLUMNS]).set_index("id")


#: The columns of `Results.to_pandas`. findings: their names, with a space in between. updates,
#: momentum, variance: the law of a change: how many updates, the part of the old value that one keeps, and how the
#: batch's variance is corrected. inference_error, training_error: of the gradient,
#: against the closed form of either mode, relative to the largest entry. operator: at fault for a wrong answer.
COLUMNS = (
    "runtime", "release", "released", "variant", "mode", "intent", "asks", "network", "scenario", "status", "reason",
    "findings", "contradicts", "documented", "updates", "momentum", "variance", "inference_error", "training_error",
    "operator", "seconds", "peak_bytes",
)  # fmt: skip


def _row(cell: JudgedCell) -> dict[str, object]:
    update, error = cell.update, cell.gradient_error
    return {
        "id": cell.id,
        **{name: getattr(cell, name) for name in ("runtime", "release", "released", "variant", "mode", "network")},
        **{name: str(getattr(cell, name)) for name in ("intent", "asks", "scenario", "status")},
        "reason": cell.reason,
        "findings": " ".join(cell.findings),
        "contradicts": cell.contradicts,
        "documented": cell.contract.statistics,
        "updates": None if update is None else update.count,
        "momentum": None if update is None else update.momentum,
        "variance": None if update is None else update.variance,
        "inference_error": None if error is None else error.inference,
        "training_error": None if error is None else error.training,
        "operator": None if cell.cause is None else cell.cause.op,
        "seconds": cell.seconds,
        "peak_bytes": cell.peak_bytes,
    }


def load(path: Path | str) -> Results:
    """Read the results of a finished run: its folder, or a `cells.jsonl`, whose facts are derived from the cells then.

    Raises UsageError if there are none, CrosscheckError, naming the line, if a file is damaged.
    """
    path = Path(path)
    cells = read_cells(path)
    folder = path.parent if path.is_file() else path
    return Results(folder, read_run(folder / "run.json", cells), cells)
