"""A network in ONNX Runtime: a session of its file, with the options of the release and the variant."""

from packaging.version import Version

from crosscheck.runtimes.onnxruntime.modes import LEVEL, LEVELS, OPTIONS, READER
from crosscheck.runtimes.source import Request, Source

SHOWS_LAYERS = True

#: The first release whose options are more than names: threads, messages, and the optimisation level.
OPTIONS_SINCE = Version("1.0")


def source(request: Request) -> Source:
    """One thread and no messages below errors, in releases that can be told; older ones run nodes in order anyway."""
    setup = OPTIONS if request.release >= OPTIONS_SINCE else ""
    if "optimisation" in request.told:
        setup += LEVEL.format(LEVELS[request.told["optimisation"]])
    return READER.source(request, "import onnxruntime\n", setup)
