"""A network in the reference evaluator: an evaluator of its file."""

from crosscheck.runtimes.onnx.modes import READER
from crosscheck.runtimes.source import Request, Source

SHOWS_LAYERS = True


def source(request: Request) -> Source:
    """The evaluator, which has no settings."""
    return READER.source(
        request, "import onnx\nimport onnx.version_converter\nfrom onnx.reference import ReferenceEvaluator\n"
    )
