"""A network in tract: a runnable model of its file, optimised by tract."""

from crosscheck.runtimes.source import Request, Source
from crosscheck.runtimes.tract.modes import READER

SHOWS_LAYERS = True


def source(request: Request) -> Source:
    """The model, which has no settings."""
    return READER.source(request, "import tract\n")
