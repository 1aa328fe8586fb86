"""Theano: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

import os
import tempfile

from crosscheck.probe.texts import TextAdapter


class Theano(TextAdapter):
    """Releases of the `Theano` package, on the CPU."""

    def load(self) -> str:
        """Import Theano, its folder for compiled code a new one."""
        os.environ["THEANO_FLAGS"] += ",base_compiledir=" + tempfile.mkdtemp(dir=os.getcwd())
        import theano
        import theano.tensor.nnet.bn

        return str(theano.__version__)
