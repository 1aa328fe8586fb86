"""Static programs as fluid's users write them: functions that add an operator and its variables, told `is_test`."""

import importlib
import os
from typing import Any, Callable, Dict, List, Mapping

from crosscheck.probe.modes import INTENT, Call, Norm, Table
from crosscheck.runtimes.paddle import contracts
from crosscheck.runtimes.paddle.fluid_networks import KIT, flat, window
from crosscheck.runtimes.paddle.networks import padding
from crosscheck.runtimes.paddle.programs import Loaded, Program, Programs, gradient, prediction

TABLE = Table(
    inference="fluid.program.global-stats.gradients",
    training="fluid.program.train.gradients",
    until="1.8.5",
    kind="static",
)

HEAD = "with fluid.program_guard(main, startup):\n    y = network(x)  # with fluid.layers.batch_norm({})\n"
TAIL = "    dx, = fluid.gradients([y], [x], [c])\nexe.run(main, feed={'x': x, 'c': cotangent}, fetch_list=[dx])"
FETCH = "exe.run(main, feed={'x': x}, fetch_list=[y])"


class FluidPrograms(Programs):
    """Variables have the graph's names, so all programs share them."""

    kit = KIT

    def run(self, program: Program, feeds: Mapping[str, Any], fetch: List[Any]) -> Any:
        """What the executor fetches. Its errors begin with two call stacks; what is wrong comes after them."""
        try:
            return Programs.run(self, program, feeds, fetch)
        except self.paddle.core.EnforceNotMet as problem:
            raise RuntimeError(str(problem).rpartition("Error Message Summary:")[2].strip("\n- "))

    def layer(self, node: Mapping[str, Any], rank: int, x: Any, norm: Norm, half: str) -> Any:
        """What a node with parameters puts out."""
        names = node["inputs"][1:]
        self.names.update((name, name) for name in names)
        words = dict(norm, is_test=True) if half == "eval" else norm
        weights = [self.weights[name] for name in names]
        return LAYERS[node["op"]](self.paddle, node["attributes"], weights, names, x, words)


def named(fluid: Any, names: List[str]) -> Dict[str, Any]:
    """The names of a layer's first two parameters; it has no second one where there is no name for it."""
    return {
        "param_attr": fluid.ParamAttr(name=names[0]),
        "bias_attr": fluid.ParamAttr(name=names[1]) if len(names) > 1 else False,
    }


def convolution(fluid: Any, attributes: Mapping[str, Any], weights: Any, names: Any, x: Any, norm: Norm) -> Any:
    """`layers.conv2d`."""
    flat(attributes, "Conv")
    return fluid.layers.conv2d(
        x, len(weights[0]), padding=padding(attributes["pads"]), **dict(window(attributes), **named(fluid, names))
    )


def dense(fluid: Any, attributes: Mapping[str, Any], weights: Any, names: Any, x: Any, norm: Norm) -> Any:
    """`layers.fc`, whose weight is (in, out)."""
    return fluid.layers.fc(x, len(weights[0]), **named(fluid, names))


def batch_norm(fluid: Any, attributes: Mapping[str, Any], weights: Any, names: Any, x: Any, norm: Norm) -> Any:
    """`layers.batch_norm`, whose momentum is ONNX's."""
    return fluid.layers.batch_norm(
        x,
        momentum=attributes["momentum"],
        epsilon=attributes["epsilon"],
        moving_mean_name=names[2],
        moving_variance_name=names[3],
        **dict(norm, **named(fluid, names)),
    )


#: Operator -> what adds it: (fluid, attributes, weights, their names, x, norm) -> y.
LAYERS: Dict[str, Callable[..., Any]] = {"BatchNormalization": batch_norm, "Conv": convolution, "Gemm": dense}


for name, intent, half, norm, contract in (
    ("train", "training", "train", {}, contracts.FLUID_STATIC_TRAINING),
    ("is-test", "inference", "eval", {}, contracts.FLUID_STATIC_TEST),
    ("global-stats", "inference", "train", {"use_global_stats": True}, contracts.FLUID_STATIC_GLOBAL),
):
    told = {"train": "", "is-test": "is_test=True", "global-stats": "use_global_stats=True"}[name]
    TABLE.mode(
        "fluid.program.{}.gradients".format(name),
        intent,
        HEAD.format(told) + TAIL,
        contract,
        default=True,
    )(gradient(norm, half))
    TABLE.mode(
        "fluid.program.{}.run".format(name),
        intent,
        HEAD.format(told) + FETCH,
        contract,
        "prediction",
        default=name == "is-test",
    )(prediction(norm, half))
CLONE = "main = main.clone(for_test=True)\n"
TABLE.mode(
    "fluid.program.clone-for-test.gradients",
    "inference",
    HEAD.format("") + CLONE + "with fluid.program_guard(main):\n" + TAIL,
    contracts.FLUID_CLONED,
    default=True,
)(gradient({}, "train", clone=True))
TABLE.mode(
    "fluid.program.clone-for-test.run",
    "inference",
    HEAD.format("") + CLONE + FETCH,
    contracts.FLUID_CLONED,
    "prediction",
)(prediction({}, "train", clone=True))


def append_backward(fluid: Any, y: Any, x: Any, c: Any) -> Any:
    """The gradients of a loss by everything, as optimizers ask for them; that by the input is fetched by its name."""
    fluid.backward.append_backward(fluid.layers.reduce_sum(y * c))
    return fluid.framework.grad_var_name(x.name)


TABLE.mode(
    "fluid.program.append-backward",
    "training",
    HEAD.format("")
    + "    loss = fluid.layers.reduce_sum(y * c)\n    fluid.backward.append_backward(loss)\n"
    + "exe.run(main, feed={'x': x, 'c': cotangent}, fetch_list=['x@GRAD'])",
    contracts.FLUID_STATIC_TRAINING,
)(gradient({}, "train", append_backward))


@TABLE.mode(
    "export.inference-model",
    "inference",
    "fluid.io.save_inference_model(path, ['x'], [y], exe, main)\nfluid.io.load_inference_model(path, exe)",
    contracts.INFERENCE_MODEL,
    "export",
    default=True,
)
def inference_model(fluid: Any, programs: FluidPrograms, folder: str) -> Loaded:
    """What leads to the output in the training program, to files and back."""
    program = programs.program({}, "train")
    y = program.values[programs.graph["outputs"][0]["name"]]
    with fluid.scope_guard(programs.scope):
        fluid.io.save_inference_model(folder, ["x"], [y], programs.executor, program.main)
    return Loaded(fluid, programs.executor, lambda: fluid.io.load_inference_model(folder, programs.executor))


def onnx(half: str) -> Call:
    """The inference model, then `paddle2onnx` of its folder, which is what its command line calls."""

    def call(fluid: Any, programs: FluidPrograms, folder: str) -> None:
        saved = os.path.join(folder, "saved")
        program = programs.program({}, half)
        y = program.values[programs.graph["outputs"][0]["name"]]
        with fluid.scope_guard(programs.scope):
            fluid.io.save_inference_model(saved, ["x"], [y], programs.executor, program.main)
        command = importlib.import_module("paddle2onnx.command")
        command.program2onnx(saved, os.path.join(folder, "network.onnx"), opset_version=11)

    return call


for half, told in (("eval", "is_test=True"), ("train", "")):
    TABLE.mode(
        "export.onnx.program." + half,
        INTENT[half],
        HEAD.format(told)
        + "fluid.io.save_inference_model(folder, ['x'], [y], exe, main)\n"
        + "!paddle2onnx --model_dir folder --save_file path --opset_version 11",
        contracts.PROGRAM_TO_ONNX,
        "export",
        file=True,
    )(onnx(half))
