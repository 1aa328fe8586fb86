"""Duration of the gradient pass on a ResNet-50, and of its gradient in ONNX Runtime against torch's eager autograd.

    uv run --with onnxruntime --with torch python tests/benchmarks/gradient_pass.py [--threads N] [--rows N]

Needs torch and ONNX Runtime in its environment; torch's CPU build suffices. Prints the time of the pass, and its peak
additional memory relative to the model's size. Then, with the same weights, input and threads, prints the times of one
prediction and one gradient in ONNX Runtime and in torch, and the ratios. The four measurements alternate and medians
are reported, so that other load affects all of them; CPU time is more reliable than wall time on a busy machine.

Both gradients are compared with torch's in float64. A few entries can have large errors, if rounding moves an input of
a Relu across zero or changes the largest entry of a window; the median error shows whether a rule is wrong.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper
from rich.console import Console
from rich.table import Table

from crosscheck.cells import Array
from crosscheck.gradients import differentiate

CLASSES = 1000
#: Blocks of each stage, and their inner channels; a block's output has four times as many.
STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))
EPSILON = 1e-5


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The gradient pass on a ResNet-50.")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=int, default=1, help="images in the batch")
    parser.add_argument("--rounds", type=int, default=7)
    parsed = parser.parse_args()
    console = Console()
    random = np.random.default_rng(0)
    model = ResNet(random).model()
    size = model.ByteSize()
    before = memory("VmRSS", reset=True)
    start, start_cpu = time.perf_counter(), time.process_time()
    gradient_model = differentiate(model)
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    peak = memory("VmHWM") - before
    console.print(
        f"model: {size / 1e6:.0f} MB, {len(model.graph.node)} nodes; gradient: {len(gradient_model.graph.node)} nodes"
    )
    console.print(
        f"pass: {seconds:.2f} s ({cpu:.2f} s of CPU), {peak / 1e6:.0f} MB peak, {peak / size:.2f} times the model"
    )

    x = random.standard_normal((parsed.rows, 3, 224, 224)).astype(np.float32)
    cotangent = random.standard_normal((parsed.rows, CLASSES)).astype(np.float32)
    ways = {
        **in_onnxruntime(model, gradient_model, x, cotangent, parsed.threads),
        **in_torch(model, x, cotangent, parsed.threads),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    results = {name: way() for name, way in ways.items()}  # the first call allocates
    for _ in range(parsed.rounds):
        for name, way in ways.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            way()
            times[name].append((time.perf_counter() - start, time.process_time() - start_cpu))
    median = {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in times.items()}
    table = Table("", "wall ms", "CPU ms", "predictions (CPU)", box=None)
    for name, (wall, busy) in median.items():
        table.add_row(
            name, f"{wall * 1e3:.0f}", f"{busy * 1e3:.0f}", f"{busy / median['onnxruntime prediction'][1]:.2f}"
        )
    console.print(table)
    ratios = [
        ours / theirs for ours, theirs in zip(median["onnxruntime gradient"], median["torch gradient"], strict=True)
    ]
    console.print(f"onnxruntime / torch, one gradient: {ratios[0]:.2f} of wall time, {ratios[1]:.2f} of CPU time")
    exact = in_torch(double(model), x.astype(np.float64), cotangent.astype(np.float64), parsed.threads)
    truth = exact["torch gradient"]()
    medians = {}
    for name in ("onnxruntime gradient", "torch gradient"):
        error = np.abs(results[name] - truth) / np.abs(truth).max()
        medians[name] = float(np.median(error))
        console.print(
            f"{name} and float64, relative to the largest entry: median {medians[name]:.1e}, maximum {error.max():.1e}"
        )
    return int(medians["onnxruntime gradient"] > 1e-6)


def double(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with float64 weights."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for item in copy.graph.initializer:
        item.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(item).astype(np.float64), item.name))
    return copy


def memory(field: str, reset: bool = False) -> int:
    """A field of /proc/self/status in bytes; `reset` resets the peak (Linux, glibc)."""
    if reset:
        # Freed memory that was not returned would be reused and hide the memory of the pass.
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


class ResNet:
    """ResNet-50 (He et al. 2015, stride in the 3 x 3 convolutions) in opset 15, with random weights."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def model(self) -> onnx.ModelProto:
        """The whole network; one input "x", (N, 3, 224, 224), one output, (N, 1000)."""
        y = self.relu(self.conv_norm("x", 3, 64, 7, 2))
        y = self.node("MaxPool", y, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        inside = 64
        for stage, (blocks, inner) in enumerate(STAGES):
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                y = self.block(y, inside, inner, stride)
                inside = 4 * inner
        y = self.node("Flatten", self.node("GlobalAveragePool", y), axis=1)
        weight = self.weight(self.random.standard_normal((CLASSES, inside)) / np.sqrt(inside))
        y = self.node("Gemm", y, weight, self.weight(np.zeros(CLASSES)), transB=1)
        value, shape = helper.make_tensor_value_info, ("N", 3, 224, 224)
        graph = helper.make_graph(
            self.nodes,
            "resnet50",
            [value("x", onnx.TensorProto.FLOAT, shape)],
            [value(y, onnx.TensorProto.FLOAT, ["N", CLASSES])],
            self.weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)

    def block(self, x: str, inside: int, inner: int, stride: int) -> str:
        """1 x 1, 3 x 3 and 1 x 1 convolutions, and a shortcut."""
        y = self.relu(self.conv_norm(x, inside, inner, 1, 1))
        y = self.relu(self.conv_norm(y, inner, inner, 3, stride))
        y = self.conv_norm(y, inner, 4 * inner, 1, 1, gain=0.3)
        shortcut = x if inside == 4 * inner else self.conv_norm(x, inside, 4 * inner, 1, stride)
        return self.relu(self.node("Add", y, shortcut))

    def conv_norm(self, x: str, inside: int, outside: int, kernel: int, stride: int, gain: float = 1.0) -> str:
        """A convolution without bias and a batch normalization."""
        scale = np.sqrt(2 / (inside * kernel**2))
        weight = self.weight(self.random.standard_normal((outside, inside, kernel, kernel)) * scale)
        y = self.node(
            "Conv", x, weight, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[kernel // 2] * 4, dilations=[1, 1]
        )
        drawn = [self.random.uniform(0.8, 1.2, outside) * gain, *self.random.normal(0, 0.1, (2, outside))]
        drawn.append(self.random.uniform(0.8, 1.2, outside))
        return self.node("BatchNormalization", y, *map(self.weight, drawn), epsilon=EPSILON)

    def relu(self, x: str) -> str:
        """A Relu."""
        return self.node("Relu", x)

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """One operator."""
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def weight(self, value: Array) -> str:
        """One initialiser."""
        name = f"weight{len(self.weights)}"
        self.weights.append(onnx.numpy_helper.from_array(value.astype(np.float32), name))
        return name


def in_onnxruntime(
    model: onnx.ModelProto, gradient_model: onnx.ModelProto, x: Array, cotangent: Array, threads: int
) -> dict[str, Callable[[], Array]]:
    """One prediction by the model, one gradient by its gradient model."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    sessions = [
        onnxruntime.InferenceSession(item.SerializeToString(), options, providers=["CPUExecutionProvider"])
        for item in (model, gradient_model)
    ]
    names = [item.name for item in gradient_model.graph.input]
    return {
        "onnxruntime prediction": lambda: np.asarray(sessions[0].run(None, {"x": x})[0]),
        "onnxruntime gradient": lambda: np.asarray(
            sessions[1].run([gradient_model.graph.output[1].name], {names[0]: x, names[1]: cotangent})[0]
        ),
    }


def in_torch(model: onnx.ModelProto, x: Array, cotangent: Array, threads: int) -> dict[str, Callable[[], Array]]:
    """The same network, layer by layer, with frozen weights."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(threads)
    weights = {item.name: torch.from_numpy(onnx.numpy_helper.to_array(item).copy()) for item in model.graph.initializer}

    def execute(data: Any) -> Any:
        values: dict[str, Any] = {**weights, "x": data}
        for node in model.graph.node:
            attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
            arguments = [values[name] for name in node.input]
            if node.op_type == "Conv":
                stride, pad = attributes["strides"][0], attributes["pads"][0]
                y = functional.conv2d(*arguments, stride=stride, padding=pad)
            elif node.op_type == "BatchNormalization":
                data, scale, bias, mean, variance = arguments
                y = functional.batch_norm(data, mean, variance, scale, bias, training=False, eps=EPSILON)
            elif node.op_type == "MaxPool":
                y = functional.max_pool2d(*arguments, 3, 2, 1)
            elif node.op_type == "GlobalAveragePool":
                y = functional.adaptive_avg_pool2d(*arguments, 1)
            else:
                y = {
                    "Add": torch.add,
                    "Flatten": lambda data: torch.flatten(data, 1),
                    "Gemm": functional.linear,
                    "Relu": functional.relu,
                }[node.op_type](*arguments)
            values[node.output[0]] = y
        return values[model.graph.output[0].name]

    def predict() -> Array:
        with torch.no_grad():
            return np.asarray(execute(torch.from_numpy(x)))

    def gradient() -> Array:
        data = torch.from_numpy(x).requires_grad_()
        execute(data).backward(torch.from_numpy(cotangent))
        return np.asarray(data.grad)

    return {"torch prediction": predict, "torch gradient": gradient}


if __name__ == "__main__":
    sys.exit(main())
