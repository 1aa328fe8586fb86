"""Recipes: selection of calls for ranges of releases, on the page and in `crosscheck recipe`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from crosscheck.environments.environment import describe
from crosscheck.job import Job, run
from crosscheck.records.versions import run_of
from crosscheck.report import write
from crosscheck.report.reading import read_cells, read_run
from crosscheck.report.recipes import Recipe, recipes
from crosscheck.runtimes.catalog import catalog
from tests.conftest import SilentProgress
from tests.test_cli import crosscheck
from tests.test_report import Page, make_cell, make_run, saved, unmeasured_cell

RUN = run_of(make_run())
RELEASES = ("0.9.5.post2", "0.11.0", "1.2.0", "1.9.1")
CLEAN = ("clean",)
HOSTILE = "</code><script>alert('x')</script><img src=x onerror=alert(1)>[red]\x1b[31m"


def asked(release: str, mode: str, findings: tuple[str, ...] = CLEAN, **fields: Any) -> dict[str, Any]:
    """A cell of an inference-mode gradient in MXNet; its call is as long as the mode's name."""
    return make_cell(release, mode, findings=findings, **{"intent": "inference", "call": mode, **fields})


def found(tmp_path: Path, lines: list[dict[str, Any]], intent: str = "inference") -> tuple[Recipe, ...]:
    (book,) = recipes(RUN, read_cells(saved(tmp_path, lines)))
    return next(of.ranges for of in book.recipes if of.intent == intent)


def brief(ranges: tuple[Recipe, ...]) -> list[tuple[str, str, str, bool]]:
    return [(recipe.releases[0], recipe.releases[-1], recipe.mode, recipe.safe) for recipe in ranges]


def test_ranges_are_as_long_as_possible_and_newest_first(tmp_path: Path) -> None:
    lines = [asked(release, "long-but-clean") for release in RELEASES[1:]]
    lines += [asked("1.9.1", "short"), asked("1.2.0", "short", ("leak",)), asked("0.9.5.post2", "short")]
    ranges = found(tmp_path, lines)
    assert [("0.11.0", "1.9.1", "long-but-clean", True), ("0.9.5.post2", "0.9.5.post2", "short", True)] == brief(ranges)
    assert RELEASES[1:] == ranges[0].releases


def test_the_shortest_of_equal_ranges_wins_and_others_are_named(tmp_path: Path) -> None:
    lines = [asked("1.9.1", "much-longer"), asked("1.9.1", "short"), asked("1.9.1", "s", ("leak",))]
    (recipe,) = found(tmp_path, lines)
    assert ("short", "short", ("much-longer",)) == (recipe.mode, recipe.code, recipe.also)


@pytest.mark.parametrize(
    "spoilt",
    [
        asked("1.9.1", "mode", ("state-moved",), network="digits"),
        asked("1.9.1", "mode", ("leak",), scenario="twenty"),
        asked("1.9.1", "mode", CLEAN, network="digits", status="crashed"),
    ],
)
def test_one_unclean_cell_prevents_a_recipe(tmp_path: Path, spoilt: dict[str, Any]) -> None:
    assert [("1.9.1", "1.9.1", "mode", True)] == brief(found(tmp_path, [asked("1.9.1", "mode")]))
    assert [("1.9.1", "1.9.1", "mode", False)] == brief(found(tmp_path, [asked("1.9.1", "mode"), spoilt]))


def test_the_answer_names_the_runtime_that_has_no_recipe(tmp_path: Path) -> None:
    lines = [asked("1.9.1", "mode"), asked("1.0.0", "other", ("leak",), runtime="onnxruntime")]
    page = Page(write(saved(tmp_path, lines)).read_text())
    assert "1 of 2 runtimes (all but ONNX Runtime) have a call that computes an inference-mode gradient" in page.words


def test_a_toolkits_call_is_a_recipe_but_no_gradient_that_is_counted(tmp_path: Path) -> None:
    facts = make_run()
    facts["runtimes"]["onnxruntime"]["base"] = "torch"
    lines = [asked("1.9.1", "mode"), asked("1.20.1", "mode", runtime="onnxruntime")]
    page = Page(write(saved(tmp_path, lines, facts)).read_text())
    assert "Every runtime has a call that computes an inference-mode gradient" in page.words
    assert "of 2 runtimes" not in page.words
    books = {book.runtime: book for book in recipes(run_of(facts), read_cells(tmp_path / "cells.jsonl"))}
    assert ("", "torch") == (books["mxnet"].base, books["onnxruntime"].base)
    assert all(of.ranges[0].safe for book in books.values() for of in book.recipes if of.intent == "inference")


def test_a_toolkits_recipe_is_its_default_call_in_a_state_that_is_safe(tmp_path: Path) -> None:
    facts = make_run()
    facts["runtimes"]["mxnet"]["base"] = "torch"
    lines = [asked("1.9.1", mode) for mode in ("eval.lrp", "eval.saliency", "frozen.saliency")]
    lines += [asked("1.9.1", "train.saliency", ("leak",), intent="training", default_call=True)]
    lines += [asked("1.9.1", "train.lrp", ("leak",), intent="training")]

    def chosen() -> dict[str, str]:
        (book,) = recipes(run_of(facts), read_cells(saved(tmp_path, lines, facts)))
        return {of.intent: of.ranges[0].mode for of in book.recipes}

    assert {"inference": "eval.saliency", "training": "train.saliency"} == chosen()
    for line in lines[1:3]:
        line["findings"] = ["state-moved"]
    assert "eval.lrp" == chosen()["inference"]


def test_gradients_that_the_user_keeps_are_no_gradients_that_a_recipe_clears(tmp_path: Path) -> None:
    facts = make_run()
    states = ("eval", "frozen", "gradients")
    modes = [
        {"name": f"{state}.fgsm", "intent": "inference", "asks": "gradient", "call": "", "starts": state}
        for state in states
    ]
    facts["runtimes"]["mxnet"] |= {"base": "torch", "clears": "net.zero_grad()", "modes": modes}
    lines = [asked("1.9.1", f"{state}.fgsm", ("gradients-left",)) for state in states]
    (book,) = recipes(run_of(facts), read_cells(saved(tmp_path, lines, facts)))
    ((recipe,),) = (of.ranges for of in book.recipes if of.intent == "inference")
    assert ("eval.fgsm", True, ("frozen.fgsm",)) == (recipe.mode, recipe.safe, recipe.also)
    assert recipe.code.endswith("\nnet.zero_grad()\n")
    shown = crosscheck("recipe", "mxnet", "--out", str(tmp_path)).stdout
    assert "likewise: frozen.fgsm" in shown
    assert "gradients.fgsm" not in shown


def test_variants_do_not_affect_recipes(tmp_path: Path) -> None:
    lines = [asked("1.9.1", "mode"), asked("1.9.1", "mode", ("leak",), variant="naive-engine")]
    assert [("1.9.1", "1.9.1", "mode", True)] == brief(found(tmp_path, lines))


def test_without_a_recipe_the_least_harmful_mode_is_shown(tmp_path: Path) -> None:
    ways = {"wrong": ("wrong-gradient",), "leaks": ("leak",), "moves": ("state-moved",), "worse": ("poisoned",)}
    lines = [asked(release, mode, findings) for release in RELEASES for mode, findings in ways.items()]
    (recipe,) = found(tmp_path, [*lines, asked("1.9.1", "rare", ("input-written",))])
    assert ("0.9.5.post2", "1.9.1", "moves", False) == brief((recipe,))[0]
    assert ("state-moved",) == recipe.shows


def test_a_mode_refused_on_most_networks_is_no_recipe(tmp_path: Path) -> None:
    lines = [
        asked("1.9.1", "plain-only", network="digits-plain"),
        *(unmeasured_cell("refused", release="1.9.1", mode="plain-only", network=name) for name in ("seed", "digits")),
        *(asked("1.9.1", "all", ("leak",), network=name) for name in ("seed", "digits", "digits-plain")),
    ]
    for line in lines:
        line["intent"] = "inference"
    (recipe,) = found(tmp_path, lines)
    assert ("all", False, ("leak",)) == (recipe.mode, recipe.safe, recipe.shows)


@pytest.mark.parametrize("findings", [(), ("gradients-left",)])
def test_networks_in_which_no_leak_can_be_seen_count_as_not_measured(tmp_path: Path, findings: tuple[str, ...]) -> None:
    unseen = "a leak cannot be seen in this network: every batch normalization keeps its old statistics (momentum 1)"
    blind = [asked("1.9.1", "eval", findings, network=name, undecided=unseen) for name in ("one", "two")]
    assert () == recipes(RUN, read_cells(saved(tmp_path, blind)))
    (recipe,) = found(tmp_path, [asked("1.9.1", "eval", network=name) for name in ("conv", "dense")] + blind[:1])
    assert (True, ("conv", "dense"), ("one",)) == (recipe.safe, recipe.networks, recipe.unmeasured)


def test_harm_counts_where_no_leak_could_be_seen(tmp_path: Path) -> None:
    lines = [asked("1.9.1", "eval"), asked("1.9.1", "eval", ("wrong-gradient",), network="one", undecided="not seen")]
    assert [False] == [recipe.safe for recipe in found(tmp_path, lines)]


def test_a_recipe_lists_measured_and_unmeasured_networks(tmp_path: Path) -> None:
    lines = [asked("1.9.1", "mode", network=name) for name in ("seed", "digits")]
    lines.append(unmeasured_cell("timed-out", release="1.9.1", mode="mode", network="digits-plain", intent="inference"))
    (recipe,) = found(tmp_path, lines)
    assert (True, ("seed", "digits"), ("digits-plain",)) == (recipe.safe, recipe.networks, recipe.unmeasured)


@pytest.mark.parametrize(
    ("form", "command"),
    [
        ("opset-15", "$ crosscheck gradient model.onnx -o opset-15-gradient.onnx\n"),
        ("opset-15-batch", "$ crosscheck gradient model.onnx -o opset-15-batch-gradient.onnx --training\n"),
    ],
)
def test_a_gradient_file_is_preceded_by_its_command(tmp_path: Path, form: str, command: str) -> None:
    call = f'run("{form}-gradient.onnx")'
    (recipe,) = found(tmp_path, [asked("1.9.1", form, call=call)])
    assert (True, command + call) == (recipe.safe, recipe.code)


def test_a_gradient_file_without_a_command_is_no_recipe(tmp_path: Path) -> None:
    (recipe,) = found(tmp_path, [asked("1.9.1", "fed", call='run("opset-15-fed-gradient.onnx")')])
    assert not recipe.safe


def test_networks_without_readable_tensors_are_named(tmp_path: Path) -> None:
    lines = [asked("1.9.1", "mode"), asked("1.9.1", "mode", network="digits", state_changes={})]
    (recipe,) = found(tmp_path, lines)
    assert (True, ("digits",)) == (recipe.safe, recipe.unread)
    printed = crosscheck("recipe", "--out", str(tmp_path)).stdout
    unread = "on digits no persistent tensor is readable, but no later prediction changed;"
    assert f"is unchanged, statistics up to four roundings; {unread}" in printed


def test_a_mode_that_leaves_scales_out_is_no_recipe(tmp_path: Path) -> None:
    run = make_run()
    told = {"name": "fixed", "intent": "inference", "asks": "gradient", "call": "", "unit_scale": True}
    run["runtimes"]["mxnet"]["modes"].append(told)
    lines = [asked("1.9.1", "fixed"), asked("1.9.1", "longer-mode")]
    (book,) = recipes(run_of(run), read_cells(saved(tmp_path, lines)))
    assert [("1.9.1", "1.9.1", "longer-mode", True)] == brief(book.recipes[0].ranges)


def test_few_of_many_other_modes_are_named(tmp_path: Path) -> None:
    saved(tmp_path, [asked("1.9.1", f"way-{letter}") for letter in "abcdefg"])
    printed = crosscheck("recipe", "--out", str(tmp_path)).stdout
    assert "also clean: way-b, way-c, way-d, way-e and 2 more" in printed


def test_intents_are_separate_and_may_be_unmeasured(tmp_path: Path) -> None:
    lines = [make_cell("1.9.1", intent="training"), make_cell("1.9.1", "predict", asks="prediction", findings=CLEAN)]
    assert () == found(tmp_path, lines)
    assert [("1.9.1", "1.9.1", "executor.train.train", False)] == brief(found(tmp_path, lines, "training"))


def lines_of_a_run() -> list[dict[str, Any]]:
    return [
        *(make_cell(release) for release in RELEASES[1:]),
        *(asked(release, "executor.eval.eval", call="net.forward()\n    net.backward()") for release in RELEASES[1:]),
    ]


def test_the_page_shows_code_and_range(tmp_path: Path) -> None:
    html = write(saved(tmp_path, lines_of_a_run())).read_text(encoding="utf-8")
    page = Page(html)
    text = " ".join(page.text.split())
    assert "0.11.0 to 1.9.1 (3 releases measured): ✓ clean by executor.eval.eval." in text
    assert (
        "0.11.0 to 1.9.1 (3 releases measured): no recipe among the 1 mode measured. executor.train.train shows L leak:"
        in text
    )
    assert "<code>net.forward()\n    net.backward()</code>" in html


def test_the_command_prints_plain_text_when_piped(tmp_path: Path) -> None:
    saved(tmp_path, lines_of_a_run())
    done = crosscheck("recipe", "mxnet", "--out", str(tmp_path))
    assert (0, "") == (done.returncode, done.stderr)
    lines = done.stdout.splitlines()
    assert [
        "Apache MXNet",
        "  gradient in inference mode",
        "    0.11.0 to 1.9.1 (3 releases measured): executor.eval.eval is clean",
        "        import numpy as np",
        "        import mxnet as mx",
    ] == lines[:5]
    assert "        net.backward([cotangent], is_train=False)" in lines
    assert [
        "      measured on seed, in gradient; every persistent tensor is unchanged, statistics up to four roundings; "
        "documented: statistics stay",
        "  gradient in training mode",
        "    0.11.0 to 1.9.1 (3 releases measured): no recipe among the one mode measured; "
        "executor.train.train shows leak",
    ] == lines[lines.index("  gradient in training mode") - 1 :][:3]
    assert done.stdout == crosscheck("recipe", "--out", str(tmp_path)).stdout


def test_hostile_calls_are_escaped(tmp_path: Path) -> None:
    saved(tmp_path, [asked("1.9.1", "mode", call=HOSTILE)])
    page = Page(write(tmp_path).read_text(encoding="utf-8"))
    assert not [tag for tag, _ in page.tags if tag == "img"]
    printed = crosscheck("recipe", "--out", str(tmp_path)).stdout
    assert "        " + HOSTILE.replace("\x1b", "\N{REPLACEMENT CHARACTER}") in printed.splitlines()


#: Runs a recipe on one batch normalization of two channels; prints whether any bit changed, and the error of the
#: gradient against the closed form.
CARRIED_OUT = """
import json, sys
import chainer
import numpy as np

net = chainer.Sequential(chainer.links.BatchNormalization(2))
norm = net[0]
values = np.random.RandomState(0).randn(4, 2).astype(np.float32)
weights = np.arange(8, dtype=np.float32).reshape(4, 2)
x = chainer.Variable(values)
cotangent = chainer.Variable(weights)
code = sys.stdin.read()

def bits():
    tensors = [norm.avg_mean, norm.avg_var, np.array(norm.N), norm.gamma.array, norm.beta.array]
    return [tensor.tobytes() for tensor in tensors] + [parameter.grad is None for parameter in net.params()]

before = bits()
exec(code)
scale = 1 / np.sqrt(values.var(0) + norm.eps)
centred = (values - values.mean(0)) * scale
forms = {
    "inference": weights / np.sqrt(1 + norm.eps),
    "training": scale * (weights - weights.mean(0) - centred * (weights * centred).mean(0)),
}
dx = globals().get("dx", x.grad_var).array
print(json.dumps([bits() == before, float(abs(dx - forms[sys.argv[1]]).max())]))
"""


@pytest.mark.parametrize("intent", ["inference", "training"])
def test_a_measured_recipe_runs_when_pasted(intent: str, tmp_path: Path) -> None:
    modes = ["eval.grad", "default.grad", "copy-copy.backward"]
    run(Job(["chainer"], networks=["seed-batch"], modes=modes, scenarios=["gradient"], out=tmp_path), SilentProgress())
    (book,) = recipes(read_run(tmp_path / "run.json", []), read_cells(tmp_path))
    (recipe,) = next(of.ranges for of in book.recipes if of.intent == intent)
    assert (True, ()) == (recipe.safe, recipe.unread)
    chainer = catalog()["chainer"]
    release = chainer.releases[-1]
    python = describe(chainer, release, release.variants[0]).python
    command = [str(python), "-W", "ignore", "-c", CARRIED_OUT, intent]
    done = subprocess.run(command, input=recipe.code, capture_output=True, text=True)
    assert 0 == done.returncode, done.stderr
    unchanged, error = json.loads(done.stdout)
    assert unchanged
    assert error < 1e-5


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["recipe", "mxnet", "--out", "nowhere"], "`crosscheck run mxnet --out nowhere` makes one"),
        (["recipe", "mxnett"], "Did you mean mxnet"),
        (["recipe", "openvino"], "`crosscheck run openvino --out crosscheck-out` measures one"),
        (["recipe", "onnxruntime"], "could measure no gradient of onnxruntime"),
    ],
)
def test_missing_measurements_name_the_command(words: list[str], near: str, tmp_path: Path) -> None:
    (tmp_path / "crosscheck-out").mkdir()
    refused = unmeasured_cell("refused", "no", release="1.0.0", runtime="onnxruntime")
    saved(tmp_path / "crosscheck-out", [make_cell(), refused])
    done = crosscheck(*words, cwd=tmp_path)
    assert (2, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n"))
    assert near in done.stderr


def test_a_run_without_gradients_is_reported(tmp_path: Path) -> None:
    saved(tmp_path, [make_cell(mode="predict", asks="prediction", findings=CLEAN)])
    done = crosscheck("recipe", "--out", str(tmp_path))
    assert 2 == done.returncode
    assert "measured no gradient" in done.stderr
