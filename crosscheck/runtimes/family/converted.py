"""Torch modules that a converter makes of ONNX files: as torch modules are asked, and by forms that say it themselves.

A module is converted from the form "opset-15". In the kind "as-converted" every layer is in the mode in which the
converter returned it; a module in training mode may have layers in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from packaging.version import Version

from crosscheck.runtimes.family.halves import HALVES, Halves
from crosscheck.runtimes.family.readers import Calls, Reader
from crosscheck.runtimes.family.torch import BACKWARD, FROZEN, GRAD, PREDICT
from crosscheck.runtimes.mode import Contracts, Mode, Modes
from crosscheck.runtimes.source import Graph, Request, Source

__all__ = ["AS_CONVERTED", "Converter"]

#: Every layer in the mode in which the converter returned it.
AS_CONVERTED = "for layer, mode in as_converted.items():\n    layer.training = mode\n"
FEEDING = BACKWARD.replace("net(x.requires_grad_())", "net(x.requires_grad_(), *statistics.values())")
FORMS = """
    opset-7 opset-9 opset-15 opset-15-no-momentum opset-15-fed opset-15-training opset-15-training-unread
    opset-15-training-unread-fed opset-15-gradient opset-15-batch-gradient opset-15-fed-gradient
    opset-15-batch-fed-gradient
"""
DEFAULT = """
    opset-15 opset-15-training
"""
#: What torch's batch normalization calls the node's inputs after the first.
KEYS = ("weight", "bias", "running_mean", "running_var")
HOOK = """\
layers = {}
def keep(name):
    def hook(layer, inputs, output):
        layers[name] = output
    return hook

"""
#: The name of a layer in the module, and its node.
Layer = tuple[str, Any]


@dataclass(frozen=True)
class Converter:
    """A package that makes torch modules of ONNX files.

    open: the text that makes `$net` of "$file", in evaluation mode, in which forms are read. imports: what a script
    begins with. names: what a module calls the layer of each node of a graph, in a release. norm: the attribute of a
    batch normalization's layer that holds torch's, with a dot before it; "" where it is torch's. hooked: the operators
    whose layers are modules, which hooks can show; all, if not said.
    """

    open: str
    imports: str
    names: Callable[[Graph, Version], Sequence[str]]
    norm: str = ""
    hooked: frozenset[str] | None = None

    def modes(self, contracts: Contracts, exports: Sequence[Mode] = ()) -> tuple[Mode, ...]:
        """All modes: of modules, as converted, exports, with fed statistics, of files, and of forms."""
        module = Halves(contracts.EVALUATION, inference="eval.backward", training="train.backward", kind="module")
        for half in ("eval", "train"):
            for name, text in (("backward", BACKWARD), ("autograd-grad", GRAD)):
                module.halves(
                    "{}." + name,
                    contracts.TRAINING,
                    text,
                    default=HALVES if name == "backward" else (),
                    only=[half],
                    paired=False,
                    form="opset-15",
                )
        module.gradient(
            "train.frozen.backward",
            "inference",
            contracts.EVALUATION,
            FROZEN + BACKWARD,
            form="opset-15",
            leaves="frozen",
            default=True,
        )
        module.prediction(
            "train.no-grad", "training", contracts.TRAINING, "net.train()\n" + PREDICT, form="opset-15", leaves="train"
        )
        convert = Modes(inference="eval.backward", training="train.backward", kind="as-converted")
        said = {"form": "opset-15", "default": True}
        convert.gradient("convert.backward", "inference", contracts.AS_CONVERTED, AS_CONVERTED + BACKWARD, **said)
        convert.prediction("convert", "inference", contracts.AS_CONVERTED, AS_CONVERTED + "y = net(x)\n", **said)
        fed = Halves(contracts.FED, inference="eval.backward-fed", training="train.backward-fed", kind="module")
        fed.halves(
            "{}.backward-fed",
            contracts.FED,
            FEEDING,
            default=["train"],
            only=("eval", "train"),
            form="opset-15-fed",
            fed=True,
        )
        files = Modes(inference="file.backward", kind="module")
        files.gradient(
            "file.backward",
            "inference",
            contracts.EVALUATION,
            "net.eval()\n" + BACKWARD,
            form="file",
            leaves="eval",
            file=True,
            default=True,
        )
        reader = self._reader()
        file = replace(reader.modes("file", "file")[0], contract=contracts.EVALUATION)
        return (*module, *convert, *exports, *fed, file, *files, *reader.modes(FORMS, DEFAULT))

    def _reader(self, nodes: int = 2, as_made: bool = False) -> Reader:
        """What reads files of so many nodes. as_made: modules in the mode in which they were made."""
        # A module returns a list where its file has several outputs, and a file with one node has one.
        several = "y, *inner = $net($inputs)\nlayers = dict(zip($names, [y] + inner))"
        one = "y = $net($inputs)\nlayers = dict(zip($names, [y]))"
        calls = Calls(
            open=self.open.replace(".eval()", "") if as_made else self.open,
            predict="with torch.no_grad():\n    y = $net($inputs)\n",
            gradient="with torch.no_grad():\n    dx = $net($inputs)[1]\n",
            layers=f"with torch.no_grad():\n    {several if nodes > 1 else one}\n",
            statistic='torch.from_numpy(weights["$name"].copy())',
        )
        return Reader(calls, inference_form="opset-15")

    def source(self, request: Request) -> Source:
        """For torch's own calls the module of the file as it is converted; for forms that of the inference form."""
        reader = self._reader(len(request.graph["nodes"]), as_made=bool(request.kind))
        form = reader.source(request, self.imports, tensor="torch.from_numpy({})", array="{}.detach().numpy()")
        layers = list(zip(self.names(request.graph, request.release), request.graph["nodes"], strict=True))
        tensors = {
            name: (f"{_attribute('net', layer)}{self.norm}.{key}", None)
            for layer, node in layers
            if node["op"] == "BatchNormalization" and not request.fed
            for name, key in zip(node["inputs"][1:], KEYS, strict=True)
            if name in request.weights  # a file that another runtime wrote has layers of any name
        }
        form = replace(
            form,
            tensors={**form.tensors, **tensors},
            public=tuple(name for name, (where, _) in tensors.items() if where.endswith(KEYS[:2])),
        )
        return self._module(request, form, layers) if request.kind else form

    def _module(self, request: Request, form: Source, layers: Sequence[Layer]) -> Source:
        """A module whose layers are those of `request.first` with the same weights, and so is what is fed."""
        text = form.text
        if request.first is not None:
            named = zip(self.names(request.first, request.release), request.first["nodes"], strict=True)
            theirs = {tuple(node["inputs"][1:]): name for name, node in named}
            shared = [
                (name, theirs.get(tuple(node["inputs"][1:])))
                for name, node in layers
                if any(weight in request.weights for weight in node["inputs"])
            ]
            text = f"first = net\n{form.text.splitlines()[0]}\n"
            text += "".join(_assigned("net", own, _attribute("first", other)) for own, other in shared if other)
        if request.kind == "as-converted":
            text += "as_converted = {layer: layer.training for layer in net.modules()}\n"
        return replace(
            form,
            text=text,
            predict=f"net.eval()\n{form.predict}",
            layers=self._shown(request, layers) if request.asks == "prediction" else "",
            leaves=("", "eval"),
        )

    def _shown(self, request: Request, layers: Sequence[Layer]) -> str:
        """What each layer returns, by a forward hook on it, in the mode of the predictions of that kind."""
        hooks = [
            f'{_attribute("net", name)}.register_forward_hook(keep("{node["outputs"][0]}"))\n'
            for name, node in layers
            if self.hooked is None or node["op"] in self.hooked
        ]
        mode = AS_CONVERTED if request.kind == "as-converted" else "net.train()\n"
        return HOOK + "".join(hooks) + mode + PREDICT


def _attribute(net: str, layer: str) -> str:
    """A layer, as an expression."""
    return f"{net}.{layer}" if layer.isidentifier() else f'getattr({net}, "{layer}")'


def _assigned(net: str, layer: str, value: str) -> str:
    """The statement that puts another layer in its place."""
    return f"{net}.{layer} = {value}\n" if layer.isidentifier() else f'setattr({net}, "{layer}", {value})\n'
