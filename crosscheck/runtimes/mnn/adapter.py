"""MNN on the CPU: ONNX files through its converter, each form a mode, and its own autograd on its own modules."""

import os
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Union

import numpy as np

from crosscheck.probe.adapter import Array, Contract, Mode, Network, Tensor
from crosscheck.probe.onnx_forms import FormAdapter, Forms
from crosscheck.probe.onnx_forms import Model as Files
from crosscheck.probe.printed import printed
from crosscheck.runtimes.mnn.layers import Trainable, imported, variable, written

MODULE_PAGE = "https://mnn-docs.readthedocs.io/en/latest/pymnn/_Module.html"
CONVERT_PAGE = "https://mnn-docs.readthedocs.io/en/latest/tools/convert.html"

CONVERT = "mnnconvert -f ONNX --modelFile {}.onnx --MNNModel {}.mnn\n"
LOAD = 'module = nn.load_module_from_file("{}.mnn", [], [])\n'
FORMS = Forms(
    CONVERT + LOAD + "y = module.onForward([x])[0]",
    CONVERT + LOAD + "y, dx = module.onForward([x, cotangent])[:2]",
)

UNSAID = Contract(
    "undocumented",
    "train(isTrain) sets the module's training state. What a batch normalization in that state does with its running "
    "statistics, or whether taking a gradient writes to them, is not said.",
    MODULE_PAGE,
)
IMPORTED = Contract(
    "undocumented",
    "--forTraining keeps batch normalizations and dropouts in the converted file, for training. What becomes of the "
    "running statistics then, and by which momentum, is not said.",
    CONVERT_PAGE,
)
NN = "class Net(nn.Module): ...  # nn.conv, nn.batch_norm, nn.linear\nexpr.lazy_eval(True)\n"
MODULE = (
    "mnnconvert -f ONNX --modelFile net.onnx --MNNModel net.mnn --forTraining\n"
    'variables = expr.load_as_dict("net.mnn")\n'
    "expr.lazy_eval(True)\n"
    'net = nn.load_module([variables["x"]], [variables["y"]], True)\n'
)
GRADIENT = "y = net.forward(x)\ndx = optim.Grad().grad([y], [cotangent], [x])[1][0]"


def _own(name: str, intent: str, call: str, contract: Contract, asks: str = "gradient", **others: Any) -> Mode:
    return Mode(name, intent, asks, call, contract, **others)


OWN = (
    _own("nn.train", "training", NN + "net.train(True)\n" + GRADIENT, UNSAID, inference="nn.frozen"),
    _own(
        "nn.eval", "inference", NN + "net.train(False)\n" + GRADIENT, UNSAID, inference="nn.eval", training="nn.train"
    ),
    _own(
        "nn.frozen",
        "inference",
        NN + "net.train(True)\nnet.bn.train(False)\n" + GRADIENT,
        UNSAID,
        inference="nn.frozen",
        training="nn.train",
    ),
    _own("nn.train.forward", "training", NN + "net.train(True)\ny = net.forward(x)", UNSAID, "prediction"),
    _own("nn.eval.forward", "inference", NN + "net.train(False)\ny = net.forward(x)", UNSAID, "prediction"),
    _own("module.train", "training", MODULE + "net.train(True)\n" + GRADIENT, IMPORTED, inference="module.eval"),
    _own(
        "module.eval",
        "inference",
        MODULE + "net.train(False)\n" + GRADIENT,
        IMPORTED,
        inference="module.eval",
        training="module.train",
    ),
    _own("module.train.forward", "training", MODULE + "net.train(True)\ny = net.forward(x)", IMPORTED, "prediction"),
)


class Session(NamedTuple):
    """A converted file as a module; its inputs and outputs by name, in the order in which it takes and gives them."""

    module: Any
    inputs: List[str]
    outputs: List[str]


class Held(NamedTuple):
    """A module's parameter, which it keeps in a shape of its own."""

    value: Any
    shape: Any


class MNN(FormAdapter):
    """`MNN.nn` on the CPU in its default precision, one thread."""

    name = "mnn"
    inference_form = "opset-9"
    modes = (
        FORMS.inference(7, 7, default=False),
        FORMS.inference(9, 9),
        FORMS.inference(9, 9, momentum=False, default=False),
        FORMS.inference(14, 14, default=False),
        FORMS.inference(15, 15, default=False),
        FORMS.inference(15, 15, momentum=False, default=False),
        FORMS.inference(9, 9, fed=True, default=False),
        FORMS.inference(15, 15, fed=True),
        FORMS.training(14, 14, default=False),
        FORMS.training(15, 15, default=False),
        FORMS.training(14, 14, read=False, default=False),
        FORMS.training(15, 15, read=False),
        FORMS.training(15, 15, momentum=False, default=False),
        FORMS.training(15, 15, read=False, fed=True, default=False),
        FORMS.gradient(9, default=False),
        FORMS.gradient(9, "batch", default=False),
        FORMS.gradient(15),
        FORMS.gradient(15, "batch"),
        FORMS.gradient(15, "training", default=False),
        *FORMS.files(),
        *OWN,
    )

    def load(self) -> str:
        """Import the engine and the converter's native half.

        Its Python half, behind the command `mnnconvert`, would install a package and report each conversion.
        """
        import _tools
        import MNN
        import MNN.expr
        import MNN.nn
        import MNN.optim

        self.mnn = MNN
        self.converter = _tools
        return str(MNN.version())

    def tensor(self, x: Array) -> Tensor:
        """`expr.const`."""
        return variable(self.mnn, x)

    def numpy(self, value: Union[Tensor, Held, Array]) -> Array:
        """`read`, which computes a lazy variable; what it returns lives no longer than the variable."""
        if isinstance(value, np.ndarray):
            return np.array(value)
        if isinstance(value, Held):
            return np.array(value.value.read()).reshape(value.shape)
        return np.array(value.read())

    def build(self, network: Network, mode: str, shares: Optional[Any] = None) -> Any:
        """The form's file, or the network in modules that can be trained."""
        os.chdir(network.scratch)  # converted files go there, and messages name them alike in every trial
        api = mode.partition(".")[0]
        # Where a file of a form has its outputs: y, dx, new statistics, and in an exposed form all other tensors.
        self.place = {node["outputs"][0]: number for number, node in enumerate(network.graph["nodes"], 3)}
        self.place.update({network.graph["outputs"][0]["name"]: 0, network.graph["inputs"][0]["name"] + ".gradient": 1})
        if api not in ("nn", "module"):
            return super(MNN, self).build(network, mode, shares)
        self.mnn.expr.lazy_eval(True)
        if api == "nn":
            return written(self.mnn, network, shares)
        return imported(self.mnn, network, self.converted(network.onnx["opset-15"], "--forTraining"))

    def converted(self, path: str, *options: str) -> str:
        """The file in MNN's format, in the working directory."""
        target = os.path.basename(path).replace(".onnx", ".mnn")
        given = ["-f", "ONNX", "--modelFile", path, "--MNNModel", target, "--bizCode", "crosscheck", *options]
        with printed() as said:
            done = self.converter.mnnconvert(["mnnconvert", *given])
        if not done:
            raise RuntimeError("mnnconvert returned {!r}. It said: {}".format(done, said))
        return target

    def session(self, path: str) -> Session:
        """The converted file, all of whose outputs are asked for."""
        target = self.converted(path)
        with printed() as said:
            try:
                module = self.mnn.nn.load_module_from_file(target, [], [])
            except SystemError as problem:  # MNN's exception, and that it forgot to return NULL
                raise RuntimeError("{}. MNN said: {}".format(problem.__cause__, said)) from problem
        info = module.get_info()
        return Session(module, info["inputNames"], info["outputNames"])

    def run(self, session: Session, feeds: Dict[str, Any]) -> List[Tensor]:
        """`onForward`, outputs in NCHW and in the ONNX file's order: until 3.1 MNN has them in the alphabet's."""
        fed = {name: self.tensor(value) if isinstance(value, np.ndarray) else value for name, value in feeds.items()}
        outputs = dict(zip(session.outputs, session.module.onForward([fed[name] for name in session.inputs])))
        order = sorted(session.outputs, key=lambda name: self.place.get(name, 2))
        return [self.mnn.expr.convert(outputs[name], self.mnn.expr.NCHW) for name in order]

    def predict(self, model: Union[Files, Trainable], x: Tensor) -> Tensor:
        """The inference form's file, or the module in evaluation."""
        if isinstance(model, Files):
            return super(MNN, self).predict(model, x)
        model.module.train(False)
        return model.run(x)

    def forward(self, model: Union[Files, Trainable], x: Tensor, mode: str) -> Tensor:
        """The form's file, or the module in the state that the mode names."""
        if isinstance(model, Files):
            return super(MNN, self).forward(model, x, mode)
        model.module.train(mode.split(".")[1] == "train")
        return model.run(x)

    def gradient(
        self, model: Union[Files, Trainable], x: Tensor, cotangent: Tensor, mode: str, between: Callable[[], None]
    ) -> Tensor:
        """The form's file, or `optim.Grad` on what the module put out in the state that the mode names."""
        if isinstance(model, Files):
            return super(MNN, self).gradient(model, x, cotangent, mode, between)
        state = mode.split(".")[1]
        model.module.train(state != "eval")
        for norm in model.norms if state == "frozen" else ():
            norm.train(False)
        y = model.run(x)
        between()
        _, gradients = self.mnn.optim.Grad().grad([y], [cotangent], [x])
        if not gradients:
            raise RuntimeError("optim.Grad().grad returned no gradient and no message: an operator on the way has none")
        return gradients[0]

    def layers(self, model: Union[Files, Trainable], x: Tensor, mode: str) -> Dict[str, Tensor]:
        """The form whose every tensor is an output, or what each layer put out; an imported module does not show."""
        if isinstance(model, Files):
            return super(MNN, self).layers(model, x, mode)
        model.module.train(mode.split(".")[1] == "train")
        return model.outputs(x)

    def state(self, model: Union[Files, Trainable]) -> Dict[str, Any]:
        """`module.parameters`, in which a batch normalization has its running statistics, too."""
        if isinstance(model, Files):
            return super(MNN, self).state(model)
        return {name: Held(one.module.parameters[one.number], one.shape) for name, one in model.parameters.items()}

    def parameters(self, model: Union[Files, Trainable]) -> Dict[str, Any]:
        """The same: it is the public view."""
        return {} if isinstance(model, Files) else self.state(model)
