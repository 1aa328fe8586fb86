"""Each way of asking MLX: its transformations of functions, over a module in training and in evaluation.

Names begin with the module's mode in the forward pass, `train` or `eval`, or with what is done to the module first;
`compiled` ones go on with what the compiler was told of the module's state.
"""

import functools
import os
from typing import Any, Callable

from crosscheck.probe.adapter import Contract
from crosscheck.probe.modes import INTENT, Between, Call, Make, Table
from crosscheck.runtimes.mlx import contracts, networks
from crosscheck.runtimes.mlx.networks import Model

TABLE = Table(inference="eval.grad", training="train.grad")

LOSS = "def loss(x):\n    return (net(x) * cotangent).sum()\n"
GRAD = LOSS + "dx = mx.grad(loss)(x)"


def prepared(half: str, model: Model, *steps: Callable[[Any], Any]) -> None:
    """`net.train()` or `net.eval()`, then what else is done to the module."""
    model.module.train(half == "train")
    for step in steps:
        step(model.module)


def transformed(half: str, transform: Callable[..., Any], *steps: Callable[[Any], Any]) -> Make:
    """A transformation's call: (mlx, net, x, cotangent) -> dx, with the module in that mode."""

    def make(mlx: Any, model: Model) -> Call:
        def ask(x: Any, cotangent: Any, between: Between) -> Any:
            prepared(half, model, *steps)
            return transform(mlx, model.module, x, cotangent)

        return ask

    return make


def grad(mlx: Any, net: Any, x: Any, cotangent: Any) -> Any:
    """`mx.grad`."""
    return mlx.core.grad(lambda x: (net(x) * cotangent).sum())(x)


def value_and_grad(mlx: Any, net: Any, x: Any, cotangent: Any) -> Any:
    """`mx.value_and_grad`."""
    _, dx = mlx.core.value_and_grad(lambda x: (net(x) * cotangent).sum())(x)
    return dx


def parameters_too(mlx: Any, net: Any, x: Any, cotangent: Any) -> Any:
    """`mx.value_and_grad` for the module's trainable parameters and the input, as `nn.value_and_grad` does it."""

    def loss(parameters: Any, x: Any) -> Any:
        net.update(parameters)
        return (net(x) * cotangent).sum()

    _, (_, dx) = mlx.core.value_and_grad(loss, argnums=(0, 1))(net.trainable_parameters(), x)
    return dx


def vjp(mlx: Any, net: Any, x: Any, cotangent: Any) -> Any:
    """`mx.vjp`."""
    _, (dx,) = mlx.core.vjp(net, [x], [cotangent])
    return dx


def checkpoint(mlx: Any, net: Any, x: Any, cotangent: Any) -> Any:
    """`nn.utils.checkpoint` of the whole module, which runs it again during backward."""
    return grad(mlx, mlx.nn.utils.checkpoint(net), x, cotangent)


def core_checkpoint(mlx: Any, net: Any, x: Any, cotangent: Any) -> Any:
    """`mx.checkpoint`, for which the module's parameters are constants."""
    return grad(mlx, mlx.core.checkpoint(net), x, cotangent)


for half in ("train", "eval"):
    for name, text, transform, training, default in (
        ("grad", GRAD, grad, contracts.TRAINING, True),
        ("value-and-grad", LOSS + "y, dx = mx.value_and_grad(loss)(x)", value_and_grad, contracts.TRAINING, False),
        (
            "value-and-grad-parameters",
            "def loss(parameters, x):\n    net.update(parameters)\n    return (net(x) * cotangent).sum()\n"
            "y, (grads, dx) = mx.value_and_grad(loss, argnums=(0, 1))(net.trainable_parameters(), x)",
            parameters_too,
            contracts.TRAINING,
            True,
        ),
        ("vjp", "(y,), (dx,) = mx.vjp(net, [x], [cotangent])", vjp, contracts.TRAINING, False),
        ("checkpoint", GRAD.replace("net(x)", "nn.utils.checkpoint(net)(x)"), checkpoint, contracts.CHECKPOINT, False),
        (
            "core-checkpoint",
            GRAD.replace("net(x)", "mx.checkpoint(net)(x)"),
            core_checkpoint,
            contracts.CHECKPOINT,
            True,
        ),
    ):
        TABLE.mode(
            "{}.{}".format(half, name),
            INTENT[half],
            "net.{}()\n{}".format(half, text),
            training if half == "train" else contracts.EVALUATION,
            default=default and (half == "train" or name == "grad"),
        )(transformed(half, transform))


def norms_in_evaluation(net: Any) -> None:
    """Every batch normalization in evaluation, whatever the rest is in."""
    for layer in net.leaf_modules().values():
        if "running_mean" in layer:
            layer.eval()


TABLE.mode(
    "frozen.grad",
    "inference",
    "net.train()\nfor layer in batch_norms:\n    layer.eval()\n" + GRAD,
    contracts.EVALUATION,
    default=True,
)(transformed("train", grad, norms_in_evaluation))
TABLE.mode("freeze.grad", "training", "net.train()\nnet.freeze()\n" + GRAD, contracts.FROZEN, default=True)(
    transformed("train", grad, lambda net: net.freeze())
)


def compiled(half: str, inputs: bool, outputs: bool) -> Make:
    """`mx.grad` compiled, with the module's state as captured inputs, outputs, both or neither."""

    def make(mlx: Any, model: Model) -> Call:
        state = [model.module.state]
        captured = {key: state for key, wanted in (("inputs", inputs), ("outputs", outputs)) if wanted}

        @functools.partial(mlx.core.compile, **captured)
        def input_gradient(x: Any, cotangent: Any) -> Any:
            return grad(mlx, model.module, x, cotangent)

        def ask(x: Any, cotangent: Any, between: Between) -> Any:
            prepared(half, model)
            return input_gradient(x, cotangent)

        return ask

    return make


# None of these is a default: every trial has the machine's compiler run anew.
for half in ("train", "eval"):
    for name, inputs, outputs in (
        ("stateless", False, False),
        ("inputs", True, False),
        ("outputs", False, True),
        ("state", True, True),
    ):
        words = "".join(
            ", {}=state".format(key) for key, wanted in (("inputs", inputs), ("outputs", outputs)) if wanted
        )
        contract: Contract = contracts.CAPTURED if outputs else contracts.PURE
        TABLE.mode(
            "compiled-{}.{}".format(name, half),
            INTENT[half],
            "net.{}()\nstate = [net.state]\n@partial(mx.compile{})\ndef input_gradient(x, cotangent):\n"
            "    return mx.grad(lambda x: (net(x) * cotangent).sum())(x)\n"
            "dx = input_gradient(x, cotangent)".format(half, words),
            contract if half == "train" else contracts.EVALUATION,
        )(compiled(half, inputs, outputs))


def compiled_in(first: str, second: str) -> Make:
    """One compiled function, called first in one mode of the module, then in the other."""

    def make(mlx: Any, model: Model) -> Call:
        state = [model.module.state]

        @functools.partial(mlx.core.compile, inputs=state, outputs=state)
        def input_gradient(x: Any, cotangent: Any) -> Any:
            return grad(mlx, model.module, x, cotangent)

        def ask(x: Any, cotangent: Any, between: Between) -> Any:
            prepared(first, model)
            mlx.core.eval(input_gradient(x, cotangent), state)
            prepared(second, model)
            return input_gradient(x, cotangent)

        return ask

    return make


TABLE.mode(
    "compiled-state.train-then-eval",
    "inference",
    "@partial(mx.compile, inputs=state, outputs=state)\ndef input_gradient(x, cotangent): ...\n"
    "net.train()\ninput_gradient(x, cotangent)\nnet.eval()\ndx = input_gradient(x, cotangent)",
    contracts.CAPTURED,
)(compiled_in("train", "eval"))


def forward(half: str) -> Make:
    """A forward pass."""

    def make(mlx: Any, model: Model) -> Call:
        def ask(x: Any) -> Any:
            prepared(half, model)
            return model.module(x)

        return ask

    return make


TABLE.mode("predict", "inference", "net.eval()\nnet(x)", contracts.EVALUATION, "prediction", default=True)(
    forward("eval")
)
TABLE.mode("train.forward", "training", "net.train()\nnet(x)", contracts.TRAINING, "prediction")(forward("train"))


@TABLE.mode(
    "save-weights",
    "inference",
    "net.save_weights(path)\nother.load_weights(path)",
    contracts.SAVED,
    "export",
    default=True,
)
def save_weights(mlx: Any, model: Model) -> Call:
    """All parameters to a file, and back into a module built anew, with zeros in it."""

    def ask(folder: str) -> Model:
        path = os.path.join(folder, "network.safetensors")
        model.module.save_weights(path)
        zeros = {name: value * 0 for name, value in model.network.weights.items()}
        other = networks.build(mlx, model.network._replace(weights=zeros), None)
        other.module.load_weights(path)
        return other

    return ask


class Imported:
    """A function that was exported and read back."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def predict(self, x: Any) -> Any:
        """Its one output."""
        (y,) = self.function(x)
        return y


def export_function(half: str) -> Make:
    """`mx.export_function` of the module in that mode, for inputs of the probe's shape."""

    def make(mlx: Any, model: Model) -> Call:
        def ask(folder: str) -> Imported:
            prepared(half, model)
            network = model.network
            path = os.path.join(folder, "network.mlxfn")
            shape = (network.batch, *network.graph["inputs"][0]["shape"][1:])
            mlx.core.export_function(path, model.module, mlx.core.zeros(shape))
            return Imported(mlx.core.import_function(path))

        return ask

    return make


for half in ("train", "eval"):
    TABLE.mode(
        "export-function." + half,
        INTENT[half],
        "net.{}()\nmx.export_function(path, net, x)\nmx.import_function(path)".format(half),
        contracts.EXPORTED,
        "export",
    )(export_function(half))
