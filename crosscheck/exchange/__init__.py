"""ONNX files that a runtime exports, in every runtime that reads ONNX: stage, files, whose doing an error is."""

from crosscheck.exchange.files import ExportedFiles
from crosscheck.exchange.stage import Exchange, exchange

__all__ = ["Exchange", "ExportedFiles", "exchange"]
