"""Toolkits: folders that name a base, and what their calls do to the network that they are given."""

from __future__ import annotations

import ast
import contextlib
import copy
import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crosscheck import networks
from crosscheck.cells import Scenario
from crosscheck.environments.environment import describe
from crosscheck.errors import CatalogError
from crosscheck.job import Job, run
from crosscheck.matrix.plan import planned_cell
from crosscheck.matrix.selection import targets
from crosscheck.probe.adapter import Adapter, Network
from crosscheck.probe.recorder import Recorder
from crosscheck.probe.steps import Trial
from crosscheck.probe.texts import TextAdapter
from crosscheck.records import Contract
from crosscheck.records.versions import cell_of
from crosscheck.runtimes.catalog import Runtime, catalog, load_runtime
from crosscheck.runtimes.family.toolkits import STATES, State, Toolkit
from crosscheck.runtimes.program import Subject, source_of
from crosscheck.scenarios.steps import steps
from crosscheck.script.writer import composed, example, program
from crosscheck.subnetworks.parts import as_vectors, prefix
from tests.conftest import Cells, SilentProgress, cells_by_mode

FOLDER = Path(__file__).parent / "toolkit_toy"
SILENT = Contract("undocumented", "", "")


@pytest.fixture(scope="module")
def toolkit() -> Runtime:
    return load_runtime(FOLDER)


@pytest.fixture(scope="module")
def cells(toolkit: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Cells:
    """The toolkit's calls on a small network of two classes."""
    folder = tmp_path_factory.mktemp("toolkit")
    job = Job(what=["toolkits"], networks=["conv-norm"], scenarios=["gradient"], out=folder)
    run(job, SilentProgress(), {toolkit.name: toolkit})
    return cells_by_mode(folder)


def test_networks_and_adapter_are_the_bases(toolkit: Runtime, toy: Runtime) -> None:
    assert (toy.adapter, "toy") == (toolkit.adapter, toolkit.base)
    assert toolkit.folder / "locks" == toolkit.lock(toolkit.releases[0], toolkit.releases[0].variants[0]).parent


@pytest.mark.parametrize(
    "mode",
    ["score", "score-in-training", "loss", "no-form", "integrated", "adds-up", "keeps-gradients", "imports"],
)
def test_a_call_that_leaves_the_network_alone_is_clean(cells: Cells, mode: str) -> None:
    assert ["clean"] == cells[mode]["findings"], cells[mode]["evidence"]


@pytest.mark.parametrize("mode", ["score-doubled", "score-for-loss"])
def test_a_plain_gradient_is_held_against_that_of_the_scores_or_the_loss(cells: Cells, mode: str) -> None:
    assert ["wrong-gradient"] == cells[mode]["findings"]


@pytest.mark.parametrize("mode", ["integrated-without-input", "does-not-add-up"])
def test_an_attribution_is_held_against_its_formula(cells: Cells, mode: str) -> None:
    assert ["wrong-gradient"] == cells[mode]["findings"]


@pytest.mark.parametrize("mode", ["adds-up", "does-not-add-up"])
def test_where_sums_alone_are_known_the_report_has_the_error_and_no_entries(cells: Cells, mode: str) -> None:
    cell = cells[mode]
    assert (None, None) == (cell["gradient"], cell["closed_forms"])
    assert (mode == "adds-up") == (cell["gradient_error"]["inference"] < 1e-5)


def test_a_run_says_what_the_calls_of_a_toolkit_answer(toolkit: Runtime, toy: Runtime) -> None:
    said = {mode.name: mode.facts("").answers for mode in toolkit.modes}
    assert "integrated-gradients gauss-legendre/6, held against its formula in float64" == said["integrated"]
    assert "the gradient of the summed cross-entropy" == said["loss"]
    assert "not judged" in said["no-form"]
    assert {""} == {mode.facts("").answers for mode in toy.modes}


def test_an_answer_without_a_closed_form_is_no_number_of_the_report(cells: Cells) -> None:
    assert (None, None) == (cells["no-form"]["gradient"], cells["no-form"]["gradient_error"])


def test_a_leak_follows_the_law_of_the_probe_input(cells: Cells) -> None:
    assert ["leak"] == cells["leaks"]["findings"]
    assert 1 == cells["leaks"]["update"]["count"]


def test_statistics_of_inputs_of_the_toolkits_own_are_a_leak_and_no_corruption(cells: Cells) -> None:
    assert ["leak"] == cells["leaks-of-its-own-inputs"]["findings"]


@pytest.mark.parametrize("mode", ["leaves-evaluation", "leaves-training"])
def test_a_flag_that_the_toolkit_leaves_otherwise_is_found(cells: Cells, mode: str) -> None:
    assert ["mode-left-changed"] == cells[mode]["findings"]


def test_a_flag_is_read_as_it_is_where_the_numbers_of_tensors_are_read_by_a_method() -> None:
    adapter = TextAdapter()
    adapter.expressions = {"array": "{}.detach().numpy()"}
    assert [True, False] == [bool(adapter.numpy(flag)) for flag in (True, False)]


def test_gradients_of_the_users_own_that_are_gone_are_found(cells: Cells) -> None:
    assert ["gradients-left"] == cells["clears-gradients"]["findings"]
    (evidence,) = cells["clears-gradients"]["evidence"]
    assert "scale.gradient (gone)" in evidence["detail"]


@pytest.mark.parametrize(
    ("mode", "findings"),
    [
        ("saves-moved-statistics", ["state-moved", "save-changed"]),
        ("saves-another-tensor", ["save-changed"]),
        ("cannot-be-copied", ["poisoned"]),
        ("refuses-a-second-derivative", ["poisoned"]),
        ("bends-a-second-derivative", ["order-dependent"]),
        ("starts-unpicklable", ["clean"]),
        ("leaks-and-saves", ["leak"]),
    ],
)
def test_what_a_network_is_to_its_users_later_is_looked_at(cells: Cells, mode: str, findings: list[str]) -> None:
    assert findings == cells[mode]["findings"], cells[mode]["evidence"]


def test_what_later_use_of_a_network_shows_is_said_in_the_evidence(cells: Cells) -> None:
    said = {
        "saves-moved-statistics": "prediction of a network made anew that loads the saved state",
        "saves-another-tensor": "does not load the state that was saved",
        "cannot-be-copied": "copying the network raised after gradient/first had returned",
        "refuses-a-second-derivative": "differentiating the gradient's norm raised",
        "bends-a-second-derivative": "gradient of the gradient's norm",
    }
    told = {mode: " | ".join(item["what"] for item in cells[mode]["evidence"]) for mode in said}
    assert dict.fromkeys(said, True) == {mode: text in told[mode] for mode, text in said.items()}, told
    assert "mask" in cells["saves-another-tensor"]["evidence"][0]["detail"]
    assert "the graph has been freed" in cells["refuses-a-second-derivative"]["evidence"][0]["detail"]


@pytest.mark.parametrize("mode", ["score-doubled", "bends-a-second-derivative"])
def test_the_cause_is_the_first_part_that_shows_it_whose_output_is_flattened_for_the_toolkit(
    cells: Cells, mode: str
) -> None:
    cause = cells[mode]["cause"]
    assert ("conv1", True) == (cause["node"], cause["first"])


def test_a_toolkit_is_not_asked_about_an_output_without_classes(toolkit: Runtime) -> None:
    network = prefix(networks.load("conv-norm"), "bn")
    (mode,) = (mode for mode in toolkit.modes if mode.name == "score")
    (target,) = targets([toolkit.name], {toolkit.name: toolkit}, everything=False)
    planned = planned_cell(target, mode, network, Scenario.GRADIENT, ["undisturbed"], 1)
    assert ((), True) == (planned.trials, "is asked about classes" in str(planned.refused))
    assert planned_cell(target, mode, as_vectors(network), Scenario.GRADIENT, ["undisturbed"], 1).trials


@pytest.mark.parametrize(("network", "refused"), [("dense", True), ("conv-norm", False)])
def test_a_call_about_a_convolution_is_not_asked_of_a_network_without_one(network: str, refused: bool) -> None:
    captum = catalog()["captum"]
    (target,) = targets(["captum"], {"captum": captum}, everything=False)

    def why(name: str) -> str | None:
        (mode,) = (mode for mode in captum.modes if mode.name == name)
        return planned_cell(target, mode, networks.load(network), Scenario.GRADIENT, ["undisturbed"], 1).refused

    assert (refused, None) == ("convolution" in (why("frozen.layer-grad-cam") or ""), why("frozen.saliency"))


def test_every_call_about_a_convolution_is_refused_where_there_is_none() -> None:
    """Of TorchRay the first convolution is looked up, and the last."""
    ray = catalog()["torchray"]
    (target,) = targets(["torchray"], {"torchray": ray}, everything=False)
    dense = networks.load("dense")
    planned = [planned_cell(target, mode, dense, Scenario.GRADIENT, ["undisturbed"], 1) for mode in ray.modes]
    refused = {one.mode.name.partition(".")[2] for one in planned if one.refused}
    assert {"excitation-backprop", "contrastive"} == refused


def test_a_convolution_along_one_axis_is_none_of_pictures() -> None:
    network = networks.load("conv-norm")
    graph = copy.deepcopy(network.graph)
    for node in graph["nodes"]:
        node["attributes"]["kernel_shape"] = [3]
    along_one = dataclasses.replace(network, graph=graph)
    assert (True, False) == (network.convolves_pictures, along_one.convolves_pictures)


@pytest.mark.parametrize(
    ("mode", "shows"),
    [
        ("saves-moved-statistics", ["prediction after", "prediction restored"]),
        ("cannot-be-copied", ["copy", "pickle", "prediction after"]),
        ("bends-a-second-derivative", ["differentiate-twice", "prediction after"]),
        ("score", ["prediction after"]),
        ("no-form", ["prediction after"]),
    ],
)
def test_a_script_shows_later_use_where_a_finding_rests_on_it(
    cells: Cells, toolkit: Runtime, tmp_path: Path, mode: str, shows: list[str]
) -> None:
    what = "answer first" if mode == "no-form" else "gradient first"
    prints = ["prediction before", what, *shows]
    output = printed(cells[mode], toolkit, tmp_path)
    lines = {text: line for line in output.splitlines() for text in prints if line.startswith(f"{text} ")}
    assert prints == list(lines), output
    assert all("generator" in line for text, line in lines.items() if text in ("copy", "pickle"))
    numbers = {text: line.partition("|")[0].split()[2:] for text, line in lines.items()}
    if "prediction restored" in numbers:
        assert numbers["prediction before"] == numbers["prediction after"] != numbers["prediction restored"]


@pytest.mark.parametrize(
    ("mode", "shows"),
    [
        ("leaves-training", ["before the call", "  bn: training=False", "after the call", "  bn: training=True"]),
        ("leaves-gradients", ["before the call", "after the call", "  scale: a gradient"]),
        ("clears-gradients", ["before the call", "  scale: a gradient", "after the call"]),
        ("score", []),
        ("leaks", []),
    ],
)
def test_a_script_shows_what_a_call_leaves_on_the_network(
    cells: Cells, toolkit: Runtime, tmp_path: Path, mode: str, shows: list[str]
) -> None:
    lines = printed(cells[mode], toolkit, tmp_path).splitlines()
    said = [line for line in lines if line.startswith(("before", "after", "  bn", "  scale"))]
    assert shows == said


def printed(cell: dict[str, Any], toolkit: Runtime, folder: Path) -> str:
    """What a cell's script prints."""
    script = folder / "leak.py"
    script.write_text("".join(composed(cell_of(cell), runtimes={toolkit.name: toolkit})))
    path = os.pathsep.join([str(FOLDER.parent / "toy"), str(FOLDER.parent.parent)])
    return subprocess.check_output([sys.executable, str(script)], cwd=folder, env={"PYTHONPATH": path}, text=True)


def test_gradients_that_the_toolkit_leaves_are_found(cells: Cells) -> None:
    assert ["gradients-left"] == cells["leaves-gradients"]["findings"]


@pytest.fixture(scope="module")
def interleaved(toolkit: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Cells:
    """The same calls between training steps."""
    folder = tmp_path_factory.mktemp("interleaved")
    job = Job(what=["toolkits"], networks=["conv-norm"], scenarios=["interleaved"], out=folder)
    run(job, SilentProgress(), {toolkit.name: toolkit})
    return cells_by_mode(folder)


@pytest.mark.parametrize("mode", ["score", "score-in-training", "loss", "keeps-gradients", "clears-gradients"])
def test_training_ends_where_it_ends_without_calls_that_leave_the_network_alone(interleaved: Cells, mode: str) -> None:
    assert ["clean"] == interleaved[mode]["findings"], interleaved[mode]["evidence"]


@pytest.mark.parametrize("mode", ["leaks", "leaves-evaluation", "leaves-training"])
def test_training_ends_elsewhere_where_statistics_or_flags_were_moved(interleaved: Cells, mode: str) -> None:
    assert "leak" in interleaved[mode]["findings"]
    assert "without the calls" in interleaved[mode]["evidence"][0]["what"]


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("dx = call(net, x)\n", []),
        ("dx = call(net, x, target=target)\n", ["target"]),
        ("dx = call(net, layer, x)\n", ["layer"]),
        ("dx = player(net, layers, x)\n", []),
    ],
)
def test_what_a_call_names_is_set_in_the_part_of_its_user(text: str, asked: list[str]) -> None:
    toolkit = Toolkit()
    toolkit.call("call", SILENT, text, answers="other", before="seed(0)\n")
    for mode, state in zip(toolkit, STATES.values(), strict=True):
        user, call = mode.parts
        assert (True, True, text) == (user.startswith(state.lines), user.endswith("seed(0)\n"), call)
        assert asked == [name for name in ("target", "layer") if f"\n{name} = " in user]


def test_states_and_target_are_those_of_the_toolkits_base() -> None:
    toolkit = Toolkit(states={"eval": State("", "", "inference")}, target="target = classes(cotangent)\n")
    toolkit.call("call", SILENT, "dx = call(net, x, target)\n", answers="other")
    toolkit.call("trained", SILENT, "dx = call(net, x, training=True)\n", answers="other", trains=True)
    call, trained = toolkit
    assert ("eval.call", "target = classes(cotangent)\n") == (call.name, call.parts[0])
    assert ("inference", "training") == (call.intent, trained.intent)


def test_an_older_release_has_its_own_call_after_the_same_lines_of_its_user() -> None:
    toolkit = Toolkit(once="import new\n")
    older = {"1.8.0": ("dx = one(net, x, target)\n", "import old\n")}
    toolkit.call("call", SILENT, "dx = all(net, x, target)\n", answers="loss", states=["frozen"], older=older)
    (mode,) = toolkit
    old, new = mode.in_release("1.8.0"), mode.in_release("2.0.0")
    assert (old.parts[0], "frozen") == (new.parts[0], new.starts)
    assert ("import old\n", "dx = one(net, x, target)\n") == (old.once, old.parts[1])
    assert ("import new\n", "dx = all(net, x, target)\n") == (new.once, new.parts[1])


def test_a_variant_on_another_release_of_the_base_has_that_ones_network() -> None:
    seed = networks.load("seed")
    subject = Subject(seed.graph, seed.weights, 1)
    runtime = catalog()["foolbox-mxnet"]
    release = next(release for release in runtime.releases if release.version == "0.9.6")
    plain, other = release.variants
    (mode,) = (mode for mode in runtime.modes if mode.name == "eval.symbol.gradient")
    older = dataclasses.replace(other, base="1.2.0")  # whose network begins with what stands in for its data loader
    sources = [source_of(runtime, release, variant, mode, subject) for variant in (plain, other, older)]
    assert [False, False, True] == ["dataloader" in source.imports for source in sources]


def test_a_base_that_is_not_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "releases.toml").write_text((FOLDER / "releases.toml").read_text().replace('"toy"', '"nowhere"'))
    (tmp_path / "modes.py").write_text("MODES = ()\n")
    with pytest.raises(CatalogError, match="nowhere"):
        load_runtime(tmp_path)


@pytest.mark.parametrize("runtime", [one for one in catalog().values() if one.base], ids=lambda one: one.name)
def test_each_release_names_a_release_of_its_base(runtime: Runtime) -> None:
    bases = {release.version for release in catalog()[runtime.base].releases}
    assert {release.base for release in runtime.releases} <= bases


@pytest.mark.parametrize("runtime", [one for one in catalog().values() if one.base], ids=lambda one: one.name)
def test_the_program_of_a_toolkits_call_has_the_convolution_that_it_may_be_about(runtime: Runtime) -> None:
    release = runtime.releases[-1]
    for mode in runtime.modes:
        text = program(runtime, release, release.variants[0], mode)
        ast.parse(text)
        assert "conv" in text.partition(mode.parts[1])[0].lower(), mode.name


#: Toolkits, a mode, and what was found by a script of the toolkit's own calls alone.
FOUND = [
    ("captum", "eval.saliency", {"clean"}),
    ("captum", "train.saliency", {"leak"}),
    ("captum", "eval.lrp", {"gradients-left"}),
    ("flashtorch", "eval.gradients", {"poisoned", "gradients-left"}),
    ("grad-cam", "train.grad-cam", {"gradients-left", "mode-left-changed"}),
    ("shap", "train.gradient-explainer", {"mode-left-changed"}),
    ("shap", "train.gradient-explainer-made-before", {"leak"}),
    # Its hooks stay, so that the network cannot be pickled.
    ("monai", "frozen.grad-cam", {"poisoned", "gradients-left", "mode-left-changed"}),
    ("torchinfo", "train.summary", {"clean"}),
    ("torchinfo", "frozen.summary", {"mode-left-changed"}),
    ("torchray", "frozen.gradient", {"mode-left-changed"}),
    ("torchsummary", "train.summary", {"leak"}),
]


@pytest.mark.large
@pytest.mark.parametrize(("name", "mode", "findings"), FOUND, ids=lambda value: value if isinstance(value, str) else "")
def test_the_newest_release_of_a_toolkit_does_what_it_does_without_crosscheck(
    tmp_path: Path, name: str, mode: str, findings: set[str]
) -> None:
    job = Job([f"{name}@newest"], networks=["conv-norm"], scenarios=["gradient"], modes=[mode], trials=1, out=tmp_path)
    run(job, SilentProgress())
    cell = cells_by_mode(tmp_path)[mode]
    assert findings == set(cell["findings"]), cell["evidence"]


#: Toolkits whose answers are tensors, and numpy's arrays; whose calls are about any network, and about a convolution.
SCRIPTED = [("captum", "eval.saliency"), ("shap", "train.gradient-explainer"), ("grad-cam", "eval.grad-cam")]


@pytest.mark.large
@pytest.mark.parametrize(("name", "mode"), SCRIPTED)
def test_a_toolkits_script_and_recipe_run_as_they_are(tmp_path: Path, name: str, mode: str) -> None:
    job = Job([f"{name}@newest"], networks=["conv-norm"], scenarios=["gradient"], modes=[mode], trials=1, out=tmp_path)
    run(job, SilentProgress())
    cell = cell_of(cells_by_mode(tmp_path)[mode])
    recipe = example(cell)
    assert recipe is not None
    for text, ends in (("".join(composed(cell)), "prediction after"), (recipe, "gradient first")):
        (line,) = (line for line in executed(text, name, tmp_path) if line.startswith(ends))
        assert np.isfinite(float(line.split()[2]))


def executed(text: str, name: str, folder: Path) -> list[str]:
    """The lines that a program prints in the environment of a toolkit's newest release."""
    release = catalog()[name].releases[-1]
    python = describe(catalog()[name], release, release.variants[0]).python
    (folder / "program.py").write_text(text)
    return subprocess.check_output([str(python), "-W", "ignore", "program.py"], cwd=folder, text=True).splitlines()


GRADIENTS = ["net0_batchnorm0_beta", "net0_batchnorm0_gamma"]
#: Toolkits on MXNet and on Keras, a mode, a network, and what differs before and after the call.
LEFT = [
    ("foolbox-mxnet", "gradients.gluon.gradient", "seed-batch", GRADIENTS, GRADIENTS),
    ("xplique", "eval.grad-cam", "conv-norm", [], ["conv2.call"]),
    ("tf-keras-vis", "eval.saliency.linear.no-clone", "seed-batch", [], ["bn.activation", "bn.activation"]),
]


@pytest.mark.large
@pytest.mark.parametrize(("name", "mode", "network", "before", "after"), LEFT)
def test_a_toolkits_script_names_what_its_call_leaves_on_networks_of_mxnet_and_keras(
    tmp_path: Path, name: str, mode: str, network: str, before: list[str], after: list[str]
) -> None:
    job = Job([f"{name}@newest"], networks=[network], scenarios=["gradient"], modes=[mode], trials=1, out=tmp_path)
    run(job, SilentProgress())
    lines = executed("".join(composed(cell_of(cells_by_mode(tmp_path)[mode]))), name, tmp_path)
    said = [line.partition(":")[0].strip() for line in lines if line.startswith(("before", "after", "  "))]
    assert ["before the call", *before, "after the call", *after] == said


#: Toolkit, release and variant, network -> mode -> findings.
SEEN = {
    ("foolbox-mxnet@2.4.0", "seed-batch"): {
        "eval.gluon.gradient": ["clean"],
        "gradients.gluon.gradient": ["gradients-left"],
        "eval.symbol.gradient": ["wrong-gradient"],
        "eval.gluon.fgsm": ["clean"],
    },
    # The last release before a change, and the first with it.
    ("torchattacks@2.13.3", "conv-norm"): {"eval.fgsm-made-before": ["mode-left-changed"]},
    ("torchattacks@3.2.7", "conv-norm"): {"eval.fgsm-made-before": ["clean"]},
    ("torchinfo@0.0.2", "conv-norm"): {"train.summary": ["leak"], "frozen.summary": ["clean"]},
    ("torchinfo@0.0.3", "conv-norm"): {"train.summary": ["clean"], "frozen.summary": ["mode-left-changed"]},
    # Until 1.2.0 attributes `input` and `output` stay on the activations.
    ("tangermeme@1.0.4", "conv-norm"): {"train.deep-lift-shap": ["gradients-left", "mode-left-changed"]},
    ("tangermeme@1.2.0", "conv-norm"): {"train.deep-lift-shap": ["gradients-left"]},
    ("adversarial-robustness-toolbox-mxnet@1.18.2", "seed-batch"): {
        "eval.loss-gradient": ["wrong-gradient"],
        "eval.class-gradient": ["wrong-gradient"],
        "eval.loss-gradient.training-mode-true": ["leak"],
    },
}


@pytest.mark.large
@pytest.mark.parametrize(("target", "network"), SEEN)
def test_what_toolkits_do_to_a_network(target: str, network: str, tmp_path: Path) -> None:
    expected = SEEN[target, network]
    job = Job(what=[target], modes=list(expected), networks=[network], scenarios=["gradient"], trials=1, out=tmp_path)
    run(job, SilentProgress(), catalog())
    assert expected == {mode: cell["findings"] for mode, cell in cells_by_mode(tmp_path).items()}


@pytest.mark.large
def test_the_toolkit_of_2017_destroys_the_statistics(tmp_path: Path) -> None:
    """What else it shows is chance: the gradient is memory that nobody wrote."""
    target, mode = "foolbox-mxnet@0.9.6+mxnet-0.9.5.post2", "eval.symbol.gradient"
    run(Job([target], modes=[mode], networks=["seed-batch"], scenarios=["gradient"], trials=1, out=tmp_path))
    assert {"leak", "corrupted"} <= set(cells_by_mode(tmp_path)[mode]["findings"])


class Noted(Adapter):
    """Keeps the cotangents of calls and of training steps."""

    def __init__(self) -> None:
        self.given: list[np.ndarray[Any, np.dtype[Any]]] = []

    def build(self, network: Network, mode: str, shares: Any = None) -> Any:
        return network

    def predict(self, model: Any, x: Any) -> Any:
        return x

    def start(self, model: Any, x: Any, cotangent: Any, mode: str) -> None:
        self.given.append(cotangent)

    def explain(self, model: Any, x: Any, cotangent: Any, mode: str) -> Any:
        self.given.append(cotangent)
        return x

    def train(self, model: Any, x: Any, cotangent: Any) -> None:
        self.given.append(cotangent)


@pytest.mark.parametrize(("answers", "key"), [("", "cotangent"), ("score", "classes"), ("loss", "classes")])
def test_training_steps_lower_what_the_call_is_asked_about_as_in_scripts(
    answers: str, key: str, tmp_path: Path
) -> None:
    inputs = {name: np.full((1, 2), number) for number, name in enumerate(("x", "cotangent", "classes"))}
    network = Network({}, {}, {}, 1, "", "", {"network/tested": None})
    modes = {"tested": {"name": "call", "asks": "gradient", "answers": answers}}
    adapter = Noted()
    todo = steps(Scenario.INTERLEAVED, "undisturbed", list(modes))
    with contextlib.closing(Recorder(str(tmp_path))) as recorder:
        Trial(adapter, recorder, modes, {"network": network}, inputs).run(todo)
    assert [inputs[key].tolist()] * 5 == [given.tolist() for given in adapter.given]
