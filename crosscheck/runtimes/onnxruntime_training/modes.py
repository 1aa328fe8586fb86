"""ONNX Runtime's training packages: modules of their training API, a gradient graph, and sessions of ONNX forms."""

from crosscheck.runtimes.family.readers import Reader
from crosscheck.runtimes.mode import Contracts, Modes
from crosscheck.runtimes.onnxruntime.modes import CALLS, OPEN

contracts = Contracts(__file__)

READER = Reader(CALLS, inference_form="opset-9")

MODULES = Modes(training="module.train", kind="module")

TRAIN, EVAL = "net.train()\n", "net.eval()\n"
READ_GRADIENT = """\
net(x, cotangent)
dx = np.array(state.parameters["dx"].grad)
net.lazy_reset_grad()  # gradients of further steps would be added to it
"""
FORWARD = "y = net(x, zeros)[1]\n"

MODULES.gradient("module.train", "training", contracts.TRAINING, TRAIN + READ_GRADIENT, form="opset-15", default=True)
MODULES.gradient("module.train.opset-9", "training", contracts.TRAINING, TRAIN + READ_GRADIENT, form="opset-9")
MODULES.gradient(
    "module.train.training-form",
    "training",
    contracts.TRAINING,
    TRAIN + READ_GRADIENT,
    form="opset-15-training",
    default=True,
)
MODULES.gradient(
    "module.train.constants",
    "training",
    contracts.CONSTANT,
    TRAIN + READ_GRADIENT,
    kind="constants",
    form="opset-15",
    default=True,
)
MODULES.prediction(
    "module.train.forward", "training", contracts.TRAINING, TRAIN + FORWARD, form="opset-15", default=True
)
MODULES.prediction("module.eval", "inference", contracts.EVALUATION, EVAL + FORWARD, form="opset-15", default=True)
MODULES.gradient(
    "module.eval.gradient", "inference", contracts.EVALUATED, EVAL + READ_GRADIENT, form="opset-15", default=True
)
#: What `onnxruntime.training.experimental` makes of a torch module, made of an ONNX model.
MODULES.gradient(
    "gradient-graph",
    "inference",
    contracts.GRAPH,
    """\
names = [item.name for item in gradient.get_inputs()]
dx = gradient.run(None, dict(zip(names, [x, cotangent, np.ones((), np.float32)])))[-1]
""",
    once="""\
onnxruntime.set_default_logger_severity(3)
model = onnx.load("opset-15.onnx")
weights_of_loss = model.graph.input.add()
weights_of_loss.CopyFrom(model.graph.output[0])
weights_of_loss.name = "cotangent"
model.graph.node.append(onnx.helper.make_node("Mul", ["$output", "cotangent"], ["product"], name="product"))
model.graph.node.append(onnx.helper.make_node("ReduceSum", ["product"], ["loss"], name="loss", keepdims=0))
model.graph.output.append(onnx.helper.make_tensor_value_info("loss", onnx.TensorProto.FLOAT, []))
builder = GradientGraphBuilder(model.SerializeToString(), {"loss"}, {"$input"}, "loss", options)
builder.build()
"""
    + OPEN.replace("$net", "gradient").replace('"$file"', "builder.get_model()"),
    training="opset-15-batch-gradient",
    kind="",
    form="opset-15",
    default=True,
)
EXPORTS = Modes(kind="module")
EXPORTS.export(
    "export.inferencing",
    "inference",
    contracts.EXPORTED,
    'net.export_model_for_inferencing("network.onnx", ["$output"])\n',
    form="opset-15",
    file=True,
    default=True,
)

FORMS = """
    opset-9 opset-15 opset-15-training opset-15-training-unread opset-9-fed opset-15-training-unread-fed
    opset-15-gradient opset-15-batch-gradient opset-15-training-gradient file file-gradient file-batch-gradient
    file-training
"""
DEFAULT = """
    opset-15 opset-15-training file file-gradient file-batch-gradient file-training
"""
MODES = (*MODULES, *READER.modes(FORMS, DEFAULT), *EXPORTS)
