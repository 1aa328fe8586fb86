"""Apache TVM: ONNX files through the Relax importer, and Relax's own differentiation of what was imported."""

import os
import warnings
from typing import Any, Callable, Dict, List, Optional

import numpy as np

from crosscheck.probe.adapter import Array, Contract, Mode, Network, Tensor
from crosscheck.probe.onnx_forms import FormAdapter, Forms

#: Whether a variant compiles for one batch size at a time; without it a module takes any.
SHAPES_VARIABLE = "CROSSCHECK_TVM_SHAPES"

FORMS = Forms(
    'VirtualMachine(tvm.compile(from_onnx(onnx.load("{}.onnx")), "llvm"), tvm.cpu())["main"](x)',
    'VirtualMachine(tvm.compile(from_onnx(onnx.load("{}.onnx")), "llvm"), tvm.cpu())["main"](x, cotangent)[1]',
)

OPERATOR_PAGE = "https://tvm.apache.org/docs/reference/api/python/relax/op.html#tvm.relax.op.nn.batch_norm"
INFERENCE = Contract(
    "stay",
    "In inference mode batch_norm normalises by the given running mean and variance, does not update them, and returns "
    "them as they came in.",
    OPERATOR_PAGE,
)
TRAINING = Contract(
    "undocumented",
    "In training mode batch_norm updates the running statistics (moving * momentum + batch * (1 - momentum)) and "
    "returns them as second and third result. The page calls them auxiliary states, and leaves open whether the arrays "
    "that were given are written to.",
    OPERATOR_PAGE,
)

RELAX = "relax-gradient."
#: The form that Relax differentiates, its weights and statistics taken out of the module as arrays.
DIFFERENTIATED = "opset-15"


def _relax(which: str, decompose: str) -> Mode:
    return Mode(
        RELAX + which,
        which,
        "gradient",
        'module = from_onnx(onnx.load("{}.onnx"), {{"x": x.shape}}, keep_params_in_input=True)\n'
        "module, params = relax.frontend.detach_params(module)\n"
        'module = relax.transform.{}("main")(module)\n'
        'module = AppendLoss("main", loss)(module)  # sum(y * cotangent)\n'
        'module = relax.transform.Gradient("main_loss", require_grads=x)(module)\n'
        'gradient = VirtualMachine(tvm.compile(module, "llvm"), tvm.cpu())["main_loss_adjoint"]\n'
        'gradient(x, *params["main"], cotangent)[1][0]'.format(DIFFERENTIATED, decompose),
        INFERENCE if which == "inference" else TRAINING,
        inference=RELAX + "inference",
        training=RELAX + "training" if which == "inference" else None,
    )


class Program:
    """An ONNX file, compiled when it is first run: for any number of rows, or for each number that it is fed."""

    def __init__(self, tvm: Any, path: str, static: bool) -> None:
        import onnx

        self.tvm = tvm
        self.model = onnx.load(path)
        self.static = static
        weights = {item.name for item in self.model.graph.initializer}
        self.inputs = [item.name for item in self.model.graph.input if item.name not in weights]
        self.compiled: Dict[str, Any] = {}

    def __call__(self, feeds: Dict[str, Tensor]) -> Any:
        """What the compiled function returns: one tensor, or several."""
        shapes = {name: list(feeds[name].shape) for name in self.inputs} if self.static else None
        key = str(shapes)
        if key not in self.compiled:
            self.compiled[key] = self._compile(shapes)
        return self.compiled[key](*[feeds[name] for name in self.inputs])

    def _compile(self, shapes: Optional[Dict[str, List[int]]]) -> Any:
        from tvm import relax
        from tvm.relax.frontend.onnx import from_onnx

        module = from_onnx(self.model, shape_dict=shapes)
        return relax.VirtualMachine(self.tvm.compile(module, target="llvm"), self.tvm.cpu())["main"]


class Differentiated:
    """An imported ONNX file whose weights and statistics are arrays that the user hands over with every call.

    params: the arrays by the file's names; those that `shared` has are the same arrays.
    """

    def __init__(self, tvm: Any, path: str, shared: Dict[str, Tensor]) -> None:
        import onnx

        self.tvm = tvm
        self.model = onnx.load(path)
        self.input = next(item.name for item in self.model.graph.input)
        self.compiled: Dict[Any, Any] = {}
        own = {item.name: onnx.numpy_helper.to_array(item) for item in self.model.graph.initializer}
        self.params = {name: shared.get(name, tvm.runtime.tensor(value)) for name, value in own.items()}

    def predict(self, x: Tensor) -> Tensor:
        """The imported function, compiled for the rows of x."""
        key = ("predict", tuple(x.shape))
        if key not in self.compiled:
            self.compiled[key] = self._machine(self._import(x))["main"]
        return self.compiled[key](x, *self.params.values())

    def gradient(self, x: Tensor, cotangent: Tensor, mode: str) -> Tensor:
        """D sum(y * cotangent) / d x by `relax.transform.Gradient`, batch normalization decomposed for `mode`."""
        key = (mode, tuple(x.shape))
        if key not in self.compiled:
            self.compiled[key] = self._differentiate(x, mode)
        return self.compiled[key](x, *self.params.values(), cotangent)[1][0]

    def _differentiate(self, x: Tensor, mode: str) -> Any:
        from tvm import relax
        from tvm.relax.training.utils import AppendLoss

        module = self._import(x)
        decompose = {
            RELAX + "inference": relax.transform.DecomposeOpsForInference,
            RELAX + "training": relax.transform.DecomposeOpsForTraining,
        }[mode]
        module = AppendLoss("main", self._loss(module["main"]))(decompose("main")(module))
        module = relax.transform.Gradient("main_loss", require_grads=module["main_loss"].params[0])(module)
        for name in ("main", "main_loss"):  # they would be compiled, too
            del module[name]
        return self._machine(module)["main_loss_adjoint"]

    def _import(self, x: Tensor) -> Any:
        """The module for x, whose function takes the parameters after it, in the file's order."""
        from tvm import relax
        from tvm.relax.frontend.onnx import from_onnx

        module = from_onnx(self.model, shape_dict={self.input: list(x.shape)}, keep_params_in_input=True)
        module, _ = relax.frontend.detach_params(module)
        return module

    def _loss(self, main: Any) -> Any:
        """The function (y, cotangent) -> sum(y * cotangent)."""
        from tvm import relax

        kind = main.ret_ty if hasattr(main, "ret_ty") else main.ret_struct_info  # its name before 0.26
        y, cotangent = relax.Var("y", kind), relax.Var("cotangent", kind)
        builder = relax.BlockBuilder()
        with builder.function("loss", [y, cotangent]):
            with builder.dataflow():
                total = builder.emit_output(relax.op.sum(relax.op.multiply(y, cotangent)))
            builder.emit_func_output(total)
        return builder.get()["loss"]

    def _machine(self, module: Any) -> Any:
        from tvm import relax

        return relax.VirtualMachine(self.tvm.compile(module, target="llvm"), self.tvm.cpu())


class TVM(FormAdapter):
    """`relax.frontend.onnx.from_onnx`, compiled by LLVM for the CPU and run by Relax's virtual machine."""

    name = "apache-tvm"
    inference_form = "opset-15"
    modes = (
        FORMS.inference(7, 7, default=False),
        FORMS.inference(9, 9, default=False),
        FORMS.inference(14, 14, default=False),
        FORMS.inference(15, 15),
        FORMS.inference(15, 15, momentum=False, default=False),
        FORMS.inference(15, 15, fed=True, default=False),
        FORMS.training(14, 14, default=False),
        FORMS.training(15, 15, default=False),
        FORMS.training(15, 15, momentum=False, default=False),
        FORMS.training(15, 15, read=False, default=False),
        FORMS.training(15, 15, fed=True),
        FORMS.gradient(9, default=False),
        FORMS.gradient(9, "batch", default=False),
        FORMS.gradient(15),
        FORMS.gradient(15, "batch"),
        FORMS.gradient(15, "training", default=False),
        FORMS.gradient(15, fed=True, default=False),
        FORMS.gradient(15, "batch", fed=True, default=False),
        FORMS.gradient(15, "training", fed=True, default=False),
        *FORMS.files(),
        _relax("inference", "DecomposeOpsForInference"),
        _relax("training", "DecomposeOpsForTraining"),
    )

    def load(self) -> str:
        """Import TVM and its importer; nothing is compiled, and no thread runs yet."""
        warnings.simplefilter("ignore")  # the importer renames tensors with a dot in their name, and says so each time
        import onnx  # noqa: F401 - the importer's own import of it would otherwise pass in every trial
        import tvm
        import tvm.relax.frontend.onnx
        import tvm.relax.training.utils

        self.tvm = tvm
        return str(tvm.__version__)

    def build(self, network: Network, mode: str, shares: Optional[Any] = None) -> Any:
        """The form's modules; for Relax's own gradients, the network with its weights beside it."""
        if mode.startswith(RELAX):
            shared = shares.params if shares is not None else {}
            return Differentiated(self.tvm, network.onnx[DIFFERENTIATED], shared)
        model = FormAdapter.build(self, network, mode, shares)
        return model._replace(fed={name: self.tensor(value) for name, value in model.fed.items()})

    def session(self, path: str) -> Program:
        """The file, to be compiled when it is first run."""
        return Program(self.tvm, path, os.environ.get(SHAPES_VARIABLE) == "static")

    def run(self, session: Program, feeds: Dict[str, Tensor]) -> List[Tensor]:
        """All outputs; a function with one returns it bare."""
        result = session(feeds)
        return [result] if isinstance(result, self.tvm.runtime.Tensor) else list(result)

    def tensor(self, x: Array) -> Tensor:
        """An array of TVM's on the CPU."""
        return self.tvm.runtime.tensor(np.ascontiguousarray(x))

    def numpy(self, value: Tensor) -> Array:
        """A copy; what has been called has been computed, on the CPU."""
        return value.numpy()

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """The inference form, or the imported function that is differentiated."""
        return model.predict(x) if isinstance(model, Differentiated) else FormAdapter.predict(self, model, x)

    def gradient(self, model: Any, x: Tensor, cotangent: Tensor, mode: str, between: Callable[[], None]) -> Tensor:
        """One call, which does forward and backward."""
        if isinstance(model, Differentiated):
            return model.gradient(x, cotangent, mode)
        return FormAdapter.gradient(self, model, x, cotangent, mode, between)

    def state(self, model: Any) -> Dict[str, Tensor]:
        """The arrays that go with every call; constants of a compiled module cannot be looked at."""
        return model.params if isinstance(model, Differentiated) else model.fed
