"""Each way of asking the imperative APIs: `contrib.autograd`, and `autograd` over operators and over Gluon blocks."""

from packaging.version import Version

from crosscheck.runtimes.family.halves import HALVES
from crosscheck.runtimes.mode import Contracts, Edition, Modes
from crosscheck.runtimes.mxnet.symbolic_modes import BOUND, FIXED_GAMMA, FROZEN, LAST_AXIS, OUTPUT_MEAN_VAR
from crosscheck.runtimes.mxnet.symbols import EXECUTED

contracts = Contracts(__file__)

__all__ = ["AUTOGRAD", "CONTRIB", "IMPERATIVE", "record"]

#: The first release with `mx.autograd`.
AUTOGRAD = "0.11.0"
#: The pairs of modes in which the default matrix asks Gluon.
DEFAULT = ("train.default", "eval.default", "eval.eval")


def api(name: str, since: str) -> Modes:
    """An API's modes, without any yet."""
    return Modes(inference=f"{name}.eval.eval", training=f"{name}.train.default", kind=name, since=since)


#: 0.9.5 has `mx.nd.BatchNorm`, which takes three arrays and then asks for five.
CONTRIB = Modes(kind="contrib", since="0.10.0")
IMPERATIVE = {
    "nd": api("nd", "0.10.0"),
    "gluon": api("gluon", "0.11.0"),
    "hybrid": api("hybrid", "0.11.0"),
    "static": api("static", "1.3.0"),
    "symbolblock": api("symbolblock", "0.11.0"),
}


def record(scopes: str, backward: str = "") -> str:
    """`record`, then `backward`; further scopes within `record` may change the mode."""
    return f"""\
x.attach_grad()
with {scopes}:
    y = net(x)
---
y.backward(cotangent{backward})
dx = x.grad
"""


def forward(scopes: str) -> str:
    """A forward pass alone."""
    return f"with {scopes}:\n    y = net(x)\n"


def editions(name: str, text: str) -> tuple[Edition, ...]:
    """A SymbolBlock of 0.11 answers with the list of its outputs."""
    return (Edition("0.11.0", text.replace("net(x)", "net(x)[0]")),) if name == "symbolblock" else ()


CONTRIB.gradient(
    "contrib.train_section",
    "training",
    contracts.SECTION,
    """\
dx = mx.nd.zeros(x.shape)
mx.contrib.autograd.mark_variables([x], [dx])
with mx.contrib.autograd.train_section():
    loss = mx.nd.sum(net(x) * cotangent)
---
mx.contrib.autograd.compute_gradient([loss])
""",
    default=True,
)

for name, modes in IMPERATIVE.items():
    for half, other, contract in (
        ("train", "default", contracts.TRAINING),
        ("train", "train", contracts.TRAINING),
        ("train", "eval", contracts.AUTOGRAD_MIXED),
        ("eval", "default", contracts.AUTOGRAD_MIXED),
        ("eval", "train", contracts.AUTOGRAD_MIXED),
        ("eval", "eval", contracts.AUTOGRAD_INFERENCE),
    ):
        keyword = "" if other == "default" else f", train_mode={other == 'train'}"
        text = record(f"autograd.record(train_mode={half == 'train'})", keyword)
        modes.gradient(
            f"{name}.{half}.{other}",
            HALVES[half],
            contract,
            text,
            since=max(str(modes.since), AUTOGRAD, key=Version),
            default=name in ("gluon", "hybrid") and f"{half}.{other}" in DEFAULT,
            editions=editions(name, text),
        )
    modes.prediction(
        f"{name}.predict",
        "inference",
        contracts.PREDICTION,
        "y = net(x)\n",
        default=name == "gluon",
        editions=editions(name, "y = net(x)\n"),
    )

for name in ("nd", "hybrid"):
    modes = IMPERATIVE[name]
    modes.gradient(
        f"{name}.record-predict",
        "inference",
        contracts.AUTOGRAD_INSIDE,
        record("autograd.record(), autograd.predict_mode()"),
        since=AUTOGRAD,
    )
    modes.gradient(
        f"{name}.record-train",
        "training",
        contracts.TRAINING,
        record("autograd.record(train_mode=False), autograd.train_mode()"),
        since=AUTOGRAD,
    )
    for ending, intent, contract, scopes in (
        ("record-forward", "training", contracts.AUTOGRAD_FORWARD, "autograd.record()"),
        ("train-forward", "training", contracts.AUTOGRAD_FORWARD, "autograd.train_mode()"),
        ("record-pause", "inference", contracts.PAUSED, "autograd.record(), autograd.pause()"),
    ):
        modes.prediction(f"{name}.{ending}", intent, contract, forward(scopes), since=AUTOGRAD)

for name in ("gluon", "hybrid"):
    IMPERATIVE[name].gradient(
        f"{name}.global-stats",
        "inference",
        contracts.FROZEN,
        record("autograd.record()"),
        since="1.1.0",
        default=name == "gluon",
        norm=FROZEN,
    )

# Settings of the layers.
for name, kind, since, more in (
    ("nd.fix-gamma", "nd", AUTOGRAD, FIXED_GAMMA),
    ("nd.output-mean-var", "nd", AUTOGRAD, {"norm": OUTPUT_MEAN_VAR}),
    ("gluon.scale-false", "gluon", AUTOGRAD, {"norm": {"scale": False}, "unit_scale": True}),
    ("gluon.axis-last", "gluon", AUTOGRAD, {"norm": LAST_AXIS}),
    ("gluon.sync", "gluon", "1.3.0", {"norm": {"num_devices": 1}}),
    ("hybrid.scale-false", "hybrid", AUTOGRAD, {"norm": {"scale": False}, "unit_scale": True}),
    ("symbolblock.fix-gamma", "symbolblock", AUTOGRAD, FIXED_GAMMA),
):
    for half, other, contract in (
        ("train", "default", contracts.TRAINING),
        ("eval", "eval", contracts.AUTOGRAD_INFERENCE),
    ):
        is_train = half == "train"
        text = record(f"autograd.record(train_mode={is_train})", "" if is_train else ", train_mode=False")
        if is_train and name == "gluon.sync":
            contract = contracts.SYNCHRONIZED
        IMPERATIVE[kind].gradient(
            f"{name}.{half}.{other}",
            HALVES[half],
            contract,
            text,
            inference=f"{name}.eval.eval",
            training=None if is_train else f"{name}.train.default",
            since=since,
            editions=editions(kind, text),
            **more,
        )

# A layer without `center` keeps its beta as a parameter; whether it ignores it, predictions show.
IMPERATIVE["gluon"].prediction(
    "gluon.center-false.predict",
    "inference",
    contracts.PREDICTION,
    "y = net(x)\n",
    norm={"center": False},
    zero_bias=True,
)

for ending, option in (("grad", ""), ("grad-create-graph", ", create_graph=True")):
    for half, contract in (("train", contracts.TRAINING), ("eval", contracts.AUTOGRAD_INFERENCE)):
        is_train = half == "train"
        IMPERATIVE["gluon"].gradient(
            f"gluon.{ending}.{half}",
            HALVES[half],
            contract,
            f"""\
x.attach_grad()
with autograd.record(train_mode={is_train}):
    y = net(x)
---
dx = autograd.grad(y, [x], head_grads=[cotangent]{option}, train_mode={is_train})[0]
""",
            since="0.12.0",
            training=None if is_train else f"gluon.{ending}.train",
        )

IMPERATIVE["hybrid"].export(
    "hybrid.export",
    "inference",
    contracts.EXPORTED,
    """\
net.export("network")
---
net = gluon.SymbolBlock.imports("network-symbol.json", ["data"], "network-0000.params", ctx=mx.cpu())
""",
    since="1.2.1",
    default=True,
)
IMPERATIVE["hybrid"].export(
    "hybrid.export-symbolic",
    "inference",
    contracts.EXPORTED,
    f"""\
net.export("network")
---
sym, arg_params, aux_params = mx.model.load_checkpoint("network", 0)
{BOUND}""",
    predict=EXECUTED,
    since="0.12.0",
)
for ending, since in (("parameters", "1.2.1"), ("params", "0.11.0")):
    IMPERATIVE["gluon"].export(
        f"gluon.save-{ending}",
        "inference",
        contracts.SAVED,
        f"""\
net.save_{ending}("network.params")
---
net = Net()
net.load_{ending}("network.params", ctx=mx.cpu())
""",
        since=since,
    )
