"""From 0.11 on: model and state to a file and back, and ONNX by jax2onnx."""

import os
from typing import Any, Callable

from crosscheck.probe.modes import Call, Make, Table
from crosscheck.runtimes.equinox import contracts
from crosscheck.runtimes.equinox.passing import BATCHED, INFERENCE_MODE, SINCE, as_built, in_inference_mode
from crosscheck.runtimes.equinox.stateful import Passed, batched

TABLE = Table()


def saved(eqx: Any, jax: Any, kept: Passed) -> Call:
    """Model and state to a file, and back into copies of both."""

    def ask(folder: str) -> Passed:
        path = os.path.join(folder, "network.eqx")
        both = (kept.model, kept.kept["state"])
        eqx.tree_serialise_leaves(path, both)
        model, state = eqx.tree_deserialise_leaves(path, both)
        copy = object.__new__(Passed)
        copy.__dict__.update(kept.__dict__, model=model, kept={"state": state}, calls={})
        return copy

    return ask


def write_onnx(prepare: Callable[[Any, Any], Any], any_batch: bool) -> Make:
    """`to_onnx` of a function of x alone; the state that comes back is left out.

    prepare: makes what is exported of the user's model. any_batch: whether for any number of rows, or for the trial's.
    """

    def make(eqx: Any, jax: Any, kept: Passed) -> Call:
        model = prepare(eqx, kept.model)

        def ask(folder: str) -> None:
            import jax2onnx

            jax2onnx.to_onnx(
                lambda x: batched(jax, model)(x, kept.kept["state"])[0],
                [("B" if any_batch else kept.shape[0], *kept.shape[1:])],
                return_mode="file",
                output_path=os.path.join(folder, "network.onnx"),
                export_mode="web",  # its word for a file that has all within
            )

        return ask

    return make


SERIALISE = (
    "eqx.tree_serialise_leaves(file, (model, state))\nmodel, state = eqx.tree_deserialise_leaves(file, (model, state))"
)
WRITE = (
    "def apply(x):\n    return " + BATCHED + "[0]\n"
    "jax2onnx.to_onnx(apply, [{}], return_mode='file', output_path=file, export_mode='web')"
)


def enter(norm: str) -> None:
    """The modes of one kind of batch normalization."""
    since = SINCE[norm]
    TABLE.mode(norm + ".serialise", "inference", SERIALISE, contracts.SAVED, "export", since=since, kind=norm)(saved)
    TABLE.mode(
        norm + ".export.onnx.inference-mode",
        "inference",
        INFERENCE_MODE + WRITE.format("('B', *x.shape[1:])"),
        contracts.ONNX,
        "export",
        since=since,
        kind=norm,
        file=True,
    )(write_onnx(in_inference_mode, any_batch=True))
    TABLE.mode(
        norm + ".export.onnx.train",
        "training",
        WRITE.format("x.shape"),
        contracts.ONNX,
        "export",
        since=since,
        kind=norm,
        file=True,
    )(write_onnx(as_built, any_batch=False))  # with an open batch, tracing the layer in training mode fails before


enter("batch")
enter("ema")
