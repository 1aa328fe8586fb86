"""The ways in which MXNet can be asked: for each its intent, the call as a user writes it, what is documented, and the call itself.

Names begin with the API that the model is written in (`executor`, `module`, `contrib`, `nd`, `gluon`, `hybrid`, `static`,
`symbolblock`); where forward and backward take a mode each, forward's follows and then backward's: `executor.train.eval`.

The intent is that of the forward pass: whoever writes `record(train_mode=False)` wants the moving statistics, whatever the
backward call then does by default. Frozen layers (`use_global_stats=True`) are always meant for inference.
"""

from typing import Any, Callable, Dict, List, NamedTuple, Optional

from crosscheck.probe.adapter import Contract, Mode
from crosscheck.runtimes.mxnet import models
from crosscheck.runtimes.mxnet.operators import input_shape

SITE = "https://mxnet.apache.org/versions/"
EXECUTOR = SITE + "1.6.0/api/python/docs/api/mxnet/executor/index.html"
AUTOGRAD = SITE + "1.6/api/python/docs/api/autograd/index.html"
PREDICTION_GRADIENT = SITE + "0.11.0/api/python/autograd.html"
CONTRIB = SITE + "1.9.0/api/python/docs/api/contrib/autograd/index.html"
BATCH_NORM = SITE + "1.6.0/api/r/docs/api/mx.symbol.BatchNorm.html"
MODULE = "https://mxnet.apache.org/api/perl/docs/tutorials/module"
HYBRID_BLOCK = SITE + "1.9.0/api/python/docs/api/gluon/hybrid_block.html"
SYMBOL_BLOCK = SITE + "1.9.0/api/python/docs/api/gluon/symbol_block.html"
ISSUE = "https://github.com/apache/mxnet/issues/7189"

UPDATES = Contract(
    "move", "BatchNorm's page gives the law by which the moving statistics follow the batches; training is meant.", BATCH_NORM
)
MIXED = Contract(
    "undocumented",
    "record()'s page: after a forward pass with train_mode=False, a backward pass with another mode has an undefined gradient. "
    "Of the statistics it says nothing.",
    AUTOGRAD,
)
AUTOGRAD_INFERENCE = Contract(
    "stay",
    "To take a gradient in prediction mode, as for adversarial examples, both record and backward are to be given train_mode=False.",
    PREDICTION_GRADIENT,
)
EXECUTOR_INFERENCE = Contract(
    "stay",
    "backward's is_train says whether the pass is for training or inference; False is there for gradients during inference.",
    EXECUTOR,
)
EXECUTOR_MIXED = Contract(
    "undocumented",
    "backward's is_train is said to be True by default, not what that means after a forward pass in the other mode; before 0.11 "
    "there was no choice, which was reported as wrong gradients.",
    ISSUE,
)
MODULE_EVALUATION = Contract(
    "undocumented", "forward takes is_train, backward takes no mode; what the pair does to the statistics is not said.", MODULE
)
PREDICTION = Contract(
    "stay", "Outside a recording scope MXNet is in prediction mode, in which BatchNorm behaves as for predictions.", PREDICTION_GRADIENT
)
EXECUTOR_PREDICTION = Contract("stay", "forward's is_train=False is the pass for evaluation.", EXECUTOR)
FROZEN = Contract("stay", "With use_global_stats the moving statistics take the place of the batch's.", BATCH_NORM)
FORWARD_ONLY = Contract(
    "undocumented",
    "The forward pass behaves as in training; whether the statistics move then, or in a backward pass, is not said.",
    AUTOGRAD,
)
INSIDE = Contract(
    "undocumented", "predict_mode sets forward passes inside it to inference; backward's own mode is not mentioned.", AUTOGRAD
)
PAUSED = Contract("stay", "pause() is for code that needs no gradient, by default in prediction mode.", AUTOGRAD)
SAVED = Contract("stay", "Saving writes the symbol and the parameters to files.", HYBRID_BLOCK)
EXPORTED = Contract("stay", "export writes the block in a format that SymbolBlock.imports and Module read.", SYMBOL_BLOCK)
SECTION = Contract("move", "train_section captures code that trains: operators run with is_train=True.", CONTRIB)

#: In 0.9.5 `mx.nd.BatchNorm` takes three arrays in Python and asks for five in C++: it cannot be called.
IMPERATIVE = "0.10.0"

#: (mxnet, model, x, cotangent, between) -> dx, (mxnet, model, x) -> y, or (mxnet, model, folder) -> model.
Call = Callable[..., Any]


class Asked(NamedTuple):
    """A mode and what carries it out; `frozen`: its model's batch normalizations use the moving statistics in every mode."""

    mode: Mode
    call: Call
    frozen: bool


ASKED = {}  # type: Dict[str, Asked]


def mode(
    name: str,
    intent: str,
    call: str,
    contract: Contract,
    asks: str = "gradient",
    since: Optional[str] = None,
    inference: Optional[str] = None,
    training: Optional[str] = None,
    default: bool = False,
    frozen: bool = False,
) -> Callable[[Call], Call]:
    """Enter the decorated function into the table under `name`."""

    def enter(function: Call) -> Call:
        described = Mode(name, intent, asks, call, contract, since, None, inference, training, default)
        ASKED[name] = Asked(described, function, frozen)
        return function

    return enter


# ---- symbolic: Executor -------------------------------------------------------------------------------------------------------


def executor_modes() -> None:
    """`forward(is_train=...)` by `backward([is_train=...])`."""
    contracts = {
        "train.default": UPDATES,
        "train.train": UPDATES,
        "train.eval": EXECUTOR_MIXED,
        "eval.default": EXECUTOR_MIXED,
        "eval.train": EXECUTOR_MIXED,
        "eval.eval": EXECUTOR_INFERENCE,
    }
    for name, contract in contracts.items():
        forward, backward = name.split(".")
        keyword = BACKWARD[backward]
        mode(
            "executor." + name,
            INTENT[forward],
            "net.forward(is_train={}, data=x); net.backward([cotangent]{}); net.grad_dict['data']".format(
                forward == "train", keyword and ", is_train={}".format(keyword[0])
            ),
            contract,
            since="0.11.0" if keyword else None,
            # Releases before 0.11 have but one backward.
            inference="executor.eval.eval" if keyword else "executor.eval.default",
            training="executor.train.default" if forward == "eval" else None,
            default=name in ("train.default", "train.train", "eval.default", "eval.eval"),
        )(executor_gradient(forward == "train", {"is_train": keyword[0]} if keyword else {}))


INTENT = {"train": "training", "eval": "inference"}
#: The mode that backward is given, if any.
BACKWARD = {"default": (), "train": (True,), "eval": (False,)}  # type: Dict[str, Any]


def executor_gradient(is_train: bool, backward: Dict[str, bool]) -> Call:
    """One combination."""

    def ask(mx: Any, net: models.Bound, x: Any, cotangent: Any, between: Callable[[], None]) -> Any:
        net.executor.forward(is_train=is_train, **{net.data: x})
        between()
        net.executor.backward([cotangent], **backward)
        return net.executor.grad_dict[net.data]

    return ask


executor_modes()

mode(
    "executor.global-stats",
    "inference",
    "mx.sym.BatchNorm(..., use_global_stats=True); net.forward(is_train=True, data=x); net.backward([cotangent])",
    FROZEN,
    inference="executor.eval.default",
    training="executor.train.default",
    frozen=True,
)(executor_gradient(True, {}))


@mode("executor.predict", "inference", "net.forward(is_train=False, data=x)", EXECUTOR_PREDICTION, "prediction", default=True)
def executor_predict(mx: Any, net: models.Bound, x: Any) -> Any:
    """The control."""
    return net.executor.forward(is_train=False, **{net.data: x})[0].copy()


@mode("executor.train-forward", "training", "net.forward(is_train=True, data=x)", FORWARD_ONLY._replace(link=EXECUTOR), "prediction")
def executor_train_forward(mx: Any, net: models.Bound, x: Any) -> Any:
    """Forward as in training, no backward."""
    return net.executor.forward(is_train=True, **{net.data: x})[0].copy()


@mode("executor.save-checkpoint", "inference", "mx.model.save_checkpoint(prefix, 0, sym, args, auxs)", SAVED, "export")
def executor_save(mx: Any, net: models.Bound, folder: str) -> models.Bound:
    """Symbol and parameters to files and back."""
    auxiliary = net.executor.aux_dict
    arguments = {name: array for name, array in net.parameters().items() if name not in auxiliary}
    mx.model.save_checkpoint(models.prefix(folder), 0, net.symbol, arguments, auxiliary)
    return models.checkpoint(mx, models.prefix(folder), net.executor.arg_dict[net.data].shape)


# ---- symbolic: Module ---------------------------------------------------------------------------------------------------------


def module_gradient(is_train: bool) -> Call:
    """`forward` in one mode; `backward` has none."""

    def ask(mx: Any, net: models.Moduled, x: Any, cotangent: Any, between: Callable[[], None]) -> Any:
        net.module.forward(net.batch(x), is_train=is_train)
        between()
        net.module.backward([cotangent])
        return net.module.get_input_grads()[0]

    return ask


mode(
    "module.train",
    "training",
    "net.forward(batch, is_train=True); net.backward([cotangent]); net.get_input_grads()[0]",
    UPDATES,
    inference="module.eval",
    default=True,
)(module_gradient(True))
mode(
    "module.eval",
    "inference",
    "net.forward(batch, is_train=False); net.backward([cotangent]); net.get_input_grads()[0]",
    MODULE_EVALUATION,
    inference="module.eval",
    training="module.train",
    default=True,
)(module_gradient(False))


def module_forward(is_train: bool) -> Call:
    """`forward` alone."""

    def ask(mx: Any, net: models.Moduled, x: Any) -> Any:
        net.module.forward(net.batch(x), is_train=is_train)
        return net.module.get_outputs()[0].copy()

    return ask


mode("module.predict", "inference", "net.forward(batch, is_train=False); net.get_outputs()[0]", EXECUTOR_PREDICTION, "prediction")(
    module_forward(False)
)
mode(
    "module.train-forward",
    "training",
    "net.forward(batch, is_train=True); net.get_outputs()[0]",
    FORWARD_ONLY._replace(link=MODULE),
    "prediction",
)(module_forward(True))


@mode("module.save-checkpoint", "inference", "net.save_checkpoint(prefix, 0); mx.mod.Module.load(prefix, 0)", SAVED, "export")
def module_save(mx: Any, net: models.Moduled, folder: str) -> models.Moduled:
    """A module to files and back."""
    net.module.save_checkpoint(models.prefix(folder), 0)
    read = mx.mod.Module.load(models.prefix(folder), 0, data_names=[net.data], label_names=[])
    read.bind(net.module.data_shapes, for_training=False)
    return models.Moduled(mx, read, net.data)


# ---- imperative: contrib.autograd ---------------------------------------------------------------------------------------------


@mode(
    "contrib.train_section",
    "training",
    "mark_variables([x], [dx])\nwith train_section(): loss = (net(x) * cotangent).sum()\ncompute_gradient([loss]); dx",
    SECTION,
    since=IMPERATIVE,
    default=True,
)
def train_section(mx: Any, net: models.Imperative, x: Any, cotangent: Any, between: Callable[[], None]) -> Any:
    """The first autograd."""
    autograd = mx.contrib.autograd
    dx = mx.nd.zeros(x.shape)
    autograd.mark_variables([x], [dx])
    with autograd.train_section():
        loss = mx.nd.sum(net(x) * cotangent)
    between()
    autograd.compute_gradient([loss])
    return dx


# ---- imperative: autograd, for operators and for Gluon blocks -----------------------------------------------------------------


def record_gradient(forward: bool, backward: Dict[str, bool]) -> Call:
    """`record(train_mode=...)` by `backward([train_mode=...])`."""

    def ask(mx: Any, net: Any, x: Any, cotangent: Any, between: Callable[[], None]) -> Any:
        x.attach_grad()
        with mx.autograd.record(train_mode=forward):
            y = net(x)
        between()
        y.backward(cotangent, **backward)
        return x.grad

    return ask


def record_modes(api: str, since: str, default: List[str]) -> None:
    """All combinations for one API."""
    contracts = {
        "train.default": UPDATES,
        "train.train": UPDATES,
        "train.eval": MIXED,
        "eval.default": MIXED,
        "eval.train": MIXED,
        "eval.eval": AUTOGRAD_INFERENCE,
    }
    for name, contract in contracts.items():
        forward, backward = name.split(".")
        keyword = BACKWARD[backward]
        mode(
            api + "." + name,
            INTENT[forward],
            "x.attach_grad()\nwith autograd.record(train_mode={}): y = net(x)\ny.backward(cotangent{}); x.grad".format(
                forward == "train", keyword and ", train_mode={}".format(keyword[0])
            ),
            contract,
            since=since,
            inference=api + ".eval.eval",
            training=api + ".train.default" if forward == "eval" else None,
            default=name in default,
        )(record_gradient(forward == "train", {"train_mode": keyword[0]} if keyword else {}))


record_modes("nd", "0.11.0", [])
record_modes("gluon", "0.11.0", ["train.default", "eval.default", "eval.eval"])
record_modes("hybrid", "0.11.0", ["train.default", "eval.default", "eval.eval"])
record_modes("static", "1.3.0", [])
record_modes("symbolblock", "0.11.0", [])


def predict(mx: Any, net: Any, x: Any) -> Any:
    """The control: a call outside all scopes."""
    return net(x)


for api, first in (("nd", IMPERATIVE), ("gluon", "0.11.0"), ("hybrid", "0.11.0"), ("static", "1.3.0"), ("symbolblock", "0.11.0")):
    mode(api + ".predict", "inference", "net(x)", PREDICTION, "prediction", since=first, default=api == "gluon")(predict)


def grad(train_mode: bool, create_graph: bool) -> Call:
    """`autograd.grad`, both passes in one mode."""

    def ask(mx: Any, net: Any, x: Any, cotangent: Any, between: Callable[[], None]) -> Any:
        x.attach_grad()
        with mx.autograd.record(train_mode=train_mode):
            y = net(x)
        between()
        graph = {"create_graph": True} if create_graph else {}
        return mx.autograd.grad(y, [x], head_grads=[cotangent], train_mode=train_mode, **graph)[0]

    return ask


def grad_modes() -> None:
    """With and without a graph for higher derivatives."""
    for name, create_graph in (("gluon.grad", False), ("gluon.grad-create-graph", True)):
        for half, contract in (("train", UPDATES), ("eval", AUTOGRAD_INFERENCE)):
            mode(
                name + "." + half,
                INTENT[half],
                "with autograd.record(train_mode={0}): y = net(x)\n"
                "autograd.grad(y, [x], head_grads=[cotangent]{1}, train_mode={0})[0]".format(
                    half == "train", ", create_graph=True" if create_graph else ""
                ),
                contract,
                since="0.12.0",
                inference="gluon.eval.eval",
                training="gluon.grad.train" if half == "eval" else None,
            )(grad(half == "train", create_graph))


grad_modes()


def mode_inside(outer: bool, scope: str) -> Call:
    """`record` in one mode, the network in another by a scope inside it, `backward` as it comes."""

    def ask(mx: Any, net: Any, x: Any, cotangent: Any, between: Callable[[], None]) -> Any:
        x.attach_grad()
        with mx.autograd.record(train_mode=outer):
            with getattr(mx.autograd, scope)():
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
    """Forward as in training, unrecorded."""
    with mx.autograd.train_mode():
        return net(x)


def pause(mx: Any, net: Any, x: Any) -> Any:
    """A prediction in the middle of a recording."""
    with mx.autograd.record():
        with mx.autograd.pause():
            return net(x)


def scope_modes(api: str) -> None:
    """The scopes inside a recording, and forward passes alone."""
    mode(
        api + ".record-predict",
        "inference",
        "with autograd.record():\n    with autograd.predict_mode(): y = net(x)\ny.backward(cotangent); x.grad",
        INSIDE,
        since="0.11.0",
        inference=api + ".eval.eval",
        training=api + ".train.default",
    )(mode_inside(True, "predict_mode"))
    mode(
        api + ".record-train",
        "training",
        "with autograd.record(train_mode=False):\n    with autograd.train_mode(): y = net(x)\ny.backward(cotangent); x.grad",
        UPDATES,
        since="0.11.0",
        inference=api + ".eval.eval",
    )(mode_inside(False, "train_mode"))
    mode(api + ".record-forward", "training", "with autograd.record(): net(x)", FORWARD_ONLY, "prediction", since="0.11.0")(
        record_forward
    )
    mode(api + ".train-forward", "training", "with autograd.train_mode(): net(x)", FORWARD_ONLY, "prediction", since="0.11.0")(
        train_forward
    )
    mode(
        api + ".record-pause",
        "inference",
        "with autograd.record():\n    with autograd.pause(): net(x)",
        PAUSED,
        "prediction",
        since="0.11.0",
    )(pause)


scope_modes("nd")
scope_modes("hybrid")

for api in ("gluon", "hybrid"):
    mode(
        api + ".global-stats",
        "inference",
        "nn.BatchNorm(..., use_global_stats=True)\nwith autograd.record(): y = net(x)\ny.backward(cotangent); x.grad",
        FROZEN,
        since="1.1.0",
        inference=api + ".eval.eval",
        training=api + ".train.default",
        frozen=True,
    )(record_gradient(True, {}))


# ---- Gluon: exports -----------------------------------------------------------------------------------------------------------


@mode(
    "hybrid.export",
    "inference",
    "net.export(prefix); SymbolBlock.imports(prefix + '-symbol.json', ['data'], prefix + '-0000.params')",
    EXPORTED,
    "export",
    since="1.2.1",
    default=True,
)
def export(mx: Any, net: models.Block, folder: str) -> models.Block:
    """A hybridized block, called once before, to files and back."""
    net.block.export(models.prefix(folder))
    return models.imported(mx, models.prefix(folder), net.network)


@mode("hybrid.export-symbolic", "inference", "net.export(prefix); mx.model.load_checkpoint(prefix, 0)", EXPORTED, "export", since="0.12.0")
def export_symbolic(mx: Any, net: models.Block, folder: str) -> models.Bound:
    """The same files, read back as a symbol and bound."""
    net.block.export(models.prefix(folder))
    return models.checkpoint(mx, models.prefix(folder), input_shape(net.network, net.network.batch))


def save(writer: str, reader: str) -> Call:
    """A block's parameters to a file and back into a second block of the same architecture."""

    def ask(mx: Any, net: models.Block, folder: str) -> models.Block:
        getattr(net.block, writer)(models.prefix(folder))
        twin = models.gluon(mx, net.network, None, False)
        getattr(twin.block, reader)(models.prefix(folder), ctx=mx.cpu())
        return twin

    return ask


mode("gluon.save-parameters", "inference", "net.save_parameters(file); twin.load_parameters(file)", SAVED, "export", since="1.2.1")(
    save("save_parameters", "load_parameters")
)
mode("gluon.save-params", "inference", "net.save_params(file); twin.load_params(file)", SAVED, "export", since="0.11.0")(
    save("save_params", "load_params")
)
