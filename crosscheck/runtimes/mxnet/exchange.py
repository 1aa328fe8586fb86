"""The road between MXNet and ONNX: `import_model` for each form of a file, `export_model` for each kind of layer."""

import os
from typing import Any, Optional

import numpy as np

from crosscheck.probe.adapter import Network
from crosscheck.probe.modes import Table
from crosscheck.runtimes.mxnet import contracts, models
from crosscheck.runtimes.mxnet.imperative import record_gradient
from crosscheck.runtimes.mxnet.operators import input_name, input_shape, weights
from crosscheck.runtimes.mxnet.sources import FROZEN, Source, exchange, import_model, symbol_and_arrays
from crosscheck.runtimes.mxnet.symbolic import executor_forward, executor_gradient

TABLE = Table()

#: Forms in which networks are imported: each opset, attributes present and absent, both kinds of `spatial`, training.
FORMS = (
    "opset-6",
    "opset-6-no-defaults",
    "opset-6-spatial",
    "opset-7",
    "opset-7-no-momentum",
    "opset-7-no-defaults",
    "opset-7-spatial",
    "opset-7-per-entry",
    "opset-8",
    "opset-8-per-entry",
    "opset-9",
    "opset-9-listed",
    "opset-9-no-defaults-listed",
    "opset-10-listed",
    "opset-11-listed",
    "opset-12-listed",
    "opset-13-listed",
    "opset-14-listed",
    "opset-15",
    "opset-15-listed",
    "opset-15-no-defaults-listed",
)
TRAINING_FORMS = (
    "opset-6-training-unread",
    "opset-14-training-listed",
    "opset-15-training-listed",
    "opset-15-training-unread-listed",
)


def import_modes() -> None:
    """One mode a form, which is the part of its name after the dot."""
    for form in FORMS + TRAINING_FORMS:
        is_train = form in TRAINING_FORMS
        TABLE.mode(
            "import." + form,
            "training" if is_train else "inference",
            'sym, arguments, auxiliary = mxnet.contrib.onnx.import_model("{}.onnx")\n'
            "net.forward(is_train={}, data=x)[0]".format(form, is_train),
            contracts.EXECUTOR_FORWARD if is_train else contracts.EXECUTOR_PREDICTION,
            "prediction",
            since="1.2.0",
            default=True,
            kind=form,
        )(executor_forward(is_train))


import_modes()


def file_modes() -> None:
    """A file that another runtime wrote: what the imported symbol predicts, and its gradient by MXNet."""
    call = 'sym, arguments, auxiliary = mxnet.contrib.onnx.import_model("file.onnx")\n'
    TABLE.mode(
        "import.file",
        "inference",
        call + "net.forward(is_train=False, data=x)[0]",
        contracts.EXECUTOR_PREDICTION,
        "prediction",
        since="1.2.0",
        default=True,
        kind="file",
        file=True,
    )(executor_forward(False))
    TABLE.mode(
        "import.file.eval.eval",
        "inference",
        call + "net.forward(is_train=False, data=x)\nnet.backward([cotangent], is_train=False)",
        contracts.EXECUTOR_INFERENCE,
        since="1.2.0",
        inference="import.file.eval.eval",
        default=True,
        kind="file",
        file=True,
    )(executor_gradient(False, {"is_train": False}))


file_modes()

#: What the names of modes of `import_to_gluon` begin with.
GLUON = "import.gluon."


def to_gluon(mx: Any, network: Network, shares: Optional[models.Block], source: Source) -> models.Block:
    """`mxnet.contrib.onnx.import_to_gluon`, whose block is asked as Gluon's blocks are; each has layers of its own."""
    assert source.form is not None, "a mode of import_to_gluon names the form that it imports"
    block = exchange(mx).import_to_gluon(network.onnx[source.form], ctx=mx.cpu())
    return models.Block(block, dict(block.collect_params().items()), {}, network)


def gluon_modes() -> None:
    """A form that every such release reads, and files that other runtimes wrote: prediction and gradient."""
    call = 'net = mxnet.contrib.onnx.import_to_gluon("{}.onnx", ctx=mx.cpu())\n'
    for form in ("opset-7", "file"):
        TABLE.mode(
            GLUON + form,
            "inference",
            call.format(form) + "net(x)",
            contracts.PREDICTION,
            "prediction",
            since="1.3.0",
            default=True,
            kind=form,
            file=form == "file",
        )(lambda mx, net, x: net.predict(x))
        # The training-mode gradient is for scenario `order`, which asks about networks of crosscheck's alone.
        for pair, contract in (("eval.eval", contracts.AUTOGRAD_INFERENCE), ("train.default", contracts.TRAINING)):
            is_train = pair == "train.default"
            if is_train and form == "file":
                continue
            TABLE.mode(
                GLUON + form + "." + pair,
                "training" if is_train else "inference",
                call.format(form)
                + "with autograd.record(train_mode={}):\n    y = net(x)\ny.backward(cotangent{})".format(
                    is_train, "" if is_train else ", train_mode=False"
                ),
                contract,
                since="1.3.0",
                inference=GLUON + form + ".eval.eval",
                training=None if is_train or form == "file" else GLUON + form + ".train.default",
                default=True,
                kind=form,
                file=form == "file",
            )(record_gradient(is_train, {} if is_train else {"train_mode": False}))


gluon_modes()


class Loaded(models.Bound):
    """A bound symbol, and its parameters as a checkpoint would hold them, which users export.

    The bound ones are no longer what they were once the network has predicted: with fix_gamma, 1 is written to gamma.
    """

    checkpoint: models.Arrays


def load(mx: Any, network: Network, shares: Optional[Loaded], source: Source) -> Loaded:
    """The network, written in operators and bound."""
    sym, arrays = symbol_and_arrays(mx, network, source)
    made = Loaded(mx, sym, input_name(network), arrays, input_shape(network, network.batch))
    made.checkpoint = weights(mx, network)
    return made


def export_onnx(mx: Any, net: Loaded, folder: str) -> None:
    """Symbol and parameters into an ONNX file, which is not read back."""
    # Named like that since 1.9.
    package = mx.onnx if hasattr(mx, "onnx") else exchange(mx)
    shape = net.executor.arg_dict[net.data].shape
    package.export_model(net.symbol, dict(net.checkpoint), [shape], np.float32, exported_file(folder))


def exported_file(folder: str) -> str:
    """Where the exporters write."""
    return os.path.join(folder, "network.onnx")


def reimport(mx: Any, net: Loaded, folder: str) -> models.Bound:
    """A round trip: the file, read back by the same release."""
    export_onnx(mx, net, folder)
    sym, arrays = import_model(mx, exported_file(folder))
    return models.Bound(mx, sym, net.data, arrays, net.executor.arg_dict[net.data].shape)


def export_modes() -> None:
    """One mode for each kind of layer that an exporter has to tell apart; all predict what the network predicts."""
    for name, keywords, norm in (
        ("onnx", "eps=..., momentum=..., fix_gamma=False", {}),
        ("onnx-defaults", "fix_gamma=False", {"eps": None, "momentum": None}),
        ("onnx-fix-gamma", "eps=..., momentum=..., fix_gamma=True", {"fix_gamma": True}),
        ("onnx-global-stats", "eps=..., momentum=..., fix_gamma=False, use_global_stats=True", FROZEN),
        ("onnx-axis-last", "eps=..., momentum=..., fix_gamma=False, axis=-1", {"axis": -1}),
    ):
        TABLE.mode(
            "export." + name,
            "inference",
            "mx.sym.BatchNorm(..., {})\nexport_model(symbol, arrays, [shape], np.float32, file)".format(keywords),
            contracts.ONNX_EXPORTED,
            "export",
            since="1.3.0",
            default=True,
            norm=norm,
            unit_scale="fix_gamma" in norm,
            file=True,
        )(export_onnx)
    TABLE.mode(
        "export.onnx-reimport",
        "inference",
        "export_model(symbol, arrays, [shape], np.float32, file)\nimport_model(file)",
        contracts.ONNX_EXPORTED,
        "export",
        since="1.3.0",
        default=True,
        file=True,
    )(reimport)


export_modes()
