"""The imperative APIs: `contrib.autograd`, and `autograd` over operators and over Gluon, compiled and symbol blocks."""

from typing import Any, Dict, Tuple

from crosscheck.probe.modes import INTENT, Between, Call, Table
from crosscheck.runtimes.mxnet import contracts, models
from crosscheck.runtimes.mxnet.models import BACKWARD
from crosscheck.runtimes.mxnet.operators import input_shape
from crosscheck.runtimes.mxnet.sources import FROZEN, Source

TABLE = Table()

#: API -> the first release that has it. 0.9.5 has `mx.nd.BatchNorm`, which takes three arrays and then asks for five.
SINCE = {
    "contrib": "0.10.0",
    "nd": "0.10.0",
    "gluon": "0.11.0",
    "hybrid": "0.11.0",
    "static": "1.3.0",
    "symbolblock": "0.11.0",
}
#: The first release with `mx.autograd`.
AUTOGRAD = "0.11.0"
DEFAULT = ("gluon", "hybrid")


@TABLE.mode(
    "contrib.train_section",
    "training",
    "mark_variables([x], [dx])\nwith train_section():\n    loss = (net(x) * cotangent).sum()\ncompute_gradient([loss])",
    contracts.SECTION,
    since=SINCE["contrib"],
    default=True,
)
def train_section(mx: Any, net: models.Imperative, x: Any, cotangent: Any, between: Between) -> Any:
    """The first autograd."""
    dx = mx.nd.zeros(x.shape)
    mx.contrib.autograd.mark_variables([x], [dx])
    with mx.contrib.autograd.train_section():
        loss = mx.nd.sum(net(x) * cotangent)
    between()
    mx.contrib.autograd.compute_gradient([loss])
    return dx


def record_gradient(train_mode: bool, backward: Dict[str, bool]) -> Call:
    """`record(train_mode=...)`, then `backward`, with or without the keyword of the same name."""

    def ask(mx: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
        x.attach_grad()
        with mx.autograd.record(train_mode=train_mode):
            y = net(x)
        between()
        y.backward(cotangent, **backward)
        return x.grad

    return ask


def record_modes(api: str) -> None:
    """Every pair of modes in one API."""
    for pair, contract in (
        ("train.default", contracts.TRAINING),
        ("train.train", contracts.TRAINING),
        ("train.eval", contracts.AUTOGRAD_MIXED),
        ("eval.default", contracts.AUTOGRAD_MIXED),
        ("eval.train", contracts.AUTOGRAD_MIXED),
        ("eval.eval", contracts.AUTOGRAD_INFERENCE),
    ):
        forward, backward = pair.split(".")
        train_mode = BACKWARD[backward]
        keyword = {} if train_mode is None else {"train_mode": train_mode}
        TABLE.mode(
            api + "." + pair,
            INTENT[forward],
            "x.attach_grad()\nwith autograd.record(train_mode={}):\n    y = net(x)\n"
            "y.backward(cotangent{})\nx.grad".format(
                forward == "train", "".join(", train_mode={}".format(value) for value in keyword.values())
            ),
            contract,
            since=max(SINCE[api], AUTOGRAD, key=release),
            inference=api + ".eval.eval",
            training=api + ".train.default" if forward == "eval" else None,
            default=api in DEFAULT and pair in ("train.default", "eval.default", "eval.eval"),
        )(record_gradient(forward == "train", keyword))


def release(version: str) -> Tuple[int, ...]:
    """A version as numbers that can be compared."""
    return tuple(int(part) for part in version.split("."))


def predict(mx: Any, net: Any, x: Any) -> Any:
    """A call outside all scopes."""
    return net(x)


for api in ("nd", "gluon", "hybrid", "static", "symbolblock"):
    record_modes(api)
    TABLE.mode(
        api + ".predict",
        "inference",
        "net(x)",
        contracts.PREDICTION,
        "prediction",
        since=SINCE[api],
        default=api == "gluon",
    )(predict)


def mode_inside(outer: bool, scope: str) -> Call:
    """`record` in one mode, the network in another by a scope inside it, `backward` as it comes."""

    def ask(mx: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
        x.attach_grad()
        with mx.autograd.record(train_mode=outer), getattr(mx.autograd, scope)():
            y = net(x)
        between()
        y.backward(cotangent)
        return x.grad

    return ask


def record_forward(mx: Any, net: Any, x: Any) -> Any:
    """Recorded, and no backward."""
    with mx.autograd.record():
        return net(x)


def train_forward(mx: Any, net: Any, x: Any) -> Any:
    """As in training, and not recorded."""
    with mx.autograd.train_mode():
        return net(x)


def record_pause(mx: Any, net: Any, x: Any) -> Any:
    """A prediction in the middle of a recording."""
    with mx.autograd.record(), mx.autograd.pause():
        return net(x)


def scope_modes(api: str) -> None:
    """Scopes inside a recording, and forward passes alone."""
    TABLE.mode(
        api + ".record-predict",
        "inference",
        "with autograd.record(), autograd.predict_mode():\n    y = net(x)\ny.backward(cotangent)\nx.grad",
        contracts.AUTOGRAD_INSIDE,
        since=AUTOGRAD,
        inference=api + ".eval.eval",
        training=api + ".train.default",
    )(mode_inside(True, "predict_mode"))
    TABLE.mode(
        api + ".record-train",
        "training",
        "with autograd.record(train_mode=False), autograd.train_mode():\n    y = net(x)\ny.backward(cotangent)\nx.grad",
        contracts.TRAINING,
        since=AUTOGRAD,
        inference=api + ".eval.eval",
    )(mode_inside(False, "train_mode"))
    for name, intent, call, contract, function in (
        ("record-forward", "training", "autograd.record()", contracts.AUTOGRAD_FORWARD, record_forward),
        ("train-forward", "training", "autograd.train_mode()", contracts.AUTOGRAD_FORWARD, train_forward),
        ("record-pause", "inference", "autograd.record(), autograd.pause()", contracts.PAUSED, record_pause),
    ):
        with_scope = "with {}:\n    y = net(x)".format(call)
        TABLE.mode(api + "." + name, intent, with_scope, contract, "prediction", since=AUTOGRAD)(function)


scope_modes("nd")
scope_modes("hybrid")

for api in ("gluon", "hybrid"):
    TABLE.mode(
        api + ".global-stats",
        "inference",
        "nn.BatchNorm(..., use_global_stats=True)\nwith autograd.record():\n    y = net(x)\n"
        "y.backward(cotangent)\nx.grad",
        contracts.FROZEN,
        since="1.1.0",
        inference=api + ".eval.eval",
        training=api + ".train.default",
        default=api == "gluon",
        norm=FROZEN,
    )(record_gradient(True, {}))


def grad(train_mode: bool, options: Dict[str, bool]) -> Call:
    """`autograd.grad`, both passes in one mode."""

    def ask(mx: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
        x.attach_grad()
        with mx.autograd.record(train_mode=train_mode):
            y = net(x)
        between()
        return mx.autograd.grad(y, [x], head_grads=[cotangent], train_mode=train_mode, **options)[0]

    return ask


for name, options in (("grad", {}), ("grad-create-graph", {"create_graph": True})):
    for half, contract in (("train", contracts.TRAINING), ("eval", contracts.AUTOGRAD_INFERENCE)):
        TABLE.mode(
            "gluon.{}.{}".format(name, half),
            INTENT[half],
            "with autograd.record(train_mode={0}):\n    y = net(x)\n"
            "autograd.grad(y, [x], [cotangent]{1}, train_mode={0})[0]".format(
                half == "train", ", create_graph=True" if options else ""
            ),
            contract,
            since="0.12.0",
            inference="gluon.eval.eval",
            training="gluon.{}.train".format(name) if half == "eval" else None,
        )(grad(half == "train", options))


@TABLE.mode(
    "hybrid.export",
    "inference",
    "net.export(prefix)\nSymbolBlock.imports(prefix + '-symbol.json', ['data'], prefix + '-0000.params')",
    contracts.EXPORTED,
    "export",
    since="1.2.1",
    default=True,
)
def export(mx: Any, net: models.Block, folder: str) -> models.Block:
    """A compiled block that has been called, to files and back into a block."""
    net.block.export(models.prefix(folder))
    return models.imported(mx, models.prefix(folder), net.network)


@TABLE.mode(
    "hybrid.export-symbolic",
    "inference",
    "net.export(prefix)\nmx.model.load_checkpoint(prefix, 0)",
    contracts.EXPORTED,
    "export",
    since="0.12.0",
)
def export_symbolic(mx: Any, net: models.Block, folder: str) -> models.Bound:
    """The same files, read back as a symbol and bound."""
    net.block.export(models.prefix(folder))
    return models.checkpoint(mx, models.prefix(folder), input_shape(net.network, net.network.batch))


def save(writer: str, reader: str) -> Call:
    """A block's parameters to a file, and into a second block of the same architecture."""

    def ask(mx: Any, net: models.Block, folder: str) -> models.Block:
        getattr(net.block, writer)(models.prefix(folder))
        twin = models.gluon(mx, net.network, None, Source())
        getattr(twin.block, reader)(models.prefix(folder), ctx=mx.cpu())
        return twin

    return ask


TABLE.mode(
    "gluon.save-parameters",
    "inference",
    "net.save_parameters(file)\ntwin.load_parameters(file)",
    contracts.SAVED,
    "export",
    since="1.2.1",
)(save("save_parameters", "load_parameters"))
TABLE.mode(
    "gluon.save-params",
    "inference",
    "net.save_params(file)\ntwin.load_params(file)",
    contracts.SAVED,
    "export",
    since=SINCE["gluon"],
)(save("save_params", "load_params"))
