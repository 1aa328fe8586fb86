"""One judged cell as one Python file that needs its runtime and numpy alone."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from crosscheck import __version__, probe
from crosscheck.matrix.cache import folder_digest
from crosscheck.matrix.plan import WRITTEN, reads_files
from crosscheck.matrix.server import ONE_THREAD
from crosscheck.networks import Network, load, names, readout
from crosscheck.probe.server import load_adapter
from crosscheck.report.records import JudgedCell
from crosscheck.runtimes.catalog import Release, Runtime, Variant, catalog
from crosscheck.runtimes.mode import Mode
from crosscheck.script import metadata
from crosscheck.standalone.data import Carried, carried
from crosscheck.standalone.linking import Linked, Linker
from crosscheck.standalone.reach import Wanted
from crosscheck.standalone.sources import NoScript, Place, load_modules

__all__ = ["NoScript", "composed", "pieces", "sources_digest"]

#: A cell with another status measured nothing that a script could show.
SHOWN = ("ok", "crashed", "refused")
STEPS = "crosscheck.standalone.steps"
PROBE = "crosscheck.probe.adapter"
#: Reads what native code prints to standard error, which has to be a file for that.
PRINTED = "crosscheck.probe.printed"
#: Numbers of an array that a script has to compare with, in nine digits: those of a float32.
COMPARED = 24
#: What is imported first of all.
PREPARED = ("import os", "import sys", "import tempfile")
#: Names that no part of an adapter may have in a script.
RESERVED = frozenset({"MODE", "REPORT", "GRAPH", "WEIGHTS", "INPUTS", "FILES", "network", "inputs", "readout"})


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
    known = catalog() if runtimes is None else runtimes
    if cell["status"] not in SHOWN:
        raise NoScript(f"{cell['id']} is {cell['status']}: nothing was measured that a script could show.")
    runtime, release, variant = _target(cell, known)
    mode = next((mode for mode in runtime.modes if mode.name == cell["mode"]), None)
    if mode is None:
        raise NoScript(f"this crosscheck's {runtime.name} has no mode '{cell['mode']}'.")
    if reads_files(mode):
        raise NoScript(
            f"{cell['network']} is a file that another runtime wrote in that run; scripts carry no such files."
        )
    return tuple(_pieces(cell, mode, runtime, release, variant, network or _network(cell["network"])))


def sources_digest(runtime: Runtime) -> str:
    """SHA-256 (hexadecimal) of what measures a runtime's cells and makes up its scripts: its folder and the probe."""
    folders = runtime.folder, Path(probe.__file__).parent
    return hashlib.sha256("".join(map(folder_digest, folders)).encode()).hexdigest()


def _target(cell: JudgedCell, known: Mapping[str, Runtime]) -> tuple[Runtime, Release, Variant]:
    """What the cell was measured with, as the catalog has it."""
    runtime = known.get(cell["runtime"])
    if runtime is None:
        raise NoScript(f"this crosscheck has no runtime '{cell['runtime']}'.")
    if runtime.registry != "pypi":
        raise NoScript(
            f"{runtime.title} runs on Node.js and comes from npm, which has no way of naming packages inside a script. "
            f"`{cell['reproduce']}` measures this cell."
        )
    for release in runtime.releases:
        for variant in release.variants:
            if (release.version, variant.name) == (cell["release"], cell["variant"]):
                return runtime, release, variant
    raise NoScript(f"this crosscheck has no {runtime.name} {cell['release']} in the variant {cell['variant']}.")


@functools.cache
def _shipped(name: str) -> Network:
    return load(name)


def _network(name: str) -> Network:
    if name not in names():
        raise NoScript(
            f"'{name}' is no network that ships, and a run keeps no copy of others. "
            "`crosscheck script CELL --network FILE.onnx` takes the file that it was."
        )
    return _shipped(name)


@functools.cache
def _linker(runtime: Runtime) -> tuple[Linker, Place]:
    """The runtime's sources and those of the steps; and where its adapter's class stands."""
    module = f"crosscheck.runtimes.{runtime.folder.name}.adapter"
    modes = frozenset(mode.name for mode in runtime.modes)
    modules = load_modules({module: runtime.adapter, STEPS: Path(__file__).with_name("steps.py")}, modes)
    place = module, type(load_adapter(str(runtime.adapter))).__name__
    return Linker(modules, modes, (STEPS, module), RESERVED), place


@functools.cache
def _linked(runtime: Runtime, wanted: Wanted, steps: tuple[str, ...]) -> tuple[Linked, str]:
    """The adapter and the steps as text, and the name of the adapter's class in it."""
    linker, place = _linker(runtime)
    return linker.link(_roots(place, steps), wanted), linker.name(place)


@functools.cache
def _strings(runtime: Runtime, wanted: Wanted, steps: tuple[str, ...]) -> frozenset[str]:
    linker, place = _linker(runtime)
    return linker.strings(_roots(place, steps), wanted)


def _roots(adapter: Place, steps: tuple[str, ...]) -> list[Place]:
    return [adapter, (PROBE, "Network"), *((STEPS, name) for name in steps)]


@functools.cache
def _carried(network: Network, forms: tuple[str, ...], inputs: tuple[str, ...], prefix: str) -> Carried:
    return carried(network, forms, inputs, prefix)


def _pieces(
    cell: JudgedCell, mode: Mode, runtime: Runtime, release: Release, variant: Variant, network: Network
) -> Iterator[str]:
    scenario = cell["scenario"]
    modes = frozenset({mode.name} | ({mode.training} if scenario == "order" and mode.training else set()))
    wanted = Wanted(modes, frozenset(node["op"] for node in network.graph["nodes"]))
    steps = _steps(scenario, mode.asks)
    inputs = ("x", "cotangent", "images", "noise", "labels") if scenario in ("twenty", "ascent") else ("x", "cotangent")
    second = readout(network, _target_class(network)) if scenario == "ascent" else None

    strings = _strings(runtime, wanted, steps)
    forms = _forms(strings, (mode.name, mode.inference, *sorted(modes)), cell["environment"]["variables"])
    data = _carried(network, forms, inputs, "")
    more = _carried(second, forms, (), "READOUT_") if second else None
    prints = any(module.name == PRINTED for module in _linker(runtime)[0].modules)
    helpers = {text.partition("(")[0] for text in (data.weights, data.inputs, data.files) if text != "{}"}
    helpers |= {"stderr_to_file"} if prints else set()
    linked, adapter = _linked(runtime, wanted, tuple(sorted({*steps, *helpers})))

    yield metadata.block(variant, runtime.lock(release, variant), variant.python[0])
    changed = cell["environment"].get("sources", "") not in ("", sources_digest(runtime))
    yield _head(cell, runtime, changed) + metadata.builds(variant)
    yield _preparation(cell, release, variant)
    yield "".join(f"{line}\n" for line in linked.imports.splitlines() if line not in PREPARED)
    yield _report(cell, changed)
    yield from data.texts
    yield from more.texts if more else ()
    yield from linked.modules
    yield _end(adapter, mode.training, data, more, steps, prints)


def _target_class(network: Network) -> int:
    assert network.target is not None, "the plan pairs `ascent` only with classifiers"
    return network.target


def _steps(scenario: str, asks: str) -> tuple[str, ...]:
    """The functions of `steps` that a scenario needs."""
    if scenario == "twenty":
        return "run", "twenty", f"ask_{asks}"
    return "run", "prediction" if scenario == "predict-only" else scenario


def _forms(strings: frozenset[str], modes: Sequence[str | None], variables: Mapping[str, str]) -> tuple[str, ...]:
    """The ONNX forms that the code can ask for.

    Those that it names, that modes are named after (`opset-15-bound`, `import.opset-9`) or a variant's variables say;
    with fed statistics if the mode's are.
    """
    asked = [name for name in modes if name]
    named = (WRITTEN & strings) | (WRITTEN & set(variables.values())) | {_named_after(name) for name in asked} - {""}
    fed = {f"{form}-fed" for form in named if any("-fed" in name for name in asked)} & WRITTEN
    return tuple(sorted(named | fed))


@functools.cache
def _named_after(mode: str) -> str:
    """The form that a mode is named after; "" for none."""
    parts = [mode, *mode.split(".")]
    inside = [form for form in WRITTEN for part in parts if part == form or part.startswith(form + "-")]
    return max(inside, key=len, default="")


def _head(cell: JudgedCell, runtime: Runtime, changed: bool) -> str:
    """What was found, and by which call; `changed`: whether it was measured by other sources than this file's."""
    found = ", ".join(cell["findings"]) or cell["status"]
    told = f"{runtime.title} {cell['release']}"
    told += "" if cell["variant"] == "plain" else f" ({cell['variant']})"
    told += f" on the network `{cell['network']}`: {found}. {_change(cell)}"
    call = textwrap.indent(cell["call"], "    ")
    return (
        f"\n# {' '.join(told.split())}\n"
        + (
            "# Trials of it did not agree with each other: numbers may differ from run to run.\n"
            if _by_chance(cell)
            else ""
        )
        + f"# The call, {cell['mode']}:\n"
        + "".join(f"# {line}".rstrip() + "\n" for line in call.splitlines())
        + f"# Measured by crosscheck {__version__} (Apache-2.0), of whose sources this file is made; there it is\n"
        f"# {' '.join(cell['reproduce'].split())}\n"
        + ("# Those sources have changed since; that command measures it anew.\n" if changed else "")
    )


def _by_chance(cell: JudgedCell) -> bool:
    """Whether the report's own trials did not agree."""
    outcomes = [{outcome["what"] for outcome in reading["outcomes"]} for reading in cell["trials"]]
    if "corrupted" in cell["findings"] and len(set().union(*outcomes)) > 1:
        return True
    return "racy" in cell["findings"] or any(len(one) > 1 for one in outcomes)


def _change(cell: JudgedCell) -> str:
    """The prediction before and after, or why there is none."""
    before, after = _flat(cell["prediction_before"]), _flat(cell["prediction_after"])
    if cell["status"] != "ok" and cell["reason"]:
        return " ".join(str(cell["reason"]).split())[:200]
    if not before or not after:
        return ""
    if before == after:
        return f"The prediction {_short(before)} stays."
    # The row that changed most says more than the first one.
    rows = zip(cell["prediction_before"] or [], cell["prediction_after"] or [], strict=True)
    one, other = max(((_flat(row), _flat(after)) for row, after in rows), key=lambda pair: _distance(*pair))
    return f"Prediction {_short(one)} -> {_short(other)}."


def _distance(before: Sequence[float], after: Sequence[float]) -> float:
    return max((abs(b - a) if math.isfinite(a) else math.inf for b, a in zip(before, after, strict=True)), default=0.0)


def _short(values: Sequence[float]) -> str:
    return " ".join(f"{value:.6g}" for value in values[:4]) + (" ..." if len(values) > 4 else "")


def _flat(value: Any) -> list[float]:
    if value is None:
        return []
    return [number for item in value for number in _flat(item)] if isinstance(value, list) else [float(value)]


def _preparation(cell: JudgedCell, release: Release, variant: Variant) -> str:
    """What has to be so before anything else is imported."""
    needs = metadata.needs(release, variant)
    imports = [*(["import ctypes"] if "ctypes." in needs else []), *PREPARED]
    variables = {**ONE_THREAD, **cell["environment"]["variables"]}
    lines = "".join(f"    {json.dumps(name)}: {json.dumps(value)},\n" for name, value in variables.items())
    return (
        "\n" + "\n".join(imports) + "\n" + ("\n" + needs if needs else "") + "\n"
        f"# Before the runtime is imported.\nos.environ.update({{\n{lines}}})\n\n"
    )


def _report(cell: JudgedCell, changed: bool) -> str:
    """The numbers of the report, the first of each array."""
    told: dict[str, Any] = {}
    scenario = cell["scenario"]
    if scenario == "order":
        told["gradient alone"] = cell["gradient"]
    elif scenario in ("twenty", "ascent"):
        curve = cell["curve"] or {"accuracy": None, "top1": None}
        told["accuracy before, after each"], told["class before, after each"] = curve["accuracy"], curve["top1"]
    else:
        told["prediction before"] = cell["prediction_before"]
        told["gradient of the second" if scenario == "sibling" else "gradient"] = cell["gradient"]
        told["prediction after"] = cell["prediction_after"]
    if scenario != "order":
        told |= {f"largest change of {name}": [change] for name, change in cell["state_changes"].items()}
    lines = "".join(
        f"    {json.dumps(name)}: [{', '.join(map(_number, _flat(value)[:COMPARED]))}],\n"
        for name, value in told.items()
        if value is not None
    )
    if _by_chance(cell):
        lines += '    "chance": True,\n'
    if changed:
        lines += '    "changed": True,\n'
    if cell["reason"]:
        lines += f'    "message": {json.dumps(cell["reason"])},\n'
    return f"\nMODE = {json.dumps(cell['mode'])}\n#: The numbers of the report.\nREPORT = {{\n{lines}}}\n"


def _number(value: float) -> str:
    return f"{value:.9g}" if math.isfinite(value) else f'float("{value}")'


def _end(
    adapter: str, training: str | None, data: Carried, more: Carried | None, steps: Sequence[str], prints: bool
) -> str:
    """The steps of the scenario."""
    arguments = [f"{adapter}()", "REPORT", steps[1], "network"]
    lines = [
        *(["stderr_to_file()"] if prints else []),
        f"inputs = {data.inputs}",
        "folder = tempfile.mkdtemp()",
        f'network = Network(GRAPH, {data.weights}, {data.files}, len(inputs["x"]), folder, folder)',
    ]
    if more is not None:
        lines.append(f"readout = network._replace(graph=READOUT_GRAPH, weights={more.weights}, onnx={more.files})")
        arguments.append("readout")
    arguments += ["MODE", *([json.dumps(training)] if steps[1] == "order" else []), "inputs", *steps[2:]]
    lines.append(f"run({', '.join(arguments)})")
    return '\n\nif __name__ == "__main__":\n' + "".join(f"    {line}\n" for line in lines)
