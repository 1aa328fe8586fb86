"""ONNX Runtime on the CPU: a mode is the form in which the network's file is written, and how its session is run."""

from dataclasses import replace

from crosscheck.runtimes.family.readers import Calls, Reader
from crosscheck.runtimes.mode import Contract, Edition, Modes

LEVELS = {"disable": "ORT_DISABLE_ALL", "basic": "ORT_ENABLE_BASIC", "extended": "ORT_ENABLE_EXTENDED"}
OPTIONS = """\
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
options.log_severity_level = 3
"""
LEVEL = "options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.{}\n"
OPEN = '$net = onnxruntime.InferenceSession("$file", options, providers=["CPUExecutionProvider"])\n'

CALLS = Calls(
    open=OPEN,
    predict='y = $net.run(["$output"], $feeds)[0]\n',
    gradient='dx = $net.run(["$input.gradient"], $feeds)[0]\n',
    layers="names = $names\nlayers = dict(zip(names, $net.run(names, $feeds)))\n",
)
#: The keyword came after 1.0, whose packages have the CPU provider alone; until 0.5 no option is worth setting.
NO_PROVIDERS = replace(CALLS, open=OPEN.replace(', providers=["CPUExecutionProvider"]', ""))
NO_OPTIONS = replace(CALLS, open=NO_PROVIDERS.open.replace(", options", ""))

BIND = "binding = $net.io_binding()\n"
READ = "$net.run_with_iobinding(binding)\n{} = binding.copy_outputs_to_cpu()[0]\n"
BIND_FEEDS = 'for name, value in $feeds.items():\n    binding.bind_cpu_input(name, value)\nbinding.bind_output("{}")\n'
#: Inputs are bound to the user's arrays, the output to memory that the session allocates.
BOUND_CALLS = replace(
    CALLS,
    predict=BIND + BIND_FEEDS.format("$output") + READ.format("y"),
    gradient=BIND + BIND_FEEDS.format("$input.gradient") + READ.format("dx"),
)

#: The newest form that every release reads.
READER = Reader(CALLS, inference_form="opset-9", older=(("0.5", NO_OPTIONS), ("1.0", NO_PROVIDERS)))
BOUND = Reader(BOUND_CALLS, READER.inference_form, suffix="-bound", since="1.3")

OPTIMISED = Contract(
    "undocumented",
    "In offline mode the graph that an optimisation level made is saved. Basic optimisations preserve the semantics of "
    "a graph; of extended ones, and of the statistics in what is saved, that is not said.",
    "https://onnxruntime.ai/docs/performance/model-optimizations/graph-optimizations.html",
)


def export(level: str, calls: Calls) -> str:
    """The session that makes the optimised graph writes it, and one that optimises no further reads it."""
    return (
        OPTIONS
        + LEVEL.format(LEVELS[level])
        + 'options.optimized_model_filepath = "network.onnx"\n'
        + calls.opened("optimised", READER.inference_form)
        + "---\n"
        + OPTIONS
        + LEVEL.format(LEVELS["disable"])
        + calls.opened("net", "network")
    )


EXPORTS = Modes(since="1.0")
for level in ("basic", "extended"):
    EXPORTS.export(
        f"export.{level}",
        "inference",
        OPTIMISED,
        export(level, CALLS),
        editions=(Edition("1.0", export(level, NO_PROVIDERS)),),
        form=READER.inference_form,
        file=True,
        default=True,
    )

FORMS = """
    opset-7 opset-9 opset-9-no-momentum opset-14 opset-15 opset-15-no-momentum opset-14-training
    opset-14-training-no-momentum opset-15-training opset-14-training-unread opset-15-training-unread
    opset-15-training-no-momentum opset-9-fed opset-15-fed opset-14-training-unread-fed opset-15-training-fed
    opset-15-training-unread-fed opset-9-gradient opset-9-batch-gradient opset-15-gradient
    opset-15-batch-gradient opset-15-training-gradient opset-15-fed-gradient opset-15-batch-fed-gradient
    opset-15-training-fed-gradient file file-gradient file-batch-gradient file-training
"""
DEFAULT = """
    opset-7 opset-9 opset-15 opset-14-training opset-15-training opset-15-training-unread
    opset-15-training-no-momentum opset-15-training-unread-fed opset-15-gradient opset-15-batch-gradient file
    file-gradient file-batch-gradient file-training
"""
BOUND_FORMS = """
    opset-15 opset-15-fed opset-15-training-unread opset-15-training-unread-fed opset-15-gradient
    opset-15-batch-gradient
"""
MODES = (*READER.modes(FORMS, DEFAULT), *EXPORTS, *BOUND.modes(BOUND_FORMS))
