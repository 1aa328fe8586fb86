"""Texts on Node: the Python and JavaScript probes agree on all steps, and every Node program is a valid module."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crosscheck import probe
from crosscheck.cells import Scenario
from crosscheck.environments.environment import describe, make
from crosscheck.networks import load
from crosscheck.networks.prepare import write_arrays
from crosscheck.probe import trial
from crosscheck.probe.texts import TextAdapter
from crosscheck.runtimes.catalog import Runtime, catalog, load_runtime
from crosscheck.runtimes.mode import Mode
from crosscheck.runtimes.program import Subject, source_of
from crosscheck.scenarios.facts import OF_TOOLKITS
from crosscheck.scenarios.steps import STEPS, steps

PROBE = Path(probe.__file__).parent / "node"
NPM = [runtime for runtime in catalog().values() if runtime.registry == "npm"]

#: A network with a scale and a matrix, in both languages; a gradient halves the scale.
SOURCE: dict[str, Any] = {
    "classify": "",
    "public": ["scale"],
    "leaves": ["", ""],
    "carried": ["share"],
    "files": {"read.onnx": "form"},
}
PYTHON = {
    "imports": "import shutil\n",
    "text": "net = {name: value.copy() for name, value in weights.items()}\nshare = 1.0\n",
    "shared": 'first = net\nnet = {"scale": first["scale"], "matrix": weights["matrix"]}\n',
    "predict": 'y = x * net["scale"] * share\n',
    "layers": 'layers = {"out": x * net["scale"]}\n',
    "tensor": "{}",
    "array": "{}",
    "tensors": {"scale": ['net["scale"]', None], "matrix": ['net["matrix"]', [1, 0]]},
    "view": {"twice": ['net["scale"] * 2', None]},
}
PYTHON_TEXTS = {
    "gradient": (
        "half = 0.5\n",
        'y = x * half\n---\nnet["scale"] *= half\nshare *= half\ndx = (x + cotangent) * net["scale"]\n',
    ),
    "prediction": ("", "y = x + x\n"),
    "export": ("", 'shutil.copy("read.onnx", "written.onnx")\n---\nnet = {"scale": net["scale"] * 4}\n'),
}
JAVASCRIPT = {
    "imports": """\
import { copyFileSync } from "node:fs";

const tensor = ({ shape, data }) => ({ shape, data });
const array = async (value) => value;
const scaled = ({ shape, data }, factor) => ({ shape, data: data.map((value) => value * factor) });
""",
    "text": "net = { scale: weights.scale, matrix: weights.matrix };\nlet share = 1;\n",
    "shared": "const first = net;\nnet = { scale: first.scale, matrix: weights.matrix };\n",
    "predict": "y = await scaled(x, net.scale.data[0] * share);\n",
    "layers": "layers = { out: scaled(x, net.scale.data[0]) };\n",
    "tensor": "tensor({})",
    "array": "await array({})",
    "tensors": {"scale": ["net.scale", None], "matrix": ["net.matrix", [1, 0]]},
    "view": {"twice": ["scaled(net.scale, 2)", None]},
}
JAVASCRIPT_TEXTS = {
    "gradient": (
        "const { half } = { half: 0.5 };\n",
        """\
y = scaled(x, half);
---
net.scale.data[0] *= half;
share *= half;
const across = x.data.length / cotangent.data.length; // of a cotangent with one column
const data = x.data.map((value, at) => value + cotangent.data[Math.floor(at / across)]);
dx = scaled({ shape: x.shape, data }, net.scale.data[0]);
""",
    ),
    "prediction": ("", "y = scaled(x, 2);\n"),
    "export": (
        "",
        """\
copyFileSync("read.onnx", "written.onnx");
---
net = { ...net, scale: scaled(net.scale, 4) };
""",
    ),
}


@pytest.fixture(scope="module")
def node() -> Path:
    """The Node of the toy's environment."""
    runtime = load_runtime(Path(__file__).parent / "node_toy")
    (release,) = runtime.releases
    environment = describe(runtime, release, release.variants[0])
    make(runtime, release, environment)
    return environment.python.with_name("node")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prepared folder of a classifier and its readout."""
    folder = tmp_path_factory.mktemp("network")
    random = np.random.default_rng(0)
    x = random.random((4, 3), np.float32)
    arrays = {
        "x": x,
        "cotangent": random.random((4, 3), np.float32),
        "images": random.random((6, 3), np.float32),
        "noise": random.random((20, 4, 3), np.float32),
    }
    weights = {"scale": np.ones(1, np.float32), "matrix": random.random((2, 3), np.float32)}
    graph = {"inputs": [{"name": "in", "shape": ["N", 3]}], "outputs": [{"name": "out", "shape": ["N", 3]}]}
    for place in (folder, folder / "readout"):
        place.mkdir(exist_ok=True)
        (place / "graph.json").write_text(json.dumps(graph))
        (place / "form.onnx").write_bytes(b"a form")
        write_arrays(place / "weights.npz", weights)
        write_arrays(place / "inputs.npz", arrays)
    return folder


def request(
    scenario: Scenario, reading: str, network: Path, out: Path, texts: Mapping[str, Any], source: Mapping[str, Any]
) -> dict[str, Any]:
    """The request of a trial with the scenario's first mode."""
    asks = {Scenario.PREDICT_ONLY: "prediction", Scenario.EXPORT: "export"}.get(scenario, "gradient")
    roles = ["tested", *(["inference", "training"] if asks == "gradient" else [])]
    own = {key: value for key, value in source.items() if key != "shared"}
    sources = {}
    for name in ("network", "readout"):
        for role in roles:
            sources[f"{name}/{role}"] = SOURCE | own
            sources[f"{name}/{role}/shared"] = SOURCE | own | {"text": source["shared"]}
    once, text = texts[asks]
    forward, _, backward = text.partition("---\n")
    parts = {"asks": asks, "leaves": "", "once": once, "forward": forward, "backward": backward, "predict": ""}
    out.mkdir()
    return {
        "out": str(out),
        "network": str(network),
        "bytes": 10**9,
        "steps": steps(scenario, reading, roles[1:]),
        "modes": {role: {"name": role, "asks": asks} for role in roles},
        "program": {"sources": sources, "texts": dict.fromkeys(roles, parts)},
    }


def observation(out: Path) -> tuple[dict[str, Any], list[str], str, bytes]:
    """A trial's status, step labels, array keys and arrays."""
    end = json.loads((out / "end.json").read_text())
    labels = [json.loads(line)["label"] for line in (out / "steps.jsonl").read_text().splitlines()]
    keys = json.dumps([json.loads(line) for line in (out / "keys.jsonl").read_text().splitlines()])
    return {key: end[key] for key in ("status", "reason")}, labels, keys, (out / "arrays.bin").read_bytes()


#: No toolkit sits on a runtime of Node.
ASKED = [asked for asked in STEPS if asked[0] is not Scenario.INTERLEAVED and asked[1] not in OF_TOOLKITS]


@pytest.mark.parametrize(("scenario", "reading"), ASKED, ids=str)
def test_both_probes_record_the_same(
    scenario: Scenario, reading: str, node: Path, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the trial changes the working directory
    here = request(scenario, reading, network, tmp_path / "python", PYTHON_TEXTS, PYTHON)
    trial.run(TextAdapter(), trial.load_material(str(network)), here)
    there = request(scenario, reading, network, tmp_path / "node", JAVASCRIPT_TEXTS, JAVASCRIPT)
    file = tmp_path / "request.json"
    file.write_text(json.dumps(there))
    subprocess.run([node, PROBE / "trial.js", PROBE / "adapter.js", file], check=True)
    expected = observation(tmp_path / "python")
    assert ({"status": "ok", "reason": None}, True) == (expected[0], len(expected[3]) > 0)
    assert expected == observation(tmp_path / "node")


def programs(runtime: Runtime) -> dict[str, str]:
    """Every mode's program in the oldest and the newest release, as in a script."""
    result = {}
    for release in (runtime.releases[0], runtime.releases[-1]):
        for name in ("seed", "conv", "residual"):
            network = load(name)
            subject = Subject(network.graph, network.weights, len(network.x))
            for mode in runtime.modes:
                source = source_of(runtime, release, release.variants[0], mode, subject)
                here = mode.in_release(release.version)
                names = "const weights = {};\nlet net, x, cotangent, y, dx, layers;\n"
                texts = [source.imports, names, source.text, source.predict, here.once, *here.parts, source.layers]
                result[f"{release.version}/{mode.name}/{name}"] = "".join(texts)
    return result


@pytest.mark.parametrize("runtime", NPM, ids=lambda runtime: runtime.name)
def test_every_program_is_a_module(runtime: Runtime, node: Path, tmp_path: Path) -> None:
    file = tmp_path / "programs.json"
    file.write_text(json.dumps(programs(runtime)))
    check = """
        const programs = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"));
        for (const [name, text] of Object.entries(programs)) {
          try { new (require("vm").SourceTextModule)(text); } catch (problem) { console.log(name, problem.message); }
        }
    """
    options = ["--experimental-vm-modules", "--no-warnings"]
    done = subprocess.run([node, *options, "-e", check, file], capture_output=True, text=True, check=True)
    assert "" == done.stdout


@pytest.mark.parametrize("runtime", NPM, ids=lambda runtime: runtime.name)
def test_programs_of_modes_are_distinct(runtime: Runtime) -> None:
    network = load("seed")
    subject = Subject(network.graph, network.weights, len(network.x))
    release = runtime.releases[-1]

    def shown(mode: Mode) -> str:
        return source_of(runtime, release, release.variants[0], mode, subject).text + mode.call

    assert len(runtime.modes) == len({shown(mode) for mode in runtime.modes})
    assert not [mode.name for mode in runtime.modes if "..." in mode.call.replace("...statistics", "")]
