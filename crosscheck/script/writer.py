"""One judged cell as one Python file: a template, filled with the texts that were executed."""

from __future__ import annotations

import ast
import functools
import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from crosscheck import __version__
from crosscheck.cells import PLAIN, Array, Asks, Finding, Scenario
from crosscheck.errors import CrosscheckError
from crosscheck.judge import Truth
from crosscheck.judge.reuse import shown_by
from crosscheck.networks import Network, load, names, readout
from crosscheck.networks.dialects import DIALECTS, build_dialect
from crosscheck.networks.forms import FORMS, build_model
from crosscheck.networks.graph import Graph, Node, Value
from crosscheck.networks.prepare import noise
from crosscheck.probe import recorded
from crosscheck.records import JudgedCell, rows_of
from crosscheck.runtimes.catalog import Release, Runtime, Variant, catalog
from crosscheck.runtimes.mode import Mode
from crosscheck.runtimes.program import Subject, compose, fingerprint
from crosscheck.scenarios.steps import EXAMPLE, REUSED, SCRIPT, Step
from crosscheck.script import metadata
from crosscheck.script.languages import Beside, JavaScript, Language
from crosscheck.script.packed import WIDTH, tiny
from crosscheck.script.statements import Statements

__all__ = ["NoScript", "composed", "example", "pieces", "program"]

#: A cell with another status measured nothing that a script could show.
SHOWN = ("ok", "crashed", "refused")
#: Findings that predictions and statistics do not show.
LOOKED_FOR = frozenset({Finding.MODE_LEFT_CHANGED, Finding.GRADIENTS_LEFT, Finding.STATE_MOVED})
#: What the names of a second network's files begin with: a script has one folder for those of both.
SECOND = "readout-"
#: The convolution and the parameters of the batch normalization of an example for toolkits.
CONVOLUTION = {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [0, 0, 0, 0], "dilations": [1, 1], "group": 1}
NORM = {"gamma": 1, "beta": 0, "mean": 0, "variance": 1}
#: References and files that are kept.
NETWORKS, FILES = 16, 256


class NoScript(CrosscheckError):
    """There is no script of a cell; the message says why."""


def pieces(cell: JudgedCell) -> tuple[str, ...] | None:
    """The pieces of text that make up a cell's script, for the report; None where there is none.

    Pieces that several cells have in common are equal strings.
    """
    try:
        return composed(cell)
    except NoScript:
        return None


def composed(
    cell: JudgedCell, network: Network | None = None, runtimes: Mapping[str, Runtime] | None = None
) -> tuple[str, ...]:
    """The pieces of text that make up a cell's script.

    network: what stands in for the cell's, which otherwise has to be one that ships. runtimes: what stands in for the
    catalog. Raises NoScript, which says why there is none.
    """
    if cell.status not in SHOWN:
        raise NoScript(f"{cell.id} is {cell.status}: nothing was measured that a script could show.")
    runtime, release, variant = _target(cell, catalog() if runtimes is None else runtimes)
    modes = {mode.name: mode for mode in runtime.modes}
    if cell.mode not in modes:
        raise NoScript(f"this crosscheck's {runtime.name} has no mode '{cell.mode}'.")
    mode = modes[cell.mode]
    if mode.file and mode.asks != "export":
        raise NoScript(f"{cell.network} is a file that another runtime wrote in that run; scripts carry no such files.")
    if mode.native:
        raise NoScript(f"{cell.network} was read from a file of your own as it is; scripts carry no such files.")
    roles = {"tested": mode}
    if cell.scenario == "order":
        # Of an older run: the plan pairs the scenario only with modes that name another one.
        if mode.training not in modes:
            raise NoScript(f"this crosscheck's {runtime.name} has no training mode to ask before '{mode.name}'.")
        roles["training"] = modes[mode.training]
    return _Script(cell, roles, runtime, release, variant, network or _network(cell.network)).pieces()


def _target(cell: JudgedCell, known: Mapping[str, Runtime]) -> tuple[Runtime, Release, Variant]:
    """What the cell was measured with, as the catalog has it."""
    runtime = known.get(cell.runtime)
    if runtime is None:
        raise NoScript(f"this crosscheck has no runtime '{cell.runtime}'.")
    for release in runtime.releases:
        for variant in release.variants:
            if (release.version, variant.name) == (cell.release, cell.variant):
                return runtime, release, variant
    raise NoScript(f"this crosscheck has no {runtime.name} {cell.release} in the variant {cell.variant}.")


@functools.cache
def _shipped(name: str) -> Network:
    return load(name)


def _network(name: str) -> Network:
    if name not in names():
        raise NoScript(
            f"'{name}' is no network that ships, and a run keeps no copy of others. "
            "`crosscheck script CELL --network FILE` takes the file that it was."
        )
    return _shipped(name)


def example(cell: JudgedCell, runtimes: Mapping[str, Runtime] | None = None) -> str | None:
    """The complete program of a cell's mode, for a recipe. None where this crosscheck has none."""
    try:
        runtime, release, variant = _target(cell, catalog() if runtimes is None else runtimes)
    except NoScript:
        return None
    mode = next((mode for mode in runtime.modes if mode.name == cell.mode), None)
    return None if mode is None else program(runtime, release, variant, mode)


def program(runtime: Runtime, release: Release, variant: Variant, mode: Mode) -> str:
    """A mode on a small network: imports, the network, the call, and a line that prints what it returns.

    The network is `seed`; a toolkit's is one of pictures, since many toolkits look for a convolution.

    A file that a mode reads is not part of it: a comment says how it is made of the user's own model.
    """
    network = _of_pictures() if mode.starts else _shipped("seed")
    steps = _EXPORTING if mode.asks == "export" else EXAMPLE
    subject = Subject(network.graph, network.weights, len(network.x))
    composed = compose(runtime, release, variant, {"tested": mode}, {"network": subject}, steps)
    source = composed["sources"]["network/tested"]
    inputs = {"x": network.x, "cotangent": network.cotangent_of(mode.answers)}
    language = _language(runtime, inputs)
    lines = _spaced(Statements(language, composed, {"tested": mode}, {}, ()).of(steps))
    data = language.literals(network.weights) if _names(source["text"], "weights") else ""
    made = "".join(_made(name, form) for name, form in source["files"].items() if f'"{name}"' in lines)
    if runtime.registry == "npm":
        return f"{made}{source['imports']}{language.functions(lines, ())}{data}{lines}"
    imports = _imports([source["imports"]], lines, [])
    return f"{made}{_preparation(release, variant)}{imports}\n{data}{lines}".strip("\n") + "\n"


@functools.cache
def _of_pictures() -> Network:
    """A classifier of one picture, of few enough numbers to be written out: a convolution, `bn`, ReLU, a mean."""
    draw = np.random.default_rng(0)
    norm = {f"bn.{name}": np.full(2, value, np.float32) for name, value in NORM.items()}
    kernel = {"conv.weight": draw.normal(size=(2, 1, 3, 3)).round(1).astype(np.float32)}
    layers: tuple[tuple[str, str, dict[str, Any], dict[str, Array]], ...] = (
        ("conv", "Conv", CONVOLUTION, kernel),
        ("bn", "BatchNormalization", {"epsilon": 1e-3, "momentum": 0.9}, norm),
        ("relu", "Relu", {}, {}),
        ("pool", "GlobalAveragePool", {}, {}),
        ("flatten", "Flatten", {"axis": 1}, {}),
    )
    nodes: list[Node] = []
    last = "x"
    for name, op, attributes, weights in layers:
        nodes.append(Node(op=op, name=name, inputs=[last, *weights], outputs=[f"{name}.out"], attributes=attributes))
        last = f"{name}.out"
    ends = [Value(name="x", shape=["N", 1, 4, 4]), Value(name=last, shape=["N", 2])]
    graph = Graph(name="pictures", inputs=ends[:1], outputs=ends[1:], nodes=nodes)
    x = draw.uniform(size=(1, 1, 4, 4)).round(1).astype(np.float32)
    return replace(_shipped("seed"), name="pictures", graph=graph, weights=kernel | norm, x=x)


#: The steps of an export's program.
_EXPORTING: tuple[Step, ...] = (EXAMPLE[0], *SCRIPT[Scenario.EXPORT][3:4], SCRIPT[Scenario.EXPORT][-1])


class _Script:
    """The script of one cell. `roles`: the mode under test, and for `order` the one before it."""

    def __init__(
        self,
        cell: JudgedCell,
        roles: Mapping[str, Mode],
        runtime: Runtime,
        release: Release,
        variant: Variant,
        network: Network,
    ) -> None:
        self.cell, self.roles = cell, roles
        self.runtime, self.release, self.variant, self.network = runtime, release, variant, network
        self.mode = roles["tested"]
        self.scenario = Scenario(cell.scenario)
        self.steps = _with_looks(_with_reuse(SCRIPT[self.scenario], cell), cell, self.mode)
        self.networks = {"network": network}
        if self.scenario is Scenario.ASCENT and network.target is not None:
            self.networks["readout"] = readout(network, network.target)
        subjects = {name: Subject(one.graph, one.weights, len(network.x)) for name, one in self.networks.items()}
        self.program = _files_apart(compose(runtime, release, variant, roles, subjects, self.steps))
        self.sources = list(self.program["sources"].values())
        self.arrays, self.files = self._arrays(), self._files()
        self.weights = list(self.networks.values())[-1].weights  # the read-out has the network's, too
        self.tiny = tiny({**self.arrays, **self.weights}) and not self.files
        self.language = _language(runtime, self.arrays if self.tiny else {})

    def pieces(self) -> tuple[str, ...]:
        """The script's pieces, in their order."""
        statistics = [name for norm in self.network.batch_norms for name in (norm.mean, norm.variance)]
        statements = Statements(self.language, self.program, self.roles, self._beside(statistics), statistics)
        lines = statements.of(self.steps)
        if [step["do"] for step in self.steps].count("build") > 1:
            lines = self.language.repeatable(lines)
        data, block = self._data(lines)
        parts = (*self._beginning(lines, block), data, lines)
        return (*map(_spaced, parts), *block)

    def _beginning(self, lines: str, block: Sequence[str]) -> tuple[str, ...]:
        """Everything before the data."""
        imports = [source["imports"] for source in self.sources]
        functions = self.language.functions(lines, self.sources[0]["carried"])
        head = "".join(f"{self.language.comment} {line}\n" for line in self._head())
        if self.runtime.registry == "npm":
            install = [self.variant.package, *self.release.beside]
            packages = " ".join(f"{name}@{self.release.version}" for name in install)
            variables = "".join(
                f"process.env[{json.dumps(name)}] = {json.dumps(value)};\n"
                for name, value in self.variant.environment.items()
            )
            reading = 'import { readFileSync, writeFileSync } from "node:fs";\n' if block else ""
            return (
                f"// npm install --ignore-scripts {packages} && node leak.mjs\n{head}",
                variables + reading + imports[0],
                functions,
            )
        own = ["import base64", "import io"] if block else []
        python = ".".join((self.cell.environment.python or self.variant.python[0]).split(".")[:2])
        return (
            metadata.block(self.variant, self.runtime.lock(self.release, self.variant), python),
            head + metadata.builds(self.variant),
            _preparation(self.release, self.variant),
            _imports(imports, lines, own),
            functions,
        )

    def _head(self) -> list[str]:
        """What was found, and how to measure it again."""
        cell = self.cell
        shows = ", ".join(cell.findings) or cell.status
        variant = "" if cell.variant == PLAIN else f" ({cell.variant})"
        told = (
            f"{self.runtime.title} {cell.release}{variant}, {cell.mode}, network `{cell.network}`, scenario "
            f"`{cell.scenario}`: {shows}."
        )
        contract = cell.contract
        documented = {"stay": "statistics stay", "move": "statistics move"}.get(contract.statistics, "nothing said")
        lines = [*textwrap.wrap(told, WIDTH), f"Documented: {documented} ({contract.link})."]
        if cell.status != "ok" and cell.reason:
            lines += textwrap.wrap(" ".join(str(cell.reason).split())[:200], WIDTH)
        measured = cell.environment.sources
        network = Subject(self.network.graph, self.network.weights, len(self.network.x))
        if measured not in ("", fingerprint(self.runtime, self.release, self.variant, self.mode, network)):
            lines.append("These texts have changed since the cell was measured; the command below measures them.")
        if not _repeatable(cell):
            lines.append("Trials did not agree with each other: numbers may differ from run to run.")
        return [*lines, f"Measured by crosscheck {__version__} (Apache-2.0): {cell.reproduce}"]

    def _arrays(self) -> dict[str, Array]:
        """The inputs that the steps read, by name."""
        network, scenario = self.network, self.scenario
        arrays: dict[str, Array] = {"x": network.x}
        if Asks.GRADIENT in {mode.asks for mode in self.roles.values()} and scenario is not Scenario.ASCENT:
            arrays["cotangent"] = network.cotangent_of(self.mode.answers)
        if scenario is Scenario.ASCENT:
            arrays["ones"] = np.ones((len(network.x), 1), np.float32)
        if scenario in (Scenario.TWENTY, Scenario.ASCENT):
            assert network.images is not None, "the plan pairs these scenarios only with classifiers"
            assert network.labels is not None, "likewise"
            arrays |= {"images": network.images, "labels": network.labels}
        if scenario is Scenario.TWENTY:
            arrays["noise"] = noise(network)
        return arrays

    def _files(self) -> dict[str, bytes]:
        """The files that the texts open, by name."""
        written = {}
        texts = "".join(_texts(each) for each in (*self.sources, *self.program["texts"].values()))
        for use, source in self.program["sources"].items():
            network = self.networks[use.partition("/")[0]]
            for name, form in source["files"].items():
                if f'"{name}"' not in texts:
                    continue
                written[name] = _form(network, form)
        return written

    def _data(self, lines: str) -> tuple[str, tuple[str, ...]]:
        """Statements that define `data` and `weights` and write files, and the block that they read, in pieces."""
        texts = lines + "".join(source["text"] for source in self.sources)
        weights = self.weights if _names(texts, "weights") else {}
        if self.tiny:
            return self.language.literals(weights), ()
        return self.language.unpacked(self.arrays, weights, self.files)

    def _beside(self, statistics: Sequence[str]) -> dict[str, Beside]:
        """What stands beside each number: the report's, and the float64 truth."""
        cell, network = self.cell, self.network
        truth = _truth(network).in_mode(self.mode)
        prediction = truth.prediction()
        beside = {
            "prediction before": Beside(_rows(cell.prediction_before), prediction),
            "prediction after": Beside(_rows(cell.prediction_after), prediction),
            "prediction exported": Beside(None, prediction),
            "prediction restored": Beside(None, prediction),
            "prediction sibling-before": Beside(None, prediction),
            "prediction sibling-after": Beside(None, prediction),
        }
        training = self.mode.intent == "training"
        if not self.mode.answered.shown(network.operators):
            beside["gradient first"] = Beside()
        elif self.mode.asks == "gradient":
            beside["gradient first"] = Beside(cell.gradient, truth.gradient(training))
        else:
            beside["forward first"] = Beside(cell.gradient, truth.prediction(training))
        beside |= {name: Beside(cell.tensors[name].after) for name in statistics if name in cell.tensors}
        if cell.curve is not None:
            beside["accuracy"] = Beside(list(cell.curve.accuracy))
        return beside


def _with_looks(steps: Sequence[Step], cell: JudgedCell, mode: Mode) -> tuple[Step, ...]:
    """The steps, with a look at the network on either side of a toolkit's call that leaves it otherwise."""
    looks = cell.scenario is Scenario.GRADIENT and mode.starts and not LOOKED_FOR.isdisjoint(cell.findings)
    return tuple({**step, "looks": True} if looks and step["do"] == "ask" else step for step in steps)


def _with_reuse(steps: Sequence[Step], cell: JudgedCell) -> tuple[Step, ...]:
    """The steps, and those of what users do with the network later, where a finding rests on it.

    As in the trial, these follow directly on the call; a second network is made when the first one is done with.
    """
    shows = shown_by(cell.evidence)
    if not shows:
        return tuple(steps)
    reused = [
        {**step, "raises": shows.get(step.get("what", ""), False)}
        for step in REUSED
        if step.get("what", recorded.LOAD) in shows
    ]
    first = [step for step in reused if step["model"] != recorded.RESTORED]
    asked = 1 + next(place for place, step in enumerate(steps) if step["do"] == "ask")
    return (*steps[:asked], *first, *steps[asked:], *reused[len(first) :])


def _rows(prediction: Array | None) -> list[list[float]] | None:
    return None if prediction is None else rows_of(prediction)


@functools.lru_cache(NETWORKS)
def _truth(network: Network) -> Truth:
    """The reference of a network, which many scripts of a run have in common."""
    return Truth.of(network)


@functools.lru_cache(FILES)
def _form(network: Network, form: str) -> bytes:
    """A network's file in one of the ONNX forms, or one that ships with it."""
    if form in network.shipped:
        return network.shipped[form].read_bytes()
    if form in DIALECTS:
        content: bytes = build_dialect(network.graph, network.weights, DIALECTS[form]).SerializeToString()
    else:
        content = build_model(network.graph, network.weights, FORMS[form]).SerializeToString()
    return content


def _files_apart(program: Mapping[str, Any]) -> Mapping[str, Any]:
    """The program with names of their own for the files of a second network, which the probe has in a second folder.

    The modes are asked about that network alone.
    """
    use = "readout/tested/shared"
    if use not in program["sources"]:
        return program
    second = program["sources"][use]

    def renamed(part: Any) -> Any:
        for name in second["files"] if isinstance(part, str) else ():
            part = part.replace(f'"{name}"', f'"{SECOND}{name}"')
        return part

    files = {f"{SECOND}{name}": form for name, form in second["files"].items()}
    own = {**{key: renamed(part) for key, part in second.items()}, "files": files}
    texts = {mode: {key: renamed(part) for key, part in texts.items()} for mode, texts in program["texts"].items()}
    return {"sources": {**program["sources"], use: own}, "texts": texts}


def _texts(parts: Mapping[str, Any]) -> str:
    """All texts of a source or a mode."""
    return "".join(part for part in parts.values() if isinstance(part, str))


def _language(runtime: Runtime, literals: Mapping[str, Array]) -> Language:
    """The language of the runtime's texts; `literals`: the inputs that are written out."""
    return Language(literals) if runtime.registry == "pypi" else JavaScript(literals)


def _spaced(text: str) -> str:
    """The text with no more than one blank line between two others."""
    return re.sub(r"\n{3,}", "\n\n", text)


def _repeatable(cell: JudgedCell) -> bool:
    """Whether trials of one reading agreed with each other."""
    return all(len({outcome.what for outcome in reading.outcomes}) <= 1 for reading in cell.trials)


def _preparation(release: Release, variant: Variant) -> str:
    """What has to be so before anything else is imported."""
    variables = [
        f"os.environ[{json.dumps(name)}] = {json.dumps(value)}\n" for name, value in variant.environment.items()
    ]
    return metadata.needs(release, variant) + ("import os\n" if variables else "") + "".join(variables)


def _imports(texts: Sequence[str], lines: str, own: Sequence[str]) -> str:
    """The runtime's usual imports that the lines use, and those of the script's own lines."""
    every = dict.fromkeys(line for text in texts for line in text.splitlines())
    used = lines + "\n".join(line for line in every if not line.startswith(("import ", "from ")))
    imports = [line for line in every if _used(line, used)]
    numpy = [] if "import numpy as np" in imports else ["import numpy as np"]
    return "".join(f"{line}\n" for line in (*own, *numpy, *imports))


def _made(name: str, form: str) -> str:
    """A comment that says how a file is made of the user's own model."""
    if "gradient" not in form:
        return f"# {name}: your model\n"
    switch = " --training" if "-batch" in form else ""
    return f"# {name}: crosscheck gradient model.onnx -o {name}{switch}\n"


def _used(line: str, text: str) -> bool:
    """Whether a text uses a name that this line of imports binds; a line that is not a plain import counts as used."""
    statement = ast.parse(line).body if line.strip() else []
    if len(statement) != 1 or not isinstance(statement[0], ast.Import | ast.ImportFrom):
        return bool(line.strip())
    bound = [(alias.asname or alias.name).partition(".")[0] for alias in statement[0].names]
    return any(_names(text, name) for name in bound)


def _names(text: str, name: str) -> bool:
    """Whether a text has a word."""
    return re.search(rf"\b{name}\b", text) is not None
