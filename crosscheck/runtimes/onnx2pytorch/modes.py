"""Each way of asking a module that `ConvertModel` made (`crosscheck.runtimes.family.converted`)."""

from crosscheck.runtimes.mode import Contracts
from crosscheck.runtimes.onnx2pytorch.network import CONVERTER

MODES = CONVERTER.modes(Contracts(__file__))
