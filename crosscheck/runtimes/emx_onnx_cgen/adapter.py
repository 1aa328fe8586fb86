"""emx-onnx-cgen: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

import hashlib
import os
from typing import Any, Callable, Optional

from crosscheck.probe.adapter import Network
from crosscheck.probe.texts import Model, TextAdapter


class EmxOnnxCgen(TextAdapter):
    """`emx_onnx_cgen.Compiler`, which writes C; what it wrote is kept for other trials."""

    def load(self) -> str:
        """Import the code generator; the C compiler is a program of the machine."""
        import importlib.metadata  # CPython 3.10 is the oldest that the package takes

        import emx_onnx_cgen
        import jinja2

        self.kept = ""
        environment: Any = jinja2.Environment
        environment.__init__ = self.with_bytecode(environment.__init__, jinja2.FileSystemBytecodeCache)
        compiler = emx_onnx_cgen.Compiler
        compiler.compile = self.remembered(compiler.compile)
        return importlib.metadata.version("emx-onnx-cgen")

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """With the folder that the trials of a release share."""
        self.kept = network.kept
        return super(EmxOnnxCgen, self).build(network, mode, shares)

    def with_bytecode(self, make: Callable[..., None], cache: Callable[[str], Any]) -> Callable[..., None]:
        """Environments of templates keep their bytecode: all 169 templates are read for each model."""

        def making(environment: Any, *arguments: Any, **options: Any) -> None:
            make(environment, *arguments, bytecode_cache=cache(self.kept), **options)

        return making

    def remembered(self, compile_model: Callable[..., str]) -> Callable[..., str]:
        """The code generator, asked once a model."""

        def remembering(compiler: Any, model: Any) -> str:
            name = hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest() + ".c"
            place = os.path.join(self.kept, name)
            if not os.path.exists(place):
                with open(name, "w") as file:  # in the trial's own folder, until it is whole
                    file.write(compile_model(compiler, model))
                os.replace(name, place)
            with open(place) as file:
                return file.read()

        return remembering
