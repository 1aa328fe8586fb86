"""IREE: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

import hashlib
import os
from typing import Any, Callable, Optional

from crosscheck.probe.adapter import Network
from crosscheck.probe.texts import Model, TextAdapter


class IREE(TextAdapter):
    """`iree-import-onnx` and `iree-compile` for the CPU; what the compiler made is kept for other trials."""

    def load(self) -> str:
        """Import importer and runtime; the compiler is a program of its own, and the device is made in each trial."""
        import importlib.metadata  # CPython 3.8, which all of these have

        import iree.compiler.tools
        import iree.compiler.tools.import_onnx.__main__
        import iree.runtime

        self.kept = ""
        iree.compiler.tools.compile_str = self.remembered(iree.compiler.tools.compile_str)
        return importlib.metadata.version("iree-base-compiler")

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """With the folder that the trials of a release share."""
        self.kept = network.kept
        return super(IREE, self).build(network, mode, shares)

    def remembered(self, compile_str: Callable[..., bytes]) -> Callable[..., bytes]:
        """The compiler, asked once a module's text and options, which takes it a second or more."""

        def remembering(source: str, **options: Any) -> bytes:
            name = hashlib.sha256((source + repr(sorted(options.items()))).encode()).hexdigest() + ".vmfb"
            place = os.path.join(self.kept, name)
            if not os.path.exists(place):
                with open(name, "wb") as file:  # in the trial's own folder, until it is whole
                    file.write(compile_str(source, **options))
                os.replace(name, place)
            with open(place, "rb") as file:
                return file.read()

        return remembering
