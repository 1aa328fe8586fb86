"""onnx2torch: an ONNX file becomes a torch module, which is then asked as any torch module is."""

import os
import sys
import types
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import numpy as np

from crosscheck.probe.adapter import Array, Contract, Mode, Network, NotInRelease, Tensor
from crosscheck.probe.onnx_forms import FormAdapter, Forms

FORMS = Forms(
    'convert("{}.onnx").eval()(torch.from_numpy(x))',
    'convert("{}.onnx").eval()(torch.from_numpy(x), torch.from_numpy(cotangent))[1]',
)

BATCH_NORM_PAGE = "https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html"
FUNCTIONAL_PAGE = "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.batch_norm.html"
README = "https://github.com/ENOT-AutoDL/onnx2torch#readme"

TRAINING = Contract(
    "move",
    "The imported layer is torch's: by default it tracks estimates of mean and variance in training, and normalises by "
    "them in evaluation.",
    BATCH_NORM_PAGE,
)
EVALUATION = Contract("stay", "In evaluation torch's layer normalises by the estimates that it has.", BATCH_NORM_PAGE)
AS_CONVERTED = Contract(
    "undocumented",
    "The module that convert() returns is to be run like the torch module that it was; in which mode it comes is not "
    "said.",
    README,
)
FED = Contract(
    "undocumented",
    "Statistics that are inputs of the file become running mean and variance of torch's functional form; what that "
    "does with them in training is not said.",
    FUNCTIONAL_PAGE,
)

EXPORTED = Contract(
    "stay",
    "By default export() takes the model in inference mode, and puts it back into its own mode afterwards.",
    "https://docs.pytorch.org/docs/1.12/onnx.html#torch.onnx.export",
)

CONVERT = 'model = convert("opset-15.onnx")'
BACKWARD = "x.requires_grad_(); (model(x) * cotangent).sum().backward(); dx = x.grad"
AUTOGRAD = "x.requires_grad_(); dx, = torch.autograd.grad(model(x), x, cotangent)"
FREEZE = "; [layer.eval() for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm2d)]"

#: What torch's batch normalization calls the node's inputs after the first.
LAYER = ("weight", "bias", "running_mean", "running_var")


def _mode(
    name: str,
    intent: str,
    call: str,
    contract: Contract,
    asks: str = "gradient",
    default: bool = True,
    fed: bool = False,
) -> Mode:
    """A mode of the imported module. Those with fed statistics are told apart by their name, like forms."""
    if asks == "prediction":
        return Mode(name, intent, asks, call, contract, default=default)
    inference, training = ("eval.backward-fed", "train.backward-fed") if fed else ("eval.backward", "train.backward")
    return Mode(
        name,
        intent,
        asks,
        call,
        contract,
        inference=inference,
        training=training if intent == "inference" else None,
        default=default,
    )


class Imported:
    """A torch module made of a file, the order of its inputs, the node that each child is, and what goes with x.

    `training`: the mode in which `convert` returned it. `example`: for an export, an input that is traced.
    """

    example: Array = None

    def __init__(self, module: Any, inputs: List[str], nodes: List[Any], fed: Dict[str, Array]) -> None:
        self.module = module
        self.inputs = inputs
        self.layers = list(zip([child for child in module.named_children() if child[0] != "initializers"], nodes))
        self.fed = fed
        self.training = module.training

    def norms(self) -> Iterator[Tuple[str, Any, List[str]]]:
        """Batch normalizations that hold their parameters: name and layer, and what the file calls the parameters."""
        for (name, layer), node in self.layers:
            if node.op_type == "BatchNormalization" and hasattr(layer, LAYER[0]):
                yield name, layer, list(node.input[1:])


class ONNX2Torch(FormAdapter):
    """`onnx2torch.convert` and torch's autograd over what it returns."""

    name = "onnx2torch"
    inference_form = "opset-15"
    modes = (
        _mode("eval.backward", "inference", CONVERT + ".eval(); " + BACKWARD, EVALUATION),
        _mode("eval.autograd-grad", "inference", CONVERT + ".eval(); " + AUTOGRAD, EVALUATION, default=False),
        _mode("train.backward", "training", CONVERT + ".train(); " + BACKWARD, TRAINING),
        _mode("train.autograd-grad", "training", CONVERT + ".train(); " + AUTOGRAD, TRAINING, default=False),
        _mode("train.frozen.backward", "inference", CONVERT + ".train()" + FREEZE + "; " + BACKWARD, EVALUATION),
        _mode("convert.backward", "inference", CONVERT + "; " + BACKWARD, AS_CONVERTED),
        _mode("convert", "inference", CONVERT + "; y = model(x)", AS_CONVERTED, asks="prediction"),
        _mode(
            "train.no-grad",
            "training",
            CONVERT + ".train()\nwith torch.no_grad(): y = model(x)",
            TRAINING,
            asks="prediction",
            default=False,
        ),
        _mode(
            "eval.backward-fed",
            "inference",
            'model = convert("opset-15-fed.onnx").eval(); x.requires_grad_(); '
            "(model(x, mean, variance) * cotangent).sum().backward(); dx = x.grad",
            FED,
            default=False,
            fed=True,
        ),
        _mode(
            "train.backward-fed",
            "training",
            'model = convert("opset-15-fed.onnx").train(); x.requires_grad_(); '
            "(model(x, mean, variance) * cotangent).sum().backward(); dx = x.grad",
            FED,
            fed=True,
        ),
        Mode(
            "export.torchscript",
            "inference",
            "export",
            CONVERT + '; torch.onnx.export(model, x, "network.onnx", opset_version=13)',
            EXPORTED,
            file=True,
        ),
        Mode(
            "export.dynamo",
            "inference",
            "export",
            CONVERT + '; torch.onnx.dynamo_export(model.eval(), x).save("network.onnx")',
            EXPORTED,
            file=True,
        ),
        Mode("file", "inference", "prediction", 'convert("file.onnx").eval()(x)', EVALUATION, file=True),
        Mode(
            "file.backward",
            "inference",
            "gradient",
            'model = convert("file.onnx").eval(); ' + BACKWARD,
            EVALUATION,
            inference="file.backward",
            file=True,
        ),
        FORMS.inference(7, 7, default=False),
        FORMS.inference(9, 9, default=False),
        FORMS.inference(15, 15),
        FORMS.inference(15, 15, momentum=False, default=False),
        FORMS.inference(15, 15, fed=True, default=False),
        FORMS.training(15, 15),
        FORMS.training(15, 15, read=False, default=False),
        FORMS.training(15, 15, read=False, fed=True, default=False),
        FORMS.gradient(15, default=False),
        FORMS.gradient(15, "batch", default=False),
        FORMS.gradient(15, fed=True, default=False),
        FORMS.gradient(15, "batch", fed=True, default=False),
    )

    def load(self) -> str:
        """Import the converter and torch; torchvision, which two operators of detectors need, is only named."""
        import importlib.metadata

        vision, operators = types.ModuleType("torchvision"), types.ModuleType("torchvision.ops")
        vars(operators).update(roi_align=None)
        vars(vision).update(ops=operators)
        sys.modules.update({"torchvision": vision, "torchvision.ops": operators})
        import onnx
        import torch
        from onnx2torch.converter import convert  # the package has the name, too, but not yet in 1.0

        self.onnx, self.convert, self.torch = onnx, convert, torch
        return importlib.metadata.version("onnx2torch")

    def session(self, path: str) -> Imported:
        """The module in evaluation mode, for files that say themselves which statistics they normalise by."""
        imported = self.imported(path, {})
        imported.module.eval()
        return imported

    def run(self, session: Imported, feeds: Dict[str, Array]) -> List[Array]:
        """The module's outputs for inputs by name, without a record for autograd."""
        with self.torch.no_grad():
            y = session.module(*(self.torch.as_tensor(feeds[name]) for name in session.inputs))
        return [one.numpy() for one in (y if isinstance(y, (list, tuple)) else [y])]

    def imported(self, path: str, fed: Dict[str, Array]) -> Imported:
        """What `convert` makes of a file."""
        graph = self.onnx.load(path).graph
        weights = {item.name for item in graph.initializer}
        inputs = [item.name for item in graph.input if item.name not in weights]
        return Imported(self.convert(path), inputs, list(graph.node), fed)

    def build(self, network: Network, mode: str, shares: Optional[Any] = None) -> Any:
        """The file of a form; for torch's own modes, a module of the inference form, with the layers of `shares`."""
        if mode in network.onnx:
            return FormAdapter.build(self, network, mode)
        if mode.endswith("-fed"):
            statistics = [
                name
                for node in network.graph["nodes"]
                if node["op"] == "BatchNormalization"
                for name in node["inputs"][3:]
            ]
            fed = {name: np.array(network.weights[name]) for name in statistics}
            return self.imported(network.onnx["opset-15-fed"], shares.fed if shares is not None else fed)
        model = self.imported(network.onnx["file" if mode == "file.backward" else "opset-15"], {})
        if mode.startswith("export."):
            model.example = np.zeros([network.batch] + network.graph["inputs"][0]["shape"][1:], np.float32)
        if shares is not None:
            theirs = {tuple(node.input[1:]): child for (_, child), node in shares.layers if len(node.input) > 1}
            for index, ((name, own), node) in enumerate(model.layers):
                child = theirs.get(tuple(node.input[1:]), own)
                setattr(model.module, name, child)
                model.layers[index] = ((name, child), node)
        return model

    def tensor(self, x: Array) -> Tensor:
        """`torch.from_numpy`."""
        return self.torch.from_numpy(np.array(x))

    def numpy(self, value: Tensor) -> Array:
        """The tensor's numbers, copied."""
        return np.array(value.detach().numpy() if isinstance(value, self.torch.Tensor) else value)

    def call(self, model: Imported, x: Tensor) -> Tensor:
        """The module of x; statistics that are fed are torch tensors over the user's own arrays."""
        others = [self.torch.from_numpy(model.fed[name]) for name in model.inputs[1:]]
        return model.module(x, *others)

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Evaluation mode, without a record for autograd."""
        if not isinstance(model, Imported):
            return FormAdapter.predict(self, model, x)
        model.module.eval()
        with self.torch.no_grad():
            return self.call(model, x)

    def set_mode(self, model: Imported, mode: str) -> None:
        """`train()`, `eval()`, the former with frozen layers, or what `convert` left."""
        how = mode.split(".")[0]
        model.module.train(model.training if how == "convert" else how == "train")
        if "frozen" in mode:
            for _, layer, _ in model.norms():
                layer.eval()

    def forward(self, model: Any, x: Tensor, mode: str) -> Tensor:
        """Carry out a mode that asks for a prediction."""
        if not isinstance(model, Imported):
            return FormAdapter.forward(self, model, x, mode)
        self.set_mode(model, mode)
        if mode == "train.no-grad":
            with self.torch.no_grad():
                return self.call(model, x)
        return self.call(model, x)

    def gradient(self, model: Any, x: Tensor, cotangent: Tensor, mode: str, between: Callable[[], None]) -> Tensor:
        """Carry out a mode that asks for a gradient."""
        if not isinstance(model, Imported):
            return FormAdapter.gradient(self, model, x, cotangent, mode, between)
        self.set_mode(model, mode)
        x.requires_grad_()
        y = self.call(model, x)
        between()
        if "autograd-grad" in mode:
            return self.torch.autograd.grad(y, x, cotangent)[0]
        (y * cotangent).sum().backward()
        return x.grad

    def export(self, model: Imported, mode: str, folder: str) -> None:
        """Torch's own exporters, of the module as `convert` returned it; what they write is not read back."""
        model.module.train(model.training)
        x, path = self.torch.from_numpy(model.example), os.path.join(folder, "network.onnx")
        if mode == "export.torchscript":
            self.torch.onnx.export(model.module, x, path, opset_version=13, input_names=model.inputs)
            return
        if not hasattr(self.torch.onnx, "dynamo_export"):
            raise NotInRelease("torch {} has no torch.onnx.dynamo_export".format(self.torch.__version__))
        self.torch.onnx.dynamo_export(model.module.eval(), x).save(path)

    def layers(self, model: Any, x: Tensor, mode: str) -> Dict[str, Tensor]:
        """What each node's module returns, by a forward hook on it."""
        if not isinstance(model, Imported):
            return FormAdapter.layers(self, model, x, mode)
        found: Dict[str, Tensor] = {}
        for (_, child), node in model.layers:
            child.register_forward_hook(lambda _, inputs, y, name=node.output[0]: found.update({name: y}))
        self.forward(model, x, mode)
        return found

    def state(self, model: Any) -> Dict[str, Tensor]:
        """Batch normalizations' tensors by the file's names, everything else by torch's; and what is fed."""
        if not isinstance(model, Imported):
            return dict(self.tensors(model.asked), **model.fed)
        return dict(self.tensors(model), **model.fed)

    def tensors(self, model: Imported) -> Dict[str, Tensor]:
        """Parameters and buffers."""
        names = {
            "{}.{}".format(layer, attribute): name
            for layer, _, parameters in model.norms()
            for attribute, name in zip(LAYER, parameters)
        }
        module = model.module
        return {names.get(key, key): value for key, value in module.state_dict().items()}

    def parameters(self, model: Any) -> Dict[str, Tensor]:
        """What `parameters()` of the module shows: no statistics."""
        imported = model if isinstance(model, Imported) else model.asked
        shown = {key for key, _ in imported.module.named_parameters()}
        names = {
            "{}.{}".format(layer, attribute): name
            for layer, _, parameters in imported.norms()
            for attribute, name in zip(LAYER, parameters)
        }
        state = imported.module.state_dict()
        return {names.get(key, key): state[key] for key in shown}

    def flags(self) -> Dict[str, bool]:
        """Whether autograd records."""
        return {"grad": bool(self.torch.is_grad_enabled())}
