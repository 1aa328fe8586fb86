"""Static programs: a layer adds its operators to a program, which an executor runs.

Each program is made under `unique_name.guard()`, so that all have the same variables. `network` is the layer of the
mode's own program; the names `net`, `main` and `output` belong to the program for testing, which predicts.
"""

from __future__ import annotations

from typing import Any

from crosscheck.runtimes.mode import Contracts, Modes

contracts = Contracts(__file__)

PROGRAMS = Modes(inference="static.eval.gradients", training="static.train.gradients", kind="static", since="2.0.0")

SEED = '    seed = static.data("cotangent", (None,) + cotangent.shape[1:], "float32")\n'
GRADIENT = "    gradient, = static.gradients([logits], [image], [seed])\n"
DX = 'dx, = exe.run(program, feed={"x": x, "cotangent": cotangent}, fetch_list=[gradient])\n'
Y = 'y, = exe.run(program, feed={"x": x}, fetch_list=[logits])\n'


def made(arguments: str, half: str, differentiable: bool = False) -> str:
    """The program of a network that is told more, in training or evaluation."""
    return (
        "program = static.Program()\n"
        "with static.program_guard(program), paddle.utils.unique_name.guard():\n"
        '    image = static.data("x", (None,) + x.shape[1:], "float32")\n'
        + ("    image.stop_gradient = False\n" if differentiable else "")
        + f"    network = Net({arguments})\n    network.{half}()\n    logits = network(image)\n"
        + (SEED if differentiable else "")
    )


for name, intent, half, told, contract in (
    ("train", "training", "train", None, contracts.STATIC_TRAINING),
    ("eval", "inference", "eval", None, contracts.STATIC_TEST),
    ("global-stats", "inference", "train", True, contracts.STATIC_GLOBAL),
    ("batch-stats-eval", "training", "eval", False, contracts.MINI_BATCH),
):
    arguments = "" if told is None else f"use_global_stats={told}"
    norm: dict[str, Any] = {} if told is None else {"use_global_stats": told}
    PROGRAMS.gradient(
        f"static.{name}.gradients",
        intent,
        contract,
        DX,
        once=made(arguments, half, differentiable=True) + GRADIENT,
        default=name != "batch-stats-eval",
    )
    PROGRAMS.prediction(
        f"static.{name}.run",
        intent,
        contract,
        Y,
        once=made(arguments, half),
        norm=norm,
        default=name == "eval",
    )
PROGRAMS.gradient(
    "static.clone-for-test.gradients",
    "inference",
    contracts.CLONED,
    DX,
    once=made("", "train", differentiable=True)
    + """\
program = program.clone(for_test=True)
block = program.global_block()
with static.program_guard(program):
    ends = block.var(logits.name), block.var("x"), block.var("cotangent")
    gradient, = static.gradients([ends[0]], [ends[1]], [ends[2]])
""",
)
PROGRAMS.prediction(
    "static.clone-for-test.run",
    "inference",
    contracts.CLONED,
    Y,
    once=made("", "train")
    + "program = program.clone(for_test=True)\nlogits = program.global_block().var(logits.name)\n",
    kind="static.clone",
)
PROGRAMS.export(
    "export.static-model",
    "inference",
    contracts.STATIC_SAVED,
    """\
static.save_inference_model("network", [image], [logits], exe, program=program)
---
scope = static.Scope()
with static.scope_guard(scope):
    main, feeds, fetches = static.load_inference_model("network", exe)
""",
    once=made("", "train"),
    predict="with static.scope_guard(scope):\n    y, = exe.run(main, feed={feeds[0]: x}, fetch_list=fetches)\n",
)
