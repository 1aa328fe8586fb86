"""ONNX files that a runtime exports, in every runtime that reads ONNX: stage, files, whose doing an error is."""

from crosscheck.exchange.files import ExportedFiles
from crosscheck.exchange.stage import FROM, Exchange, exchange, readers

__all__ = ["FROM", "Exchange", "ExportedFiles", "exchange", "readers"]
