"""Apache TVM: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

import warnings

from crosscheck.probe.texts import TextAdapter


class TVM(TextAdapter):
    """`relax.frontend.onnx.from_onnx`, compiled by LLVM for the CPU and run by Relax's virtual machine."""

    def load(self) -> str:
        """Import TVM and its importer; nothing is compiled, and no thread runs yet."""
        warnings.simplefilter("ignore")  # the importer renames tensors with a dot in their name, and says so each time
        import onnx  # noqa: F401 - the texts' own import of it would otherwise pass in every trial
        import tvm
        import tvm.relax.frontend.onnx
        import tvm.relax.training.utils

        return str(tvm.__version__)
