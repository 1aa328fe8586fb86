"""Files: variables as msgpack, and ONNX by jax2onnx."""

import os
from typing import Any, Sequence

from crosscheck.probe.adapter import NotInRelease
from crosscheck.probe.modes import INTENT, Call, Make, Table
from crosscheck.runtimes.flax import contracts
from crosscheck.runtimes.flax.applied import Applied
from crosscheck.runtimes.flax.held import Held

TABLE = Table()


@TABLE.mode(
    "linen.to-bytes",
    "inference",
    "flax.serialization.from_bytes(variables, flax.serialization.to_bytes(variables))",
    contracts.SAVED,
    "export",
)
def linen_to_bytes(flax: Any, jax: Any, model: Applied) -> Call:
    """Variables as msgpack, to a file and back into a tree of zeros."""

    def ask(folder: str) -> Applied:
        path = os.path.join(folder, "variables.msgpack")
        with open(path, "wb") as file:
            file.write(flax.serialization.to_bytes(model.variables))
        zeros = jax.tree_util.tree_map(jax.numpy.zeros_like, model.variables)
        with open(path, "rb") as file:
            variables = flax.serialization.from_bytes(zeros, file.read())
        copy = object.__new__(Applied)
        copy.__dict__.update(model.__dict__, variables=variables)
        return copy

    return ask


@TABLE.mode(
    "nnx.to-bytes",
    "inference",
    "state = nnx.to_pure_dict(nnx.state(net))\n"
    "flax.serialization.from_bytes(state, flax.serialization.to_bytes(state))",
    contracts.SAVED,
    "export",
)
def nnx_to_bytes(flax: Any, jax: Any, model: Held) -> Call:
    """The state as msgpack, to a file and back into a clone."""
    nnx = flax.nnx
    if not hasattr(nnx, "to_pure_dict"):
        raise NotInRelease("flax.nnx.to_pure_dict")

    def ask(folder: str) -> Held:
        path = os.path.join(folder, "state.msgpack")
        with open(path, "wb") as file:
            file.write(flax.serialization.to_bytes(nnx.to_pure_dict(nnx.state(model.net))))
        net = nnx.clone(model.net)
        state = nnx.state(net)
        zeros = jax.tree_util.tree_map(jax.numpy.zeros_like, nnx.to_pure_dict(state))
        with open(path, "rb") as file:
            nnx.replace_by_pure_dict(state, flax.serialization.from_bytes(zeros, file.read()))
        nnx.update(net, state)
        copy = object.__new__(Held)
        copy.__dict__.update(model.__dict__, net=net, calls={})
        return copy

    return ask


def write_onnx(function: Any, shape: Sequence[int], folder: str) -> None:
    """`to_onnx` of a function or a module, for any number of rows; "web" is its word for a file that has all within."""
    import jax2onnx

    path = os.path.join(folder, "network.onnx")
    jax2onnx.to_onnx(function, [("B", *shape[1:])], return_mode="file", output_path=path, export_mode="web")


def linen_onnx(half: str) -> Make:
    """A function that applies the module to the variables; in training the new statistics are left out."""

    def make(flax: Any, jax: Any, model: Applied) -> Call:
        def apply(x: Any) -> Any:
            if half == "eval":
                return model.net.apply(model.variables, x, train=False)
            return model.net.apply(model.variables, x, train=True, mutable=["batch_stats"])[0]

        return lambda folder: write_onnx(apply, model.shape, folder)

    return make


def nnx_onnx(half: str) -> Make:
    """A module, after `train()` or `eval()`."""

    def make(flax: Any, jax: Any, model: Held) -> Call:
        def ask(folder: str) -> None:
            getattr(model, half)()
            write_onnx(model.net, model.shape, folder)

        return ask

    return make


APPLIED = {
    "eval": "net.apply(variables, x, train=False)",
    "train": "net.apply(variables, x, train=True, mutable=['batch_stats'])[0]",
}
WRITE = "jax2onnx.to_onnx({}, [('B', *x.shape[1:])], return_mode='file', output_path=file, export_mode='web')"
for half in ("eval", "train"):
    contract = contracts.ONNX if half == "eval" else contracts.ONNX_TRAINING
    TABLE.mode(
        "linen.export.onnx." + half,
        INTENT[half],
        "def apply(x):\n    return " + APPLIED[half] + "\n" + WRITE.format("apply"),
        contract,
        "export",
        file=True,
    )(linen_onnx(half))
    TABLE.mode(
        "nnx.export.onnx." + half,
        INTENT[half],
        "net." + half + "()\n" + WRITE.format("net"),
        contract,
        "export",
        file=True,
    )(nnx_onnx(half))
