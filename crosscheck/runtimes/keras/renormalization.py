"""Batch renormalization: layers that keep more averages, which correct in training what the batch's statistics do.

The network was trained for long: its further averages hold what the moving statistics do.
"""

from typing import Callable

import numpy as np

from crosscheck.probe.modes import INTENT, Call, Table
from crosscheck.runtimes.keras import contracts, current
from crosscheck.runtimes.keras.current import CALLS, Functional, call_in

#: Keras 3.0 had none; when between these it came was not looked for.
SINCE = "3.15.1"
TENSORFLOW = Table("tf.tape.eval", "tf.tape.train", since=SINCE)
JAX = Table("jax.grad.stateless.eval", "jax.grad.stateless.train.adopted", since=SINCE)
TORCH = Table("torch.grad.eval", "torch.grad.train", since=SINCE)
NORM = {"renorm": True}
CONTRACT = {"train": contracts.RENORM, "eval": contracts.RENORM_INFERENCE}
LAYERS = "net = ...  # its layers are keras.layers.BatchNormalization(renorm=True)\n"


def trained(model: Functional) -> None:
    """Give the further variables what training would have given them."""
    for layer in model.layers.values():
        if getattr(layer, "renorm", False):
            mean, variance = map(model.keras.ops.convert_to_numpy, (layer.moving_mean, layer.moving_variance))
            spread = np.sqrt(variance + np.float32(layer.epsilon))
            for variable, value in (
                (layer.moving_stddev, spread),
                (layer.renorm_mean, mean),
                (layer.renorm_stddev, spread),
            ):
                variable.assign(value)


for table, prefix, code, ask in (
    (TENSORFLOW, "tf.tape.renorm.", current.TAPE.replace("{}", "y = {}"), current.tape),
    (TORCH, "torch.grad.renorm.", current.TORCH_CODE.replace("{}", "y = {}"), current.torch_grad),
):
    for half, contract in CONTRACT.items():

        def make(model: Functional, half: str = half, ask: Callable[..., Call] = ask) -> Call:
            """The network called in either mode."""
            return ask(call_in(half, model.net))

        table.mode(
            prefix + half, INTENT[half], LAYERS + code.format(CALLS[half]), contract, norm=NORM, prepare=trained
        )(make)
current.stateless_modes(
    JAX,
    "jax.grad.stateless.renorm",
    current.JAX_CODE,
    current.stateless_grad,
    (
        ("train.adopted", "train", True, contracts.RENORM),
        ("eval", "eval", True, contracts.RENORM_INFERENCE),
    ),
    default=False,
    layers=LAYERS,
    norm=NORM,
    prepare=trained,
)
