"""Static programs as fluid's users write them: functions that add an operator and its variables, told `is_test`.

Variables have the graph's names, so all programs share them. The names `main` and `output` belong to the program for
testing, which predicts.
"""

from __future__ import annotations

from typing import Any

from crosscheck.runtimes.mode import Contract, Contracts, Modes

contracts = Contracts(__file__)

FLUID_PROGRAMS = Modes(
    inference="fluid.program.global-stats.gradients",
    training="fluid.program.train.gradients",
    kind="fluid.program",
    until="1.8.5",
)

SEED = '    seed = fluid.data("cotangent", (None,) + cotangent.shape[1:], "float32")\n'
GRADIENT = "    gradient, = fluid.gradients([logits], [image], [seed])\n"
DX = 'dx, = exe.run(program, feed={"x": x, "cotangent": cotangent}, fetch_list=[gradient])\n'
Y = 'y, = exe.run(program, feed={"x": x}, fetch_list=[logits])\n'


def made(arguments: str, differentiable: bool = False) -> str:
    """The program of a network that is told more."""
    return (
        "program = fluid.Program()\n"
        "with fluid.program_guard(program):\n"
        '    image = fluid.data("x", (None,) + x.shape[1:], "float32")\n'
        + ("    image.stop_gradient = False\n" if differentiable else "")
        + f"    logits = network(image{arguments})\n"
        + (SEED if differentiable else "")
    )


def gradient(name: str, intent: str, contract: Contract, once: str, text: str = DX, **more: Any) -> None:
    """Run a program with the gradient; one call does forward and backward."""
    FLUID_PROGRAMS.gradient(f"fluid.program.{name}", intent, contract, text, once=once, **more)


def prediction(name: str, intent: str, contract: Contract, once: str, **more: Any) -> None:
    """Run a program without."""
    FLUID_PROGRAMS.prediction(f"fluid.program.{name}.run", intent, contract, Y, once=once, **more)


for name, intent, arguments, norm, contract in (
    ("train", "training", "", {}, contracts.FLUID_STATIC_TRAINING),
    ("is-test", "inference", ", is_test=True", {}, contracts.FLUID_STATIC_TEST),
    ("global-stats", "inference", ", use_global_stats=True", {"use_global_stats": True}, contracts.FLUID_STATIC_GLOBAL),
):
    gradient(f"{name}.gradients", intent, contract, made(arguments, differentiable=True) + GRADIENT, default=True)
    prediction(name, intent, contract, made(arguments), norm=norm, default=name == "is-test")

gradient(
    "clone-for-test.gradients",
    "inference",
    contracts.FLUID_CLONED,
    made("", differentiable=True)
    + """\
program = program.clone(for_test=True)
block = program.global_block()
with fluid.program_guard(program):
    ends = block.var(logits.name), block.var("x"), block.var("cotangent")
    gradient, = fluid.gradients([ends[0]], [ends[1]], [ends[2]])
""",
    default=True,
)
prediction(
    "clone-for-test",
    "inference",
    contracts.FLUID_CLONED,
    made("") + "program = program.clone(for_test=True)\nlogits = program.global_block().var(logits.name)\n",
    kind="fluid.program.clone",
)
gradient(
    "append-backward",
    "training",
    contracts.FLUID_STATIC_TRAINING,
    made("", differentiable=True)
    + "    loss = fluid.layers.reduce_sum(logits * seed)\n    fluid.backward.append_backward(loss)\n",
    'dx, = exe.run(program, feed={"x": x, "cotangent": cotangent}, fetch_list=["x@GRAD"])\n',
)

FLUID_PROGRAMS.export(
    "export.inference-model",
    "inference",
    contracts.INFERENCE_MODEL,
    """\
fluid.io.save_inference_model("network", ["x"], [logits], exe, program)
---
scope = fluid.Scope()
with fluid.scope_guard(scope):
    main, feeds, fetches = fluid.io.load_inference_model("network", exe)
""",
    once=made(""),
    predict="with fluid.scope_guard(scope):\n    y, = exe.run(main, feed={feeds[0]: x}, fetch_list=fetches)\n",
    default=True,
)
for intent, arguments in (("inference", ", is_test=True"), ("training", "")):
    FLUID_PROGRAMS.export(
        f"export.onnx.program.{'eval' if intent == 'inference' else 'train'}",
        intent,
        contracts.PROGRAM_TO_ONNX,
        """\
fluid.io.save_inference_model("saved", ["x"], [logits], exe, program)
program2onnx("saved", "network.onnx", opset_version=11)
""",
        once="from paddle2onnx.command import program2onnx\n\n" + made(arguments),
        file=True,
    )
