"""ONNX Runtime's training packages: the on-device training API with an autograd of its own, and its sessions."""

import importlib
import os
import sys
import tempfile
import types
from typing import Any, Callable, Dict, List, Optional

import numpy as np

from crosscheck.probe.adapter import Array, Contract, Mode, Network
from crosscheck.probe.onnx_forms import FormAdapter, Forms

FORMS = Forms(
    'InferenceSession("{}.onnx", providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]',
    'InferenceSession("{}.onnx", providers=["CPUExecutionProvider"]).run(None, {"x": x, "y.cotangent": cotangent})[1]',
)

MODULE_PAGE = "https://onnxruntime.ai/docs/api/python/on_device_training/training_api.html"
ARTIFACTS_PAGE = "https://onnxruntime.ai/docs/api/python/on_device_training/training_artifacts.html"
TRAINING = Contract(
    "move",
    "The pages call frozen_params parameters that should be frozen and train() the training mode. A maintainer says "
    "that moving mean and variance belong there, and are updated although they cannot be trained.",
    "https://github.com/microsoft/onnxruntime/issues/17879",
)
CONSTANT = Contract(
    "undocumented",
    "Initialisers that are named neither trainable nor frozen are no parameters; whether training writes to them is "
    "not said.",
    ARTIFACTS_PAGE,
)
EVALUATION = Contract(
    "stay", "eval() sets the module in evaluation mode, in which it runs the evaluation model.", MODULE_PAGE
)
EVALUATED = Contract(
    "stay", "eval() is for evaluation; what a parameter's grad holds after such a call is not said.", MODULE_PAGE
)
GRAPH = Contract(
    "stay",
    "The exported gradient graph is for an inference session, which returns gradients as outputs; nothing is said "
    "about statistics.",
    "https://github.com/microsoft/onnxruntime/blob/v1.19.2/orttraining/orttraining/python/training/experimental/"
    "gradient_graph/_gradient_graph_tools.py",
)

EXPORT = "export.inferencing"
ARTIFACTS = 'generate_artifacts(shifted, requires_grad=["dx"], frozen_params=weights, loss=Loss())'
READ_GRADIENT = 'module(x, cotangent); dx = state.parameters["dx"].grad; module.lazy_reset_grad()'

EXPORTED = Contract(
    "stay",
    "export_model_for_inferencing writes the evaluation model with the checkpoint's parameters; whether it changes the "
    "module is not said.",
    MODULE_PAGE,
)

#: The form that each mode of the training API is made from; `opset-15` for those that are not named.
SOURCES = {"module.train.opset-9": "opset-9", "module.train.training-form": "opset-15-training"}


def _mode(name: str, intent: str, asks: str, call: str, contract: Contract, default: bool = True) -> Mode:
    training = "module.train" if (intent, asks) == ("inference", "gradient") else None
    return Mode(name, intent, asks, call, contract, training=training, default=default)


class Trained:
    """Training artifacts of a network, loaded: `module` runs them, `state` holds the parameters.

    The training API differentiates by parameters, not by inputs: a parameter of zeros, `dx`, is added to the input.
    `output` is the shape of a row of the network's output, `name` what that is called.
    """

    def __init__(self, module: Any, state: Any, output: List[int], name: str) -> None:
        self.module = module
        self.state = state
        self.output = output
        self.name = name

    def evaluate(self, x: Array) -> Array:
        """The evaluation model's prediction; its loss wants a cotangent all the same."""
        self.module.eval()
        return self.module(x, np.zeros([len(x)] + self.output, np.float32))[1]

    def gradient(self, x: Array, cotangent: Array) -> Array:
        """One step in the module's present mode, and what `dx` has as its gradient then."""
        self.module(x, cotangent)
        dx = np.array(self.state.parameters["dx"].grad)
        self.module.lazy_reset_grad()  # gradients of further steps would be added to it
        return dx


class GradientGraph:
    """A session of the graph that the gradient builder made: outputs y, loss and dx."""

    def __init__(self, session: Any) -> None:
        self.session = session

    def gradient(self, x: Array, cotangent: Array) -> Array:
        """The loss's own gradient, one, goes in with the network's input and the cotangent."""
        values = [x, cotangent, np.ones((), np.float32)]
        names = [item.name for item in self.session.get_inputs()]
        return self.session.run(None, dict(zip(names, values)))[-1]


class ONNXRuntimeTraining(FormAdapter):
    """`onnxruntime.training.api.Module`, and `onnxruntime.InferenceSession` as the same packages have it."""

    name = "onnxruntime-training"
    inference_form = "opset-9"
    modes = (
        _mode("module.train", "training", "gradient", ARTIFACTS + "; module.train(); " + READ_GRADIENT, TRAINING),
        _mode(
            "module.train.opset-9",
            "training",
            "gradient",
            "# from opset 9\n" + ARTIFACTS + "; module.train(); " + READ_GRADIENT,
            TRAINING,
            default=False,
        ),
        _mode(
            "module.train.training-form",
            "training",
            "gradient",
            "# from a model with training_mode = 1\n" + ARTIFACTS + "; module.train(); " + READ_GRADIENT,
            TRAINING,
        ),
        _mode(
            "module.train.constants",
            "training",
            "gradient",
            'generate_artifacts(shifted, requires_grad=["dx"], loss=Loss()); module.train(); ' + READ_GRADIENT,
            CONSTANT,
        ),
        _mode(
            "module.train.forward", "training", "prediction", "module.train(); y = module(x, cotangent)[1]", TRAINING
        ),
        _mode("module.eval", "inference", "prediction", "module.eval(); y = module(x, cotangent)[1]", EVALUATION),
        _mode("module.eval.gradient", "inference", "gradient", "module.eval(); " + READ_GRADIENT, EVALUATED),
        _mode(
            "gradient-graph",
            "inference",
            "gradient",
            'GradientGraphBuilder(model, {"loss"}, {"x"}, "loss").build(); InferenceSession(gradient_graph)'
            '.run(["x_grad"], {"x": x, "cotangent": cotangent, "loss_grad": 1})',
            GRAPH,
        ),
        FORMS.inference(9, 9, default=False),
        FORMS.inference(15, 15),
        FORMS.training(15, 15),
        FORMS.training(15, 15, read=False, default=False),
        FORMS.inference(9, 9, fed=True, default=False),
        FORMS.training(15, 15, read=False, fed=True, default=False),
        FORMS.gradient(15, default=False),
        FORMS.gradient(15, "batch", default=False),
        FORMS.gradient(15, "training", default=False),
        *FORMS.files(),
        Mode(
            EXPORT,
            "inference",
            "export",
            'module.export_model_for_inferencing("network.onnx", ["y"])',
            EXPORTED,
            file=True,
        ),
    )

    def load(self) -> str:
        """Import sessions and the training API, without torch: `onnxruntime.training` by itself imports it."""
        import onnx
        import onnxruntime

        package = types.ModuleType("onnxruntime.training")
        vars(package).update(__path__=[os.path.join(os.path.dirname(onnxruntime.__file__), "training")])
        sys.modules[package.__name__] = package
        self.onnx, self.onnxruntime = onnx, onnxruntime
        self.api = importlib.import_module("onnxruntime.training.api")
        self.artifacts = importlib.import_module("onnxruntime.training.artifacts")
        self.onnxblock = importlib.import_module("onnxruntime.training.onnxblock")
        return str(onnxruntime.__version__)

    def options(self) -> Any:
        """One thread, and no messages below errors."""
        options = self.onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        return options

    def session(self, path: str) -> Any:
        """An inference session of the file."""
        return self.onnxruntime.InferenceSession(path, self.options(), providers=["CPUExecutionProvider"])

    def build(self, network: Network, mode: str, shares: Optional[Any] = None) -> Any:
        """A session of a form's file; for modes of the training API, artifacts made of an inference form's."""
        if mode in network.onnx:
            return FormAdapter.build(self, network, mode)
        self.onnxruntime.set_default_logger_severity(3)
        model = self.onnx.load(network.onnx[SOURCES.get(mode, "opset-15")])
        if mode == "gradient-graph":
            return self.gradient_graph(model)
        return self.trained(model, network, mode, shares)

    def trained(self, model: Any, network: Network, mode: str, shares: Optional[Trained]) -> Trained:
        """The training API's module. With `shares`, its parameters are that module's, and others are constants."""
        weights = [item.name for item in model.graph.initializer]
        if shares is not None:
            weights = [name for name in weights if name in shares.state.parameters]
        frozen = None if mode == "module.train.constants" else weights
        rows = [network.batch] + network.graph["inputs"][0]["shape"][1:]
        folder = tempfile.mkdtemp(dir=network.scratch)
        self.artifacts.generate_artifacts(
            self.shifted(model, rows),
            requires_grad=["dx"],
            frozen_params=frozen,
            loss=self.loss(),
            artifact_directory=folder,
        )
        state = self.api.CheckpointState.load_checkpoint(os.path.join(folder, "checkpoint"))
        if shares is not None:
            state = shares.state
        files = [os.path.join(folder, name) for name in ("training_model.onnx", "eval_model.onnx")]
        module = self.api.Module(files[0], state, files[1], session_options=self.options())
        output = network.graph["outputs"][0]
        return Trained(module, state, output["shape"][1:], output["name"])

    def shifted(self, model: Any, shape: List[int]) -> Any:
        """`model` of x + dx, where dx is an initialiser of zeros: the training API differentiates by those."""
        x = model.graph.input[0].name
        for node in model.graph.node:
            for index, name in enumerate(node.input):
                if name == x:
                    node.input[index] = "shifted"
        model.graph.node.insert(0, self.onnx.helper.make_node("Add", [x, "dx"], ["shifted"], name="shift"))
        model.graph.initializer.append(self.onnx.numpy_helper.from_array(np.zeros(shape, np.float32), "dx"))
        return model

    def loss(self) -> Any:
        """The sum of output * cotangent as a block of the training API, which also puts out the network's output."""
        blocks = self.onnxblock.blocks

        class Loss(self.onnxblock.Block):  # type: ignore[name-defined,misc]
            def build(self, y: str, *statistics: str) -> List[str]:
                cotangent = blocks.InputLike(y)("cotangent")
                return [blocks.ReduceSum(keepdims=False)(blocks.Mul()(y, cotangent)), y]

        return Loss()

    def gradient_graph(self, model: Any) -> GradientGraph:
        """What `onnxruntime.training.experimental` makes of a torch module, made of an ONNX model."""
        helper = self.onnx.helper
        y = model.graph.output[0]
        cotangent = model.graph.input.add()
        cotangent.CopyFrom(y)
        cotangent.name = "cotangent"
        model.graph.node.extend(
            [
                helper.make_node("Mul", [y.name, "cotangent"], ["product"], name="product"),
                helper.make_node("ReduceSum", ["product"], ["loss"], name="loss", keepdims=0),
            ]
        )
        model.graph.output.append(helper.make_tensor_value_info("loss", self.onnx.TensorProto.FLOAT, []))
        builder = self.onnxruntime.capi._pybind_state.GradientGraphBuilder(
            model.SerializeToString(), {"loss"}, {model.graph.input[0].name}, "loss", self.options()
        )
        builder.build()
        return GradientGraph(self.session(builder.get_model()))

    def predict(self, model: Any, x: Array) -> Array:
        """The evaluation model for modules, the inference form for sessions."""
        return model.evaluate(x) if isinstance(model, Trained) else FormAdapter.predict(self, model, x)

    def forward(self, model: Any, x: Array, mode: str) -> Array:
        """Carry out a mode that asks for a prediction."""
        if not isinstance(model, Trained):
            return FormAdapter.forward(self, model, x, mode)
        if mode == "module.eval":
            return model.evaluate(x)
        model.module.train()
        return model.module(x, np.zeros([len(x)] + model.output, np.float32))[1]

    def gradient(self, model: Any, x: Array, cotangent: Array, mode: str, between: Callable[[], None]) -> Array:
        """Carry out a mode that asks for a gradient; one step does forward and backward."""
        if isinstance(model, GradientGraph):
            return model.gradient(x, cotangent)
        if not isinstance(model, Trained):
            return FormAdapter.gradient(self, model, x, cotangent, mode, between)
        model.module.train(mode != "module.eval.gradient")
        return model.gradient(x, cotangent)

    def export(self, model: Trained, mode: str, folder: str) -> None:
        """The inference model, which is not read back: sessions read it elsewhere."""
        model.module.export_model_for_inferencing(os.path.join(folder, "network.onnx"), [model.name])

    def layers(self, model: Any, x: Array, mode: str) -> Dict[str, Array]:
        """Every node's output in a session; artifacts put out what their loss block returns."""
        return {} if isinstance(model, Trained) else FormAdapter.layers(self, model, x, mode)

    def state(self, model: Any) -> Dict[str, Array]:
        """Every parameter of the checkpoint, trainable or frozen."""
        if not isinstance(model, Trained):
            return FormAdapter.state(self, model) if not isinstance(model, GradientGraph) else {}
        return {name: parameter.data for name, parameter in model.state.parameters}

    def parameters(self, model: Any) -> Dict[str, Array]:
        """The same: `CheckpointState.parameters` is the public view."""
        return self.state(model)
