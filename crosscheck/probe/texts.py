"""Executes the texts of a program: what the report shows and a script holds is what runs here.

A program has, for each use of a network, a source (`crosscheck.runtimes.source.Source`), and for each mode its texts.
All texts of one model run in one namespace, which is a module, so that `inspect` finds their lines. Names that the
probe sets are `weights`, `x` and `cotangent`; names that texts set are `net`, `y` and `dx`.
"""

import contextlib
import functools
import linecache
import os
import sys
import types
from typing import Any, Callable, Dict, List, Mapping, Optional, Set

import numpy as np

from crosscheck.probe.adapter import Adapter, Array, Network, Tensor
from crosscheck.probe.names import plain_name


@functools.lru_cache(maxsize=None)
def compiled(text: str, file: str = "<expression>", kind: str = "eval") -> types.CodeType:
    """The code of a text or an expression."""
    code: types.CodeType = compile(text, file, kind)
    return code


def compile_ahead(program: Mapping[str, Any]) -> None:
    """Compile a program's expressions, which every snapshot evaluates: before the fork, once for all of its trials."""
    for source in program["sources"].values():
        around = [source[key].format("value") for key in ("tensor", "array")]
        for expression in around + [expression for expression, _ in source["tensors"].values()]:
            with contextlib.suppress(SyntaxError):  # the trial says so, where it evaluates it
                compiled(expression)


class Model:
    """A network whose source was executed, and the namespace of its texts.

    source: the fields of `crosscheck.runtimes.source.Source`.
    texts: mode name -> {"asks", "once", "forward", "backward", "predict", "leaves"}.
    once: the modes whose first part has been executed.
    folder: where its texts are executed, and where the files lie that they name.
    alike: the models on the same layers, this one among them, which have the variables `carried` in common.
    left: what the user's own lines have put the layers' mode flags into: "train", "eval", "frozen" or ""; lines about
        one of the models on the same layers put all of them there.
    executed: the texts that were executed.
    """

    def __init__(self, network: Network, names: Dict[str, Any], folder: str, shares: Optional["Model"] = None) -> None:
        self.network = network
        self.folder = folder
        self.source: Mapping[str, Any] = network.source
        self.texts = network.texts
        self.names = names
        self.once: Set[str] = set()
        self.executed: Set[str] = set()
        self.alike: List[Model] = [] if shares is None else shares.alike
        self.alike.append(self)
        self.left: str = "" if shares is None else shares.left
        self.leave(network.source["leaves"][0])

    def run(self, text: str, part: str) -> None:
        """Execute one text; `part` names it in tracebacks."""
        if text:
            self.executed.add(text)
            os.chdir(self.folder)
            file = self.file(text, part)
            if part == "network":
                self.names["__file__"] = file  # where `inspect` looks for the source of a class
            exec(compiled(text, file, "exec"), self.names)  # noqa: S102 - the host's text
            for model in self.alike:
                model.names.update((name, self.names[name]) for name in self.source["carried"] if name in self.names)

    def leave(self, flags: str) -> None:
        """The user's own lines put the flags of these layers somewhere; "" for lines that do not touch them."""
        for model in self.alike if flags else ():
            model.left = flags

    def trains(self, norm: bool) -> bool:
        """Whether the user's own lines put a layer into training mode. norm: whether it is a batch normalization."""
        return self.left == "train" or (self.left == "frozen" and not norm)

    def says(self, *words: str) -> bool:
        """Whether a text executed on these layers has one of the words: what it sets is the user's own doing."""
        return any(word in text for model in self.alike for text in model.executed for word in words)

    def evaluate(self, expression: str, **names: Any) -> Any:
        """The value of an expression in the namespace."""
        return eval(compiled(expression), self.names, names)  # noqa: S307 - the host's text

    def file(self, text: str, part: str) -> str:
        """The name of a text, the same in every trial; `inspect` and tracers read its lines by that name."""
        name = "{}.{}.py".format(self.names["__name__"], part)
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
        return name


class TextAdapter(Adapter):
    """The verbs that execute texts. A runtime's adapter adds what only code can do: flags, fences, hidden tensors."""

    #: How many namespaces there are.
    count = 0
    #: The source's expressions for a tensor from an array, and back, with `{}` for the value: the same for all models.
    expressions: Mapping[str, str] = {}
    #: The names that the source imports, for these expressions.
    imported: Dict[str, Any] = {}

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """Execute the source; with `shares`, in a copy of that model's namespace, whose network is `net` until then."""
        other = shares is not None and shares.network.graph is not network.graph
        folder = provide(network, "readout" if other else "files")
        model = Model(network, self.namespace({} if shares is None else shares.names), folder, shares)
        model.names["weights"] = network.weights
        if shares is None:
            model.run(network.source["imports"], "imports")
        self.expressions = {key: network.source[key] for key in ("tensor", "array")}
        self.imported = model.names
        model.run(network.source["text"], "network")
        return model

    def namespace(self, names: Mapping[str, Any]) -> Dict[str, Any]:
        """The namespace of a new module, with other names in it; its own name is the same in every trial."""
        name = "network_{}".format(self.count)
        self.count += 1
        module = sys.modules[name] = types.ModuleType(name)
        vars(module).update({key: value for key, value in names.items() if not key.startswith("__")})
        return vars(module)

    def tensor(self, x: Array) -> Tensor:
        """The source's expression for a tensor."""
        expression = compiled(self.expressions["tensor"].format("value"))
        return eval(expression, self.imported, {"value": np.array(x)})  # noqa: S307 - the host's text

    def numpy(self, value: Tensor) -> Array:
        """The source's expression for a tensor's numbers; numpy's own arrays and scalars, and flags, as they are."""
        if isinstance(value, (np.ndarray, np.generic, bool)):
            return np.array(value)
        expression = compiled(self.expressions["array"].format("value"))
        return np.array(eval(expression, self.imported, {"value": value}))  # noqa: S307 - the host's text

    def predict(self, model: Model, x: Tensor) -> Tensor:
        """The documented prediction; by a text of its own where the number of rows is another one."""
        other = model.source["classify"] and tuple(x.shape)[:1] != (model.network.batch,)
        model.names["x"] = x
        model.run(model.source["classify"] if other else model.source["predict"], "classify" if other else "predict")
        model.leave(model.source["leaves"][1])
        return model.names["y"]

    def forward(self, model: Model, x: Tensor, mode: str) -> Tensor:
        """A mode that asks for a prediction."""
        model.names["x"] = x
        self.ask(model, mode, lambda: None)
        return model.names["y"]

    def gradient(self, model: Model, x: Tensor, cotangent: Tensor, mode: str, between: Callable[[], None]) -> Tensor:
        """A mode that asks for a gradient; `between` is called where the text has two parts."""
        model.names.update(x=x, cotangent=cotangent)
        self.ask(model, mode, between)
        return model.names["dx"]

    def start(self, model: Model, x: Tensor, cotangent: Tensor, mode: str) -> None:
        """The first part of a mode's texts, and what precedes the toolkit's call."""
        model.names.update(x=x, cotangent=cotangent)
        self.begin(model, mode)

    def explain(self, model: Model, x: Tensor, cotangent: Tensor, mode: str) -> Tensor:
        """The toolkit's call."""
        model.names.update(x=x, cotangent=cotangent)
        self.finish(model, mode)
        return model.names["dx"]

    def train(self, model: Model, x: Tensor, cotangent: Tensor) -> None:
        """The source's training step."""
        model.names.update(x=x, cotangent=cotangent)
        model.run(model.source["train"], "train")

    def reuse(self, model: Model, what: str, x: Tensor, cotangent: Tensor) -> Optional[Tensor]:
        """The source's text for it; nothing where it has none."""
        model.names.update(x=x, cotangent=cotangent, dx=None)
        model.run(model.source["reuse"].get(what, ""), "reuse_" + what.replace("-", "_"))
        return model.names["dx"]

    def ask(self, model: Model, mode: str, between: Callable[[], None]) -> None:
        """Execute the texts of a mode, the first part only once a model."""
        self.begin(model, mode)
        if model.texts[mode]["backward"]:
            between()
            self.finish(model, mode)

    def begin(self, model: Model, mode: str) -> None:
        """Execute what precedes `---` in a mode's texts, or all of them."""
        texts = model.texts[mode]
        self.prepare(model, mode)
        model.run(texts["forward"], mode)
        model.leave(texts["leaves"].partition(" ")[0])

    def finish(self, model: Model, mode: str) -> None:
        """Execute what follows `---`."""
        texts = model.texts[mode]
        model.run(texts["backward"], mode + "_backward")
        model.leave(texts["leaves"].partition(" ")[2])

    def prepare(self, model: Model, mode: str) -> None:
        """Execute the first part of a mode's texts, if it has not been executed for this model."""
        if mode not in model.once:
            model.once.add(mode)
            model.run(model.texts[mode]["once"], mode + "_once")

    def export(self, model: Model, mode: str, folder: str) -> Optional[Model]:
        """Execute an export's texts: what writes files, then what reads them back, in a copy of the namespace."""
        texts = model.texts[mode]
        model.names["x"] = self.tensor(example(model.network))
        model.run(texts["once"], mode + "_once")
        model.run(texts["forward"], mode)
        model.leave(texts["leaves"])
        if not texts["backward"]:
            return None
        names = self.namespace(model.names)
        source = dict(model.source, predict=texts["predict"] or model.source["predict"], classify="")
        copy = Model(model.network._replace(source=source), names, model.folder)
        copy.left = ""  # a file may bring flags of its own
        copy.run(texts["backward"], mode + "_read_back")
        return copy

    def state(self, model: Model) -> Dict[str, Tensor]:
        """Every tensor that the source names, in the graph's layout."""
        return {name: self.read(model, *where) for name, where in model.source["tensors"].items()}

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """Those that the runtime's public view of parameters shows, by the source."""
        tensors, view = model.source["tensors"], model.source["view"]
        shown = dict({name: tensors[name] for name in model.source["public"]}, **view)
        return {name: self.read(model, *where) for name, where in shown.items()}

    def called(self, model: Model, name: str) -> str:
        """What the graph calls a tensor that the source does not name: if it names none, they have the file's names."""
        return name if model.source["tensors"] else plain_name(name)

    def read(self, model: Model, expression: str, axes: Any) -> Tensor:
        """One tensor; one in another layout than the graph's is read, and its axes are permuted."""
        value = model.evaluate(expression)
        return value if axes is None else np.transpose(self.numpy(value), axes)

    def layers(self, model: Model, x: Tensor, mode: str) -> Dict[str, Tensor]:
        """The source's text for what every node puts out, which sets `layers`; nothing where it has none."""
        model.names.update(x=x, layers={})
        model.run(model.source["layers"], "layers")
        return dict(model.names["layers"])


def provide(network: Network, name: str) -> str:
    """Make a folder of the trial's own, where the files that the texts read lie under the names that they use."""
    folder = os.path.join(network.scratch, name)
    os.makedirs(folder, exist_ok=True)
    for file, form in network.source["files"].items():
        path = os.path.join(folder, file)
        if not os.path.lexists(path):
            os.symlink(network.onnx[form], path)
    return folder


def example(network: Network) -> Array:
    """An input of the shape that the network is probed with, for exporters that trace: 0, 1/n, 2/n ..."""
    shape = [network.batch] + list(network.graph["inputs"][0]["shape"][1:])
    count = int(np.prod(shape))
    return (np.arange(count, dtype=np.float32) / np.float32(count)).reshape(shape)
