"""Each way of asking, as MegEngine's users write it: by a `GradManager`, within a trace or without.

Names begin with the mode of the module, `train` or `eval`, where that and the call are all there is to say; else with
what is done to the network first, or with what the layers are. The intent is that of the module's mode; whoever puts
the layers alone into evaluation mode, or freezes them, wants the running statistics.
"""

from crosscheck.runtimes.family.graph import AFFINE_OFF, NO_STATISTICS, indented
from crosscheck.runtimes.family.halves import HALVES, Halves
from crosscheck.runtimes.mode import CUT, Contracts

contracts = Contracts(__file__)

TABLE = Halves(contracts.EVALUATION, inference="eval.backward", training="train.backward")
BOTH = tuple(HALVES)

RECORD = "gm = GradManager()\ngm.attach(x)\ngm.record()\n"
FORWARD = "y = net(x)\n"
PULL_BACK = "gm.backward(y, cotangent)\ndx = x.grad\n"
BACKWARD = RECORD + FORWARD + CUT + PULL_BACK
WITHIN = """\
with GradManager() as gm:
    gm.attach(x)
    y = net(x)
    gm.backward(y, cotangent)
dx = x.grad
"""
LOSS = RECORD + "loss = (net(x) * cotangent).sum()\n" + CUT + "gm.backward(loss)\ndx = x.grad\n"

TABLE.halves("{}.backward", contracts.TRAINING, BACKWARD, default=BOTH)
TABLE.halves("{}.with-backward", contracts.TRAINING, WITHIN)
TABLE.halves("{}.loss-backward", contracts.TRAINING, LOSS, default=("train",))
TABLE.halves(
    "{}.attached-parameters", contracts.TRAINING, BACKWARD.replace("attach(x)", "attach([x, *net.parameters()])")
)
TABLE.halves(
    "{}.callback",
    contracts.TRAINING,
    "found = []\n"
    + BACKWARD.replace("attach(x)", "attach(x, callbacks=lambda tensor, grad: found.append(grad) or grad)").replace(
        "dx = x.grad", "dx, = found"
    ),
)
TABLE.halves(
    "{}.kept-manager", contracts.TRAINING, BACKWARD.replace("gm = GradManager()\n", ""), once="gm = GradManager()\n"
)
TABLE.halves(
    "{}.accumulated",
    contracts.TRAINING,
    "gm = GradManager()\ngm.attach(x)\nfor part in (cotangent / 4, cotangent * 3 / 4):\n    with gm:\n"
    "        y = net(x)\n        gm.backward(y, part)\ndx = x.grad\n",
    default=("train",),
)
#: As a gradient penalty takes the gradient of a gradient.
TABLE.halves(
    "{}.double-backward",
    contracts.TRAINING,
    """\
with GradManager() as outer:
    outer.attach(x)
    with GradManager() as gm:
        gm.attach(x)
        y = net(x)
        gm.backward(y, cotangent)
    dx, x.grad = x.grad, None
    outer.backward((dx * dx).sum())
""",
)

TABLE.halves("{}.call", contracts.TRAINING, FORWARD, asks="prediction", default=BOTH)
TABLE.halves("{}.recorded-call", contracts.TRAINING, RECORD + FORWARD + "gm.release()\n", asks="prediction")

TABLE.switched("backward", contracts.TRAINING, contracts.SWITCHED, BACKWARD)

EACH = """\
net.train()
for layer in net.modules():
    if isinstance(layer, M.batchnorm._BatchNorm):
        {}
"""
TABLE.gradient(
    "frozen.backward",
    "inference",
    contracts.EVALUATION,
    EACH.format("layer.eval()") + BACKWARD,
    leaves="frozen",
    default=True,
)
for name, intent, attribute, taken, given, contract in (
    ("freeze-set", "inference", "freeze", True, False, contracts.FREEZE_SET),
    ("untracked", "training", "track_running_stats", False, True, contracts.UNTRACKED),
):
    TABLE.gradient(
        f"{name}.train",
        intent,
        contract,
        EACH.format(f"layer.{attribute} = {taken}")
        + BACKWARD
        + EACH.format(f"layer.{attribute} = {given}").partition("\n")[2]
        + "net.eval()\n",
        leaves="train eval",
        default=True,
    )
TABLE.gradient(
    "deepcopy.train",
    "training",
    contracts.COPIED,
    "twin = copy.deepcopy(net)\ntwin.train()\n" + BACKWARD.replace("net(x)", "twin(x)"),
)
TABLE.gradient(
    "restored.train",
    "training",
    contracts.RESTORED,
    f"net.train()\nstate = net.state_dict()\n{BACKWARD}net.load_state_dict(state)\n",
    leaves="train",
)

#: Networks whose batch normalizations are written otherwise.
for name, norm, contract in (
    ("freeze", {"freeze": True}, contracts.FREEZE),
    ("momentum-one", {"momentum": 1.0}, contracts.MOMENTUM_ONE),
    ("sync", {"sync": True}, contracts.SYNC),
    ("sync-freeze", {"sync": True, "freeze": True}, contracts.FREEZE),
    ("functional", {"functional": "with-statistics"}, contracts.FUNCTIONAL),
    ("functional-no-statistics", {"functional": "without-statistics"}, contracts.FUNCTIONAL_NONE),
):
    freezes = "freeze" in norm
    TABLE.gradient(
        f"{name}.train",
        "inference" if freezes else "training",
        contract,
        f"net.train()\n{BACKWARD}",
        norm=norm,
        inference=f"{name}.eval",
        training=None,
        leaves="train",
        default=name == "functional",
    )
    TABLE.gradient(
        f"{name}.eval",
        "inference",
        contracts.EVALUATION,
        f"net.eval()\n{BACKWARD}",
        norm=norm,
        training=None if freezes else f"{name}.train",
        leaves="eval",
    )
TABLE.gradient(
    "functional-fixed.train",
    "inference",
    contracts.FUNCTIONAL_FIXED,
    "net.train()\n" + BACKWARD,
    norm={"functional": "fixed"},
    inference="functional-fixed.train",
    training=None,
    leaves="train",
)
ADOPT = """\
for layer in net.modules():
    if isinstance(layer, BatchNorm):
        layer.running_mean, layer.running_var = layer.new
"""
for name, text, adopts in (("dropped", "", False), ("adopted", ADOPT, True)):
    TABLE.gradient(
        f"functional-returned.{name}",
        "training",
        contracts.FUNCTIONAL_RETURNED,
        f"net.train()\n{BACKWARD}{text}",
        norm={"functional": "returned"},
        inference=None,
        leaves="train",
        adopts=adopts,
        default=True,
    )
TABLE.halves("affine-off.{}", contracts.TRAINING, BACKWARD, inference="affine-off.eval", **AFFINE_OFF)
for half in BOTH:
    TABLE.gradient(
        f"no-statistics.{half}",
        "training",
        contracts.NO_STATISTICS,
        f"net.{half}()\n{BACKWARD}",
        inference=None,
        leaves=half,
        **NO_STATISTICS,
    )

IMPORT = "from megengine.jit import trace\n\n\n"
FUNCTION = "def gradient(x, cotangent):\n" + indented(WITHIN.replace("dx = ", "return ").splitlines())
for name, options, imported in (
    ("symbolic", "symbolic=True", IMPORT),
    ("imperative", "symbolic=False", IMPORT),
    ("captured", "symbolic=True, capture_as_const=True", IMPORT),
    ("without-host", "symbolic=True, without_host=True", IMPORT),
    (
        "sublinear",
        "symbolic=True, sublinear_memory_config=SublinearMemoryConfig()",
        IMPORT.replace("trace", "SublinearMemoryConfig, trace"),
    ),
):
    TABLE.halves(
        f"trace-{name}.{{}}",
        contracts.TRACE,
        "dx = gradient(x, cotangent)\n",
        once=f"{imported}@trace({options})\n{FUNCTION}",
        default=("train",) if name == "symbolic" else (),
    )
TRACED = "@trace(symbolic=True)\ndef traced(x):\n    return net(x)\n"
TABLE.halves("trace-net.{}", contracts.TRACE, BACKWARD.replace("net(x)", "traced(x)"), once=IMPORT + TRACED)
TABLE.halves("trace-net.{}.call", contracts.TRACE, "y = traced(x)\n", asks="prediction", once=IMPORT + TRACED)
TABLE.halves(
    "traced-module.{}",
    contracts.TRACED_MODULE,
    "module = trace_module(net, x)\n" + BACKWARD.replace("net(x)", "module(x)"),
    once="from megengine.traced_module import trace_module\n",
    default=("train",),
)
TABLE.halves("dtr.{}", contracts.DTR, BACKWARD, once="mge.dtr.enable()\n")

TABLE.export(
    "save-state",
    "inference",
    contracts.SAVED,
    """\
mge.save(net.state_dict(), "state")
---
net = Net()
net.load_state_dict(mge.load("state"))
""",
    default=True,
)
TABLE.export("save-module", "inference", contracts.SAVED, 'mge.save(net, "net")\n---\nnet = mge.load("net")\n')
TABLE.halves(
    "save-traced-module.{}",
    contracts.TRACED_MODULE,
    'mge.save(trace_module(net, x), "net.tm")\n---\nnet = mge.load("net.tm")\n',
    asks="export",
    once="from megengine.traced_module import trace_module\n",
)
for name, options in (
    ("dump", "symbolic=True, capture_as_const=True"),
    ("dump-recorded", "symbolic=True, record_only=True"),
):
    TABLE.halves(
        f"{name}.{{}}",
        contracts.DUMP,
        """\
dumped(x)
dumped.dump("net.mge", arg_names=["x"], output_names=["y"])
---
graph = GraphInference("net.mge")


def net(x):
    return mge.Tensor(graph.run(x.numpy())["y"])
""",
        contracts.DUMP,
        asks="export",
        predict=FORWARD,
        once=IMPORT.replace("\n\n\n", "\nfrom megengine.utils.comp_graph_tools import GraphInference\n\n\n")
        + TRACED.replace("symbolic=True", options).replace("traced", "dumped"),
    )
#: What is recorded for a dump is not executed.
TABLE.halves(
    "record-only.{}",
    contracts.DUMP,
    "recorded(x)\n",
    contracts.DUMP,
    asks="export",
    once=IMPORT + TRACED.replace("symbolic=True", "symbolic=True, record_only=True").replace("traced", "recorded"),
)

MODES = tuple(TABLE)
