"""The ONNX file that a cell wrote or read, and the errors on the way from one runtime into another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from crosscheck.records.evidence import FirstLayer
from crosscheck.records.keywords import says

__all__ = ["Exported", "Fault", "Side", "Trip"]

Fault = Literal["none", "exporter", "importer", "both", "unknown"]
Side = Literal["exporter", "importer"]


@dataclass(frozen=True)
class Trip:
    """One export and one reader: errors against the oracle of the network that was exported.

    fault: the side (file, reader) whose error is above the threshold; "none" for a right answer, None without an
    answer. side, first_layer: the first node that differs between reader and file, or else between file and network.
    """

    cell: Annotated[str, says("the export")]
    error: Annotated[float | None, says("of the reader's answer, end to end")]
    file_error: Annotated[float | None, says("of the file's own oracle")]
    fault: Fault | None
    side: Annotated[Side | None, says("who parts at the first layer")] = None
    first_layer: FirstLayer | None = None


@dataclass(frozen=True)
class Exported:
    """The ONNX file of an export's cell (without trips) or of a reader's cell."""

    network: Annotated[str | None, says("the network in the file; null where there is no valid one")]
    file: Annotated[str | None, says("relative to the output folder")] = None
    opset: int | None = None
    foreign: Annotated[Sequence[str], says("operators that are not ONNX's own")] = ()
    refusal: Annotated[str | None, says("why crosscheck's checks or lowering reject the file")] = None
    importer_error: Annotated[float | None, says("of the answer against the file's own oracle")] = None
    trips: Sequence[Trip] = ()
