"""Readers of ONNX: modes made of the forms in which a network is written, and sources that open their files.

A runtime says in a few templates how its users open a file and run it (`Calls`). The rest is the same for all: which
forms there are, what the operator's page says of them, which file is `net`, and what is fed with every call.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from string import Template

from packaging.version import Version

from crosscheck.runtimes.mode import Contract, Edition, Mode, named
from crosscheck.runtimes.source import Request, Source

__all__ = ["BY_PLACE", "GRAPH", "Calls", "Reader"]

#: ONNX's specification, at a release of it: what a model, and what the graph in one, means.
SPECIFICATION = "https://github.com/onnx/onnx/blob/v1.17.0/docs/IR.md"
MODEL, GRAPH = f"{SPECIFICATION}#model-semantics", f"{SPECIFICATION}#graphs"

TEST_MODE = Contract(
    "stay",
    "A model for inference is a stateless function, which gives the same output for the same input every time. One "
    "output of BatchNormalization is its test mode, by an estimated mean and variance.",
    MODEL,
)
INFERENCE = Contract(
    "stay",
    "A model for inference is a stateless function, which gives the same output for the same input every time. In "
    "BatchNormalization training_mode is 0 by default: the given mean and variance normalise the input.",
    MODEL,
)
TRAINING = Contract(
    "stay",
    "A graph is a computation without side effects; initialisers that are no inputs of it are constants. "
    "BatchNormalization with training_mode = 1 gives updated statistics as further outputs; its own page does not say "
    "that inputs stay.",
    GRAPH,
)
TRAINING_OUTPUTS = Contract(
    "stay",
    "A graph is a computation without side effects; initialisers that are no inputs of it are constants. "
    "BatchNormalization with more outputs than one gives updated statistics among them; its own page does not say that "
    "inputs stay.",
    GRAPH,
)
GRADIENT = Contract(
    "stay",
    "A graph is a computation without side effects; initialisers that are no inputs of it are constants. The file "
    "holds the network and, in operators, its gradient.",
    GRAPH,
)
WRITTEN = Contract(
    "stay",
    "A model for inference, which this file of another runtime was exported as, is a stateless function: it gives the "
    "same output for the same input every time.",
    MODEL,
)
#: The form that is a file as it is, and how the names of a file's other forms begin.
FILE = "file"
#: The opsets that forms are written in.
OPSETS = range(7, 22)
#: The opset since which BatchNormalization has `training_mode`.
TRAINING_MODE = 14
#: `layers` of a runtime whose outputs have no names: of `values`, all that the file puts out.
BY_PLACE = "names = $names\nlayers = dict(zip(names, values[:1] + values[len(values) - $inner :]))\n"
#: Characters of a line of source text.
WIDTH = 110


@dataclass(frozen=True)
class Calls:
    """How a runtime opens an ONNX file and runs it, as templates (`string.Template`) of texts.

    open: statements that make `$net` of the file named `$file`.
    predict: statements that set `y` to the first output of `$net`.
    gradient: statements that set `dx` to the second output of `$net`, a file with the gradient in it.
    layers: statements that set `layers` to the outputs of `$net` by name; "" where nothing shows them.
    statistics: statements that define the statistics which are fed; `$entries` is a literal of all of them by name.
    statistic: the expression for one of them, called `$name`.
    spread: what puts the entries of one literal into another; declare: what a new variable's statement begins with.

    Holes of `predict`, `gradient` and `layers`: `$feeds`, a literal of the inputs by name; `$inputs`, the inputs in the
    file's order; `$input` and `$output`, the names of the network's own. Of `layers`, too: `$names`, a literal of the
    names of the nodes' outputs, the network's own first; `$inner`, how many there are besides that one. In the file
    they are the first output and the last ones; new statistics may lie between.
    """

    open: str
    predict: str
    gradient: str
    layers: str = ""
    statistics: str = "statistics = $entries\n"
    statistic: str = 'weights["$name"].copy()'
    spread: str = "**"
    declare: str = ""

    @classmethod
    def in_order(cls, open: str, outputs: str, statistic: str = statistic) -> Calls:
        """Of a runtime that puts out a sequence: `outputs` is the expression of it, with holes as in `predict`."""
        layers = f"values = {outputs}\n{BY_PLACE}"
        return cls(open, f"y = {outputs}[0]\n", f"dx = {outputs}[1]\n", layers, statistic=statistic)

    def opened(self, net: str, form: str) -> str:
        """The statements that make `net` of the form's file."""
        new = net if net == "net" else self.declare + net
        return Template(self.open).safe_substitute(net=new, file=_file(form))

    def run(self, template: str, net: str, fed: bool, file: bool = False, **holes: str) -> str:
        """The statements of `predict`, `gradient` or `layers`; `file`: of a file, which may have further inputs."""
        gradient = template == self.gradient
        spread, cotangent = f"{self.spread}statistics", '"$output.cotangent": cotangent'
        feeds = ['"$input": x' + "$held" * file, *([spread] * fed), *([cotangent] * gradient)]
        inputs = ["x" + "$more" * file, *(["*statistics.values()"] * fed), *(["cotangent"] * gradient)]
        return Template(template).safe_substitute(
            net=net, feeds=f"{{{', '.join(feeds)}}}", inputs=", ".join(inputs), **holes
        )


@dataclass(frozen=True)
class Reader:
    """Makes modes of forms, and sources for them.

    calls: those of the newest releases; older: those of releases up to and including one, the oldest first.
    inference_form: the form that is the documented prediction where the form under test is none.
    suffix: what the names of the modes have after the form's; since: their first release.
    """

    calls: Calls
    inference_form: str
    older: tuple[tuple[str, Calls], ...] = ()
    suffix: str = ""
    since: str | None = None

    def modes(self, forms: str, default: str = "") -> tuple[Mode, ...]:
        """The modes of these forms, in this order; those in `default` are part of the default matrix.

        Both are names of forms with white space between them. "file" is a user's file, or one that another runtime
        wrote, as it stands; "file-gradient" and "file-batch-gradient" are the same with its gradient in inference mode
        and in training mode, by crosscheck's pass, and "file-training" has its batch normalizations in training mode.
        """
        written = {mode.form: mode for mode in self._written()}
        usual = set(default.split())
        return tuple(replace(written[form], default=form in usual) for form in forms.split())

    def _written(self) -> Iterator[Mode]:
        """Every form that a network can be written in, and those of a file of another runtime."""
        for opset in OPSETS:
            before = opset < TRAINING_MODE
            for momentum, fed in itertools.product((True, False), repeat=2):
                ending = f"{'' if momentum else '-no-momentum'}{'-fed' * fed}"
                inference, training = (TEST_MODE, TRAINING_OUTPUTS) if before else (INFERENCE, TRAINING)
                yield self._prediction(f"opset-{opset}{ending}", "inference", inference, fed)
                for unread in ("", "-unread"):  # the new statistics are graph outputs, or end in the graph
                    form = f"opset-{opset}-training{unread}{ending}"
                    yield self._prediction(form, "training", training, fed)
            # The gradient by the moving statistics, by the batch's in plain operators, and by training_mode.
            for statistics, fed in itertools.product(("", "-batch", "-training"), (False, True)):
                end = f"{'-fed' * fed}-gradient"
                yield self._gradient(
                    f"opset-{opset}{statistics}{end}",
                    "training" if statistics else "inference",
                    fed=fed,
                    inference=f"opset-{opset}{end}{self.suffix}",
                    training=None if statistics else f"opset-{opset}-batch{end}{self.suffix}",
                )
        yield self._prediction("file", "inference", WRITTEN, file=True)
        yield self._prediction("file-training", "training", TRAINING, file=True)
        yield self._gradient("file-gradient", "inference", "file-gradient", file=True)
        yield self._gradient("file-batch-gradient", "training", "file-gradient", file=True)

    def source(self, request: Request, imports: str, setup: str = "", tensor: str = "{}", array: str = "{}") -> Source:
        """The statements that open the file of the inference form as `net`, and what is fed with every call.

        setup: what comes before them.
        """
        calls, form = self.in_release(request.release), self._predicted(request)
        statistics = _statistics(request) if request.fed else []
        held = list(request.weights) if request.form.startswith(FILE) else []
        entries = (f"{json.dumps(name)}: {Template(calls.statistic).substitute(name=name)}," for name in statistics)
        fed = Template(calls.statistics).substitute(entries=_lines("{", entries, "}")) if request.fed else ""
        if held:
            values = (f"{json.dumps(name)}: {Template(calls.statistic).substitute(name=name)}," for name in held)
            fed += calls.declare + f"held = {_lines('{', values, '}')}\n"
        shown = request.asks == "prediction" and request.form != "file-training"
        exposed = f"{request.form}-exposed" if calls.layers and shown else ""
        return Source(
            imports=imports,
            text=setup + calls.opened("net", form) + fed,
            predict=_named(calls.run(calls.predict, "net", request.fed, form == FILE), request),
            tensor=tensor,
            array=array,
            layers=_named(_layers(calls, exposed, request), request) if exposed else "",
            tensors={name: (f"statistics[{json.dumps(name)}]", None) for name in statistics},
            files={_file(name): name for name in (form, exposed) if name},
        )

    def in_release(self, release: Version) -> Calls:
        """The calls that a release has."""
        return next((calls for until, calls in self.older if release <= Version(until)), self.calls)

    def _predicted(self, request: Request) -> str:
        """The form of the documented prediction."""
        if request.form.startswith(FILE):
            return FILE
        if request.asks == "prediction" and request.intent == "inference":
            return request.form
        return self.inference_form + "-fed" * request.fed

    def _prediction(self, form: str, intent: str, contract: Contract, fed: bool = False, file: bool = False) -> Mode:
        def written(calls: Calls) -> tuple[str, str]:
            net = "net" if intent == "inference" else "training"
            return calls.run(calls.predict, net, fed, file), "" if net == "net" else calls.opened(net, form)

        return self._mode(form, intent, "prediction", contract, written, fed, file)

    def _gradient(
        self,
        form: str,
        intent: str,
        inference: str,
        training: str | None = None,
        fed: bool = False,
        file: bool = False,
    ) -> Mode:
        def written(calls: Calls) -> tuple[str, str]:
            net = "gradient" if intent == "inference" else "training"
            return calls.run(calls.gradient, net, fed, file), calls.opened(net, form)

        return self._mode(
            form, intent, "gradient", GRADIENT, written, fed, file, inference=inference, training=training
        )

    def _mode(
        self,
        form: str,
        intent: str,
        asks: str,
        contract: Contract,
        written: Callable[[Calls], tuple[str, str]],
        fed: bool,
        file: bool,
        inference: str | None = None,
        training: str | None = None,
    ) -> Mode:
        text, once = written(self.calls)
        return Mode(
            form + self.suffix,
            intent,
            asks,
            text,
            contract,
            once=once,
            since=self.since,
            inference=inference,
            training=training,
            form=form,
            fed=fed,
            file=file,
            editions=tuple(Edition(until, *written(calls)) for until, calls in self.older),
        )


def _file(form: str) -> str:
    return f"{form}.onnx"


def _statistics(request: Request) -> list[str]:
    """The names of the moving statistics, in the order in which a file has them as inputs."""
    statistics = {
        name for node in request.graph["nodes"] if node["op"] == "BatchNormalization" for name in node["inputs"][3:]
    }
    return [name for name in request.weights if name in statistics]


def _layers(calls: Calls, exposed: str, request: Request) -> str:
    """The statements that open the file with every node's output, and read them all."""
    inner = [node["outputs"][0] for node in request.graph["nodes"][:-1]]
    names = _lines("[", (f"{json.dumps(name)}," for name in (request.output, *inner)), "]")
    file = request.form == FILE
    read = calls.run(calls.layers, "exposed", request.fed, file, names=names, inner=str(len(inner)))
    return calls.opened("exposed", exposed) + read


def _lines(begin: str, items: Iterable[str], end: str) -> str:
    """A literal on one line, or on as many as it takes; each item has its comma."""
    items = list(items)
    short = begin + " ".join(items).removesuffix(",") + end
    if len(short) <= WIDTH:
        return short
    lines = [""]
    for item in items:
        if len(lines[-1]) + len(item) > WIDTH:
            lines.append("")
        lines[-1] += f" {item}" if lines[-1] else f"    {item}"
    return "\n".join([begin, *lines, end])


def _named(text: str, request: Request) -> str:
    """A text with the network's own names, as in `Mode.named`."""
    return named(text, [str(value["name"]) for value in request.graph["inputs"]], request.output)
