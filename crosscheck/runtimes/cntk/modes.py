"""Each way of asking CNTK: by grad, by forward and backward, of a clone, and with other time constants."""

import os
from typing import Any

from crosscheck.probe.modes import Between, Call, Table
from crosscheck.runtimes.cntk import contracts
from crosscheck.runtimes.cntk.networks import Model

INFINITE = float("inf")

#: No mode gives the inference-mode gradient.
TABLE = Table()

LOSS = "loss = C.reduce_sum(net * cotangent)\n"
GRAD = LOSS + "dx = loss.grad({x: image, cotangent: seed}, wrt=[x])"
KEEP = "state, outputs = net.forward({x: image}, [net.output], {net.output})\n"


def of_sum(cntk: Any, net: Any, variable: Any, x: Any, cotangent: Any) -> Any:
    """`grad` of the sum of the output times the cotangent."""
    seed = cntk.input_variable(net.shape)
    loss = cntk.reduce_sum(cntk.element_times(net, seed))
    return loss.grad({variable: x, seed: cotangent}, wrt=[variable])


@TABLE.mode("grad", "training", GRAD, contracts.GRADIENT, default=True)
def grad(cntk: Any, model: Model, x: Any, cotangent: Any, between: Between) -> Any:
    """`grad`, which is the documented way."""
    return of_sum(cntk, model.net, model.x, x, cotangent)


@TABLE.mode(
    "forward-keep.backward",
    "training",
    KEEP + "dx = net.backward(state, {net.output: seed}, {x})[x]",
    contracts.KEPT,
    default=True,
)
def kept(cntk: Any, model: Model, x: Any, cotangent: Any, between: Between) -> Any:
    """`forward`, told to keep what `backward` needs, then `backward`."""
    net = model.net
    state, _ = net.forward({model.x: x}, [net.output], {net.output})
    between()
    return net.backward(state, {net.output: cotangent}, {model.x})[model.x]


def cloned(method: str) -> Call:
    """`grad` of a clone, which is thrown away."""

    def ask(cntk: Any, model: Model, x: Any, cotangent: Any, between: Between) -> Any:
        variable = model.variable()
        return of_sum(cntk, model.net.clone(method, {model.x: variable}), variable, x, cotangent)

    return ask


for method, contract in (("share", contracts.SHARED), ("clone", contracts.COPIED), ("freeze", contracts.FROZEN)):
    TABLE.mode(
        "clone-{}.grad".format(method),
        "inference" if method == "freeze" else "training",
        "twin = net.clone('{}', {{x: new_x}})\n".format(method) + GRAD.replace("net", "twin").replace("x:", "new_x:"),
        contract,
        training="grad" if method == "freeze" else None,
        default=method != "share",
    )(cloned(method))

TABLE.mode(
    "blend-infinite.grad",
    "inference",
    "C.batch_normalization(..., blend_time_constant=inf)\n" + GRAD,
    contracts.BLEND,
    training="grad",
    norm={"blend_time_constant": INFINITE},
)(grad)
TABLE.mode(
    "normalization-infinite.grad",
    "training",
    "C.batch_normalization(..., normalization_time_constant=inf)\n" + GRAD,
    contracts.NORMALIZATION,
    norm={"normalization_time_constant": INFINITE},
)(grad)
TABLE.mode(
    "both-infinite.grad",
    "inference",
    "C.batch_normalization(..., normalization_time_constant=inf, blend_time_constant=inf)\n" + GRAD,
    contracts.NORMALIZATION,
    training="grad",
    norm={"normalization_time_constant": INFINITE, "blend_time_constant": INFINITE},
    default=True,
)(grad)
TABLE.mode(
    "cumulative.grad",
    "training",
    "C.batch_normalization(..., normalization_time_constant=-1)\n" + GRAD,
    contracts.CUMULATIVE,
    norm={"normalization_time_constant": -1},
)(grad)


@TABLE.mode("predict", "inference", "net.eval({x: image})", contracts.EVALUATION, "prediction", default=True)
def predict(cntk: Any, model: Model, x: Any) -> Any:
    """`eval`."""
    return model.net.eval({model.x: x})


@TABLE.mode("forward", "inference", "net.forward({x: image})", contracts.EVALUATION, "prediction")
def forward(cntk: Any, model: Model, x: Any) -> Any:
    """`forward`, which keeps nothing unless it is told to."""
    _, outputs = model.net.forward({model.x: x}, [model.net.output])
    return outputs[model.net.output]


@TABLE.mode(
    "forward-keep.forward", "inference", KEEP + "outputs[net.output]", contracts.KEPT, "prediction", default=True
)
def forward_keep(cntk: Any, model: Model, x: Any) -> Any:
    """`forward`, told to keep what `backward` needs, and no backward."""
    _, outputs = model.net.forward({model.x: x}, [model.net.output], {model.net.output})
    return outputs[model.net.output]


class Loaded:
    """A function that was saved and read back."""

    def __init__(self, net: Any) -> None:
        self.net = net
        (self.x,) = net.arguments


def saved(ending: str, form: str) -> Call:
    """To a file and back."""

    def ask(cntk: Any, model: Model, folder: str) -> Loaded:
        path = os.path.join(folder, "network." + ending)
        model.net.save(path, format=getattr(cntk.ModelFormat, form))
        return Loaded(cntk.Function.load(path, format=getattr(cntk.ModelFormat, form)))

    return ask


TABLE.mode("save", "inference", "net.save(path)\nC.Function.load(path)", contracts.SAVED, "export", default=True)(
    saved("model", "CNTKv2")
)
TABLE.mode(
    "save-onnx",
    "inference",
    "net.save(path, format=C.ModelFormat.ONNX)\nC.Function.load(path, format=C.ModelFormat.ONNX)",
    contracts.SAVED,
    "export",
)(saved("onnx", "ONNX"))
