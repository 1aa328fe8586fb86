"""The adapter of the exchange toy."""

import importlib
import os
import sys

from crosscheck.probe.texts import TextAdapter


class ExchangeToy(TextAdapter):
    """The library `exchangelib` in this folder."""

    def load(self) -> str:
        sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
        importlib.import_module("exchangelib")
        return "toy"
