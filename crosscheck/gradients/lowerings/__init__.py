"""Lowerings: operators that are differentiated by way of plain operators that compute the same.

A lowering is a function (writer, call) -> the names of the node's outputs, computed anew from its inputs; None for an
output that it does not compute. The model's own node stays, so that predictions are its own.
"""

from __future__ import annotations

from crosscheck.gradients.lowerings import norms, recurrent, sampling, spectra
from crosscheck.gradients.lowerings.functions import body_of
from crosscheck.gradients.lowerings.lowering import Lowering

__all__ = ["LOWERINGS", "Lowering", "body_of"]

#: Operator -> its lowering.
LOWERINGS: dict[str, Lowering] = {
    **norms.LOWERINGS,
    **recurrent.LOWERINGS,
    **sampling.LOWERINGS,
    **spectra.LOWERINGS,
}
