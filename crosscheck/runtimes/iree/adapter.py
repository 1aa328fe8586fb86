"""IREE on the CPU: ONNX files through its importer (torch-mlir) and its compiler, run by its runtime."""

import hashlib
import os
from typing import Any, Callable, Dict, List, Optional

import numpy as np

from crosscheck.probe.adapter import Array, Network, Tensor
from crosscheck.probe.onnx_forms import FormAdapter, Forms, Model

#: Which opset a variant has files converted to on import; without it they are imported in their own.
OPSET_VARIABLE = "CROSSCHECK_IREE_OPSET"

#: What the user types in a shell, and then in Python.
SHELL = (
    "$ iree-import-onnx {}.onnx -o net.mlir\n"
    "$ iree-compile net.mlir --iree-hal-target-backends=llvm-cpu --iree-llvmcpu-target-cpu=host -o net.vmfb\n"
)
FORMS = Forms(
    SHELL + 'load_vm_flatbuffer_file("net.vmfb", driver="local-sync")[name](x)',
    SHELL + 'load_vm_flatbuffer_file("net.vmfb", driver="local-sync")[name](x, cotangent)[1]',
)


class Program:
    """An ONNX file, imported and compiled when it is first run; most trials do not run all that their mode may need.

    inputs: the names of the function's inputs, in order.
    """

    def __init__(self, path: str, compile_file: Callable[[str], Any]) -> None:
        import onnx

        graph = onnx.load(path).graph
        weights = {item.name for item in graph.initializer}
        self.inputs = [item.name for item in graph.input if item.name not in weights]
        self._name = graph.name
        self._path = path
        self._compile = compile_file
        self._module: Any = None

    def __call__(self, feeds: Dict[str, Tensor]) -> Any:
        """What the function returns: one array, or several."""
        if self._module is None:
            self._module = self._compile(self._path)
        return self._module[self._name](*[feeds[name] for name in self.inputs])


class IREE(FormAdapter):
    """`iree-import-onnx` and `iree-compile` for the CPU; one compiled module a form, in a synchronous device."""

    name = "iree"
    inference_form = "opset-15"
    modes = (
        FORMS.inference(7, 7, default=False),
        FORMS.inference(9, 9, default=False),
        FORMS.inference(14, 14, default=False),
        FORMS.inference(15, 15),
        FORMS.inference(15, 15, momentum=False, default=False),
        FORMS.inference(15, 15, fed=True, default=False),
        FORMS.inference(21, 15, default=False),
        FORMS.training(14, 14, default=False),
        FORMS.training(15, 15, default=False),
        FORMS.training(15, 15, momentum=False, default=False),
        FORMS.training(15, 15, read=False, default=False),
        FORMS.training(15, 15, fed=True),
        FORMS.gradient(9, default=False),
        # There is no BatchNormalization of opset 9 to be had here, and none is in this file.
        FORMS.gradient(9, "batch", default=False)._replace(inference="opset-15-gradient"),
        FORMS.gradient(15),
        FORMS.gradient(15, "batch"),
        FORMS.gradient(15, "training", default=False),
        FORMS.gradient(15, fed=True, default=False),
        FORMS.gradient(15, "batch", fed=True, default=False),
        FORMS.gradient(15, "training", fed=True, default=False),
        *FORMS.files(),
    )

    def load(self) -> str:
        """Import importer and runtime; the compiler is a program of its own, and the device is made in each trial."""
        import importlib.metadata  # CPython 3.8, which all of these have

        import iree.compiler.tools
        import iree.compiler.tools.import_onnx.__main__ as importer
        import iree.runtime

        self.importer = importer
        self.compiler = iree.compiler.tools
        self.runtime = iree.runtime
        return importlib.metadata.version("iree-base-compiler")

    def build(self, network: Network, mode: str, shares: Optional[Any] = None) -> Model:
        """One compiled module a form; what the user feeds with every call lies on the device."""
        self.scratch, self.kept = network.scratch, network.kept
        self.device = self.runtime.get_device("local-sync")
        model = FormAdapter.build(self, network, mode, shares)
        return model._replace(fed={name: self.tensor(value) for name, value in model.fed.items()})

    def session(self, path: str) -> Program:
        """The file's function, for any number of rows."""
        return Program(path, self._compile)

    def run(self, session: Program, feeds: Dict[str, Tensor]) -> List[Tensor]:
        """All outputs; a function with one returns it bare."""
        result = session(feeds)
        return list(result) if isinstance(result, (list, tuple)) else [result]

    def _compile(self, path: str) -> Any:
        """The module made of the file at `path`, loaded on the device."""
        text = os.path.join(self.scratch, os.path.basename(path) + ".mlir")
        words = [path, "-o", text]
        opset = os.environ.get(OPSET_VARIABLE)
        if opset is not None:
            words += ["--opset-version", opset]
        self.importer.main(self.importer.parse_arguments(words))
        with open(text) as file:
            source = file.read()
        return self.runtime.load_vm_flatbuffer(self._compiled(source), driver="local-sync")

    def _compiled(self, source: str) -> bytes:
        """What the compiler makes of a module's text. It is asked once a text, which takes it a second or more."""
        name = hashlib.sha256(source.encode()).hexdigest() + ".vmfb"
        place = os.path.join(self.kept, name)
        if not os.path.exists(place):
            # As a string, because diagnostics name the file, and this one lies elsewhere in every trial.
            binary = self.compiler.compile_str(
                source,
                target_backends=["llvm-cpu"],
                extra_args=["--iree-llvmcpu-target-cpu=host", "--mlir-disable-threading"],
            )
            unfinished = os.path.join(self.scratch, name)
            with open(unfinished, "wb") as file:
                file.write(binary)
            os.replace(unfinished, place)
        with open(place, "rb") as file:
            return file.read()

    def tensor(self, x: Array) -> Tensor:
        """An array on the device."""
        return self.runtime.asdevicearray(self.device, np.ascontiguousarray(x))

    def numpy(self, value: Tensor) -> Array:
        """A copy on the host, waiting for the device."""
        return np.array(value.to_host())
