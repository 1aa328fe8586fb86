"""Files: ONNX by both exporters, TorchScript, exported programs, and parameters."""

from crosscheck.runtimes.family.halves import Halves
from crosscheck.runtimes.family.torch import PREDICT
from crosscheck.runtimes.mode import Contracts, Edition

contracts = Contracts(__file__)

EXPORTS = Halves(contracts.EVALUATION)
#: The half that users export, first.
BOTH = ("eval", "train")


def onnx(half: str, *keywords: str) -> str:
    """`torch.onnx.export` of the module in one mode."""
    arguments = ", ".join(("net", "(x,)", '"network.onnx"', *keywords))
    return f"net.{half}()\ntorch.onnx.export({arguments})\n"


#: The first exporter is the only one until 2.4, and the second one's fallback from then on.
ONLY, FIRST = "2.4.1", "dynamo=False"
UNFOLDED = "do_constant_folding=False"
#: Before 1.6, `training` was a flag; 1.0 folded nothing.
FLAGS = (("1.0.1", ("training=True",)), ("1.5.1", ("training=True", UNFOLDED)))
TRAINING, PRESERVE = "training=torch.onnx.TrainingMode.TRAINING", "training=torch.onnx.TrainingMode.PRESERVE"
for name, half, keywords, since in (
    ("eval", "eval", (), None),
    ("eval-after-train", "train", (), None),
    ("training", "train", (TRAINING, UNFOLDED), None),
    ("preserve-train", "train", (PRESERVE, UNFOLDED), "1.6"),
    ("preserve-eval", "eval", (PRESERVE,), "1.6"),
):
    intent = "training" if keywords and half == "train" else "inference"
    flags = FLAGS if name == "training" else ()
    EXPORTS.export(
        f"export.onnx.{name}",
        intent,
        contracts.ONNX if intent == "inference" else contracts.ONNX_TRAINING,
        onnx(half, *keywords, FIRST),
        editions=tuple(Edition(until, onnx(half, *said)) for until, said in (*flags, (ONLY, keywords))),
        since=since,
        default=name in ("eval", "eval-after-train", "training"),
        leaves=half,
        file=True,
    )
EXPORTS.halves(
    "export.onnx-dynamo.{}",
    contracts.ONNX_DYNAMO,
    'torch.onnx.export(net, (x,), "network.onnx", dynamo=True, external_data=False)\n',
    contracts.ONNX_DYNAMO_EVALUATION,
    asks="export",
    default=BOTH,
    only=BOTH,
    since="2.5",
    file=True,
)

EXPORTS.export(
    "export.state-dict",
    "inference",
    contracts.SAVED,
    """\
torch.save(net.state_dict(), "state.pt")
---
with torch.random.fork_rng():  # new layers draw their first weights
    net = Net()
net.load_state_dict(torch.load("state.pt"))
""",
    default=True,
)
for name, making, since, training in (
    ("trace", "torch.jit.trace(net, x)", None, contracts.TRACE),
    ("script", "torch.jit.script(net)", "1.2", contracts.JIT_SAVED),
):
    EXPORTS.halves(
        f"export.jit-{name}.{{}}",
        training,
        f'{making}.save("script.pt")\n---\nnet = torch.jit.load("script.pt")\n',
        contracts.JIT_SAVED,
        asks="export",
        only=BOTH,
        since=since,
    )
EXPORTS.halves(
    "export.program.{}",
    contracts.EXPORT_PROGRAM,
    """\
torch.export.save(torch.export.export(net, (x,)), "program.pt2")
---
net = torch.export.load("program.pt2").module()
""",
    contracts.PROGRAM_SAVED,
    asks="export",
    only=BOTH,
    predict=PREDICT,
    since="2.1",
)
