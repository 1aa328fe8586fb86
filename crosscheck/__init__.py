"""crosscheck: which runtimes leak training-mode statistics when asked for an input gradient."""

__version__ = "0.1.0"
