"""Each way of asking MXNet's importer, for each form of a file, and its exporter, for each kind of layer."""

from collections.abc import Mapping
from typing import Any

from crosscheck.runtimes.mode import Contracts, Edition, Modes
from crosscheck.runtimes.mxnet.imperative_modes import record
from crosscheck.runtimes.mxnet.symbolic_modes import BOUND, FROZEN, executor_forward, executor_gradient
from crosscheck.runtimes.mxnet.symbols import EXECUTED

contracts = Contracts(__file__)

__all__ = ["EXPORT", "IMPORT", "IMPORT_GLUON"]

IMPORT = Modes(kind="executor", since="1.2.0")
IMPORT_GLUON = Modes(kind="import.gluon", since="1.3.0")
EXPORT = Modes(kind="export", since="1.3.0")

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
#: The form of a file that another runtime wrote.
FILE = "file"

for form in (*FORMS, *TRAINING_FORMS, FILE):
    is_train = form in TRAINING_FORMS
    IMPORT.prediction(
        f"import.{form}",
        "training" if is_train else "inference",
        contracts.EXECUTOR_FORWARD if is_train else contracts.EXECUTOR_PREDICTION,
        executor_forward(is_train),
        default=True,
        form=form,
        file=form == FILE,
    )
IMPORT.gradient(
    "import.file.eval.eval",
    "inference",
    contracts.EXECUTOR_INFERENCE,
    executor_gradient("eval", "eval"),
    inference="import.file.eval.eval",
    default=True,
    form=FILE,
    file=True,
)

# A form that every such release reads, and files that other runtimes wrote: prediction and gradient.
for form in ("opset-7", FILE):
    name, file = f"import.gluon.{form}", form == FILE
    IMPORT_GLUON.prediction(name, "inference", contracts.PREDICTION, "y = net(x)\n", default=True, form=form, file=file)
    IMPORT_GLUON.gradient(
        f"{name}.eval.eval",
        "inference",
        contracts.AUTOGRAD_INFERENCE,
        record("autograd.record(train_mode=False)", ", train_mode=False"),
        inference=f"{name}.eval.eval",
        training=None if file else f"{name}.train.default",
        default=True,
        form=form,
        file=file,
    )
# For scenario `order`, which asks about networks of crosscheck's alone.
IMPORT_GLUON.gradient(
    "import.gluon.opset-7.train.default",
    "training",
    contracts.TRAINING,
    record("autograd.record(train_mode=True)"),
    inference="import.gluon.opset-7.eval.eval",
    default=True,
    form="opset-7",
)

WRITE = 'mx.onnx.export_model(sym, params, [x.shape], np.float32, "network.onnx")\n'
READ = f"""\
---
sym, arg_params, aux_params = onnx_mxnet.import_model("network.onnx")
{BOUND}"""


def exporting(name: str, norm: Mapping[str, Any], read: str = "", predict: str = "") -> None:
    """`export_model`, which is in `mx.onnx` since 1.9 and in `mxnet.contrib.onnx` before."""
    EXPORT.export(
        f"export.{name}",
        "inference",
        contracts.ONNX_EXPORTED,
        WRITE + read,
        predict=predict,
        default=True,
        norm=norm,
        unit_scale="fix_gamma" in norm,
        file=True,
        editions=(Edition("1.8.0.post0", WRITE.replace("mx.onnx", "onnx_mxnet") + read),),
    )


# One for each kind of layer that an exporter has to tell apart; all predict what the network predicts.
exporting("onnx", {})
exporting("onnx-defaults", {"eps": None, "momentum": None})
exporting("onnx-fix-gamma", {"fix_gamma": True})
exporting("onnx-global-stats", FROZEN)
exporting("onnx-axis-last", {"axis": -1})
exporting("onnx-reimport", {}, READ, EXECUTED)
