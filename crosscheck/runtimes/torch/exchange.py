"""Files: ONNX by both exporters, TorchScript, exported programs, and parameters."""

import importlib
import inspect
import os
from typing import Any, Dict, Optional

from crosscheck.probe.adapter import Contract
from crosscheck.probe.modes import INTENT, Call, Table
from crosscheck.runtimes.torch import contracts
from crosscheck.runtimes.torch.networks import Model, switch

TABLE = Table(inference="eval.autograd-grad", training="train.autograd-grad")


def export_onnx(half: str, training: Optional[str] = None, dynamo: bool = False, folding: bool = True) -> Call:
    """`torch.onnx.export` of a module in one mode; `training` is the exporter's own word for it."""

    def call(torch: Any, model: Model, folder: str) -> None:
        onnx = importlib.import_module("torch.onnx")
        switch(model.module, half == "train")
        keywords: Dict[str, Any] = {}
        if training is not None:
            modes = getattr(onnx, "TrainingMode", None)
            keywords["training"] = training == "TRAINING" if modes is None else getattr(modes, training)
        accepted = inspect.signature(onnx.export).parameters
        if not folding and "do_constant_folding" in accepted:
            keywords["do_constant_folding"] = False
        if "dynamo" in accepted:
            keywords["dynamo"] = dynamo
        if dynamo:
            keywords["external_data"] = False  # one file is what is recorded
        onnx.export(model.module, (model.example,), os.path.join(folder, "network.onnx"), **keywords)

    return call


for name, half, training, since, default, keywords in (
    ("eval", "eval", None, None, True, ""),
    ("eval-after-train", "eval", None, None, True, ""),
    ("training", "train", "TRAINING", None, True, ", training=TrainingMode.TRAINING, do_constant_folding=False"),
    (
        "preserve-train",
        "train",
        "PRESERVE",
        "1.6",
        False,
        ", training=TrainingMode.PRESERVE, do_constant_folding=False",
    ),
    ("preserve-eval", "eval", "PRESERVE", "1.6", False, ", training=TrainingMode.PRESERVE"),
):
    module_mode = "train" if name == "eval-after-train" else half
    TABLE.mode(
        "export.onnx." + name,
        INTENT[half],
        "net.{}()\ntorch.onnx.export(net, (x,), file{})  # from 2.5 on with dynamo=False".format(module_mode, keywords),
        contracts.ONNX if half == "eval" else contracts.ONNX_TRAINING,
        "export",
        since=since,
        default=default,
        file=True,
    )(export_onnx(module_mode, training, folding="folding" not in keywords))
for half in ("eval", "train"):
    TABLE.mode(
        "export.onnx-dynamo." + half,
        INTENT[half],
        "net.{}()\ntorch.onnx.export(net, (x,), file, dynamo=True, external_data=False)".format(half),
        contracts.ONNX_DYNAMO_EVALUATION if half == "eval" else contracts.ONNX_DYNAMO,
        "export",
        since="2.5",
        default=True,
        file=True,
    )(export_onnx(half, dynamo=True))


@TABLE.mode(
    "export.state-dict",
    "inference",
    "torch.save(net.state_dict(), file)\ntwin.load_state_dict(torch.load(file))",
    contracts.SAVED,
    "export",
    default=True,
)
def state_dict(torch: Any, model: Model, folder: str) -> Model:
    """Parameters and buffers to a file, and into a second module of the same class."""
    path = os.path.join(folder, "state.pt")
    torch.save(model.module.state_dict(), path)
    with torch.random.fork_rng():  # new layers begin with random numbers, which are none of the file's
        twin: Model = model.again()
    twin.module.load_state_dict(torch.load(path))
    return twin


def scripted(make: str, half: str) -> Call:
    """TorchScript, by tracing or by compilation, to a file and back."""

    def call(torch: Any, model: Model, folder: str) -> Model:
        path = os.path.join(folder, "script.pt")
        net = switch(model.module, half == "train")
        script = torch.jit.trace(net, model.example) if make == "trace" else torch.jit.script(net)
        script.save(path)
        return model._replace(module=torch.jit.load(path))

    return call


def script_modes(make: str, code: str, since: Optional[str], training: Contract) -> None:
    """A module in evaluation and one in training."""
    for half in ("eval", "train"):
        TABLE.mode(
            "export.jit-{}.{}".format(make, half),
            INTENT[half],
            "net.{}()\n{}.save(file)\ntorch.jit.load(file)".format(half, code),
            contracts.JIT_SAVED if half == "eval" else training,
            "export",
            since=since,
        )(scripted(make, half))


script_modes("trace", "torch.jit.trace(net, x)", None, contracts.TRACE)
script_modes("script", "torch.jit.script(net)", "1.2", contracts.JIT_SAVED)


def program(half: str) -> Call:
    """An exported program to a file and back."""

    def call(torch: Any, model: Model, folder: str) -> Model:
        path = os.path.join(folder, "program.pt2")
        net = switch(model.module, half == "train")
        torch.export.save(torch.export.export(net, (model.example,)), path)
        return model._replace(module=torch.export.load(path).module(), switches=False)

    return call


for half in ("eval", "train"):
    TABLE.mode(
        "export.program.{}".format(half),
        INTENT[half],
        "net.{}()\ntorch.export.save(torch.export.export(net, (x,)), file)\ntorch.export.load(file).module()".format(
            half
        ),
        contracts.PROGRAM_SAVED if half == "eval" else contracts.EXPORT_PROGRAM,
        "export",
        since="2.1",
    )(program(half))
