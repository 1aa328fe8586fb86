# /// script
# requires-python = ">=3.11"
# dependencies = ["crosscheck"]
#
# [tool.uv.sources]
# crosscheck = { path = "..", editable = true }
# ///
"""Makes the networks that are not trained; README.md lists them.

Run `uv run models/make.py`; it is deterministic. `save` and `Builder` also serve train_digits.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from crosscheck.cells import Array
from crosscheck.networks.forms import Form, build_model
from crosscheck.networks.graph import GEMM, Graph, Node, Value
from crosscheck.networks.network import fixed_cotangent
from crosscheck.networks.prepare import write_arrays

MODELS = Path(__file__).resolve().parent
SOURCE_FORM = Form(opset=9, training=False, momentum=True)


class Builder:
    """Adds layers one by one; each method takes and returns tensor names. Weights are drawn from a seeded generator.

    Statistics, scales and biases are random, too, so that no layer is the identity: means and biases are normal with
    standard deviation 0.3, variances and scales uniform in [0.5, 1.5).
    """

    def __init__(self, seed: int, batch_norm: bool = True) -> None:
        """If `batch_norm` is false, `norm` adds nothing."""
        self.random = np.random.default_rng(seed)
        self.batch_norm = batch_norm
        self.nodes: list[Node] = []
        self.weights: dict[str, Array] = {}

    def node(self, op: str, name: str, inputs: list[str], **attributes: object) -> str:
        """Any operator with one output."""
        self.nodes.append(Node(op=op, name=name, inputs=inputs, outputs=[f"{name}.out"], attributes=attributes))
        return f"{name}.out"

    def weight(self, name: str, value: Array) -> str:
        """A parameter, kept as float32."""
        self.weights[name] = value.astype(np.float32)
        return name

    def conv(
        self,
        name: str,
        x: str,
        channels: tuple[int, int],
        kernel: int,
        stride: int = 1,
        bias: bool = False,
        padded: bool = True,
    ) -> str:
        """`channels`: in, out. Padded so that stride 1 keeps the size, or not at all; He-scaled weights."""
        inside, outside = channels
        scale = np.sqrt(2 / (inside * kernel**2))
        shape = (outside, inside, kernel, kernel)
        inputs = [x, self.weight(f"{name}.weight", self.random.normal(0, scale, shape))]
        if bias:
            inputs.append(self.weight(f"{name}.bias", self.random.normal(0, 0.3, outside)))
        pad = kernel // 2 if padded else 0
        return self.node("Conv", name, inputs, dilations=[1, 1], group=1, **window(kernel, stride, pad))

    def norm(self, name: str, x: str, channels: int, epsilon: float = 0.001, momentum: float = 0.9) -> str:
        """A batch normalization, or nothing in a network without them."""
        if not self.batch_norm:
            return x
        inputs = [
            x,
            self.weight(f"{name}.gamma", self.random.uniform(0.5, 1.5, channels)),
            self.weight(f"{name}.beta", self.random.normal(0, 0.3, channels)),
            self.weight(f"{name}.mean", self.random.normal(0, 0.3, channels)),
            self.weight(f"{name}.variance", self.random.uniform(0.5, 1.5, channels)),
        ]
        return self.node("BatchNormalization", name, inputs, epsilon=epsilon, momentum=momentum)

    def conv_norm_relu(self, name: str, x: str, channels: tuple[int, int], kernel: int, stride: int = 1) -> str:
        """Convolution, batch normalization and Relu."""
        y = self.norm(f"{name}.bn", self.conv(f"{name}.conv", x, channels, kernel, stride), channels[1])
        return self.node("Relu", f"{name}.relu", [y])

    def dense(self, name: str, x: str, features: tuple[int, int]) -> str:
        """A Gemm; `features`: in, out."""
        inside, outside = features
        weight = self.weight(f"{name}.weight", self.random.normal(0, np.sqrt(1 / inside), (outside, inside)))
        bias = self.weight(f"{name}.bias", self.random.normal(0, 0.3, outside))
        return self.node("Gemm", name, [x, weight, bias], **GEMM)

    def graph(self, name: str, shape: tuple[int, ...], output: str, classes: int) -> Graph:
        """`shape`: of the input "x", without the batch axis."""
        return Graph(
            name=name,
            inputs=[Value(name="x", shape=["N", *shape])],
            outputs=[Value(name=output, shape=["N", classes])],
            nodes=self.nodes,
        )


def window(kernel: int, stride: int, pad: int) -> dict[str, list[int]]:
    """The attributes of a square window."""
    return {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}


def save(graph: Graph, weights: dict[str, Array], text: str, x: Array, **others: Array) -> None:
    """Write models/<name>/: network.onnx (opset 9, IR 4), inputs.npz (x, cotangent, others), origin.md (the text).

    The first line of `text` becomes the network's title, the rest its description.
    """
    folder = MODELS / graph["name"]
    folder.mkdir(exist_ok=True)
    onnx.save(build_model(graph, weights, SOURCE_FORM, text), folder / "network.onnx")
    classes = int(graph["outputs"][0]["shape"][1])
    inputs = {"x": x.astype(np.float32), "cotangent": fixed_cotangent((len(x), classes)), **others}
    write_arrays(folder / "inputs.npz", inputs)
    title, _, rest = text.partition("\n")
    (folder / "origin.md").write_text(f"# {graph['name']}: {title}\n{rest}\n", encoding="utf-8")


def seed(name: str, rows: list[list[float]], text: str) -> None:
    """The layer of the forum thread of 2017."""
    builder = Builder(0)
    inputs = ["x"] + [
        builder.weight(f"bn.{key}", np.full(2, value))
        for key, value in (("gamma", 1), ("beta", 0), ("mean", 0), ("variance", 1))
    ]
    y = builder.node("BatchNormalization", "bn", inputs, epsilon=0.001, momentum=0.9)
    save(builder.graph(name, (2,), y, 2), builder.weights, text, np.array(rows))


def conv(name: str, batch_norm: bool, text: str) -> None:
    """Two convolutions (8 channels: a multiple of 8; 5: odd), the second with another epsilon and momentum."""
    builder = Builder(1, batch_norm)
    y = builder.conv("conv1", "x", (3, 8), 3, bias=True)
    y = builder.node("Relu", "relu1", [builder.norm("bn1", y, 8)])
    y = builder.conv("conv2", y, (8, 5), 3)
    y = builder.node("Relu", "relu2", [builder.norm("bn2", y, 5, epsilon=0.01, momentum=0.8)])
    y = builder.node("MaxPool", "pool", [y], **window(2, 2, 0))
    y = builder.dense("dense", builder.node("Flatten", "flatten", [y], axis=1), (5 * 4 * 4, 6))
    save(builder.graph(name, (3, 8, 8), y, 6), builder.weights, text, probe((4, 3, 8, 8)))


def conv_norm(name: str, seed: int, channels: int, size: tuple[int, int], batch_norm: bool, text: str) -> None:
    """Batch normalization and Relu between two convolutions, and nothing else; `size`: height, width of the images."""
    builder = Builder(seed, batch_norm)
    y = builder.conv("conv1", "x", (3, channels), 3, bias=True)
    y = builder.node("Relu", "relu", [builder.norm("bn", y, channels)])
    builder.random = np.random.default_rng([seed, 2])  # the same second convolution with and without `norm`
    y = builder.conv("conv2", y, (channels, channels), 3, bias=True, padded=False)
    height, width = size
    features = channels * (height - 2) * (width - 2)
    y = builder.node("Flatten", "flatten", [y], axis=1)
    save(builder.graph(name, (3, *size), y, features), builder.weights, text, probe((3, 3, *size)))


def dense(text: str) -> None:
    """A dense layer whose weight can be transposed by mistake without an error of its shape."""
    builder = Builder(6)
    y = builder.dense("dense", "x", (5, 5))
    save(builder.graph("dense", (5,), y, 5), builder.weights, text, probe((3, 5)))


def residual() -> None:
    """A stem, a block whose shortcut is the identity (6 channels), and one that halves the size (12 channels)."""
    builder = Builder(2)
    y = builder.conv_norm_relu("stem", "x", (3, 6), 3)
    for name, (inside, outside), stride in (("block1", (6, 6), 1), ("block2", (6, 12), 2)):
        inner = builder.conv_norm_relu(f"{name}.a", y, (inside, outside), 3, stride)
        inner = builder.norm(f"{name}.b.bn", builder.conv(f"{name}.b.conv", inner, (outside, outside), 3), outside)
        if stride != 1:
            y = builder.conv(f"{name}.shortcut.conv", y, (inside, outside), 1, stride)
            y = builder.norm(f"{name}.shortcut.bn", y, outside)
        y = builder.node("Relu", f"{name}.relu", [builder.node("Add", f"{name}.add", [inner, y])])
    y = builder.node("Flatten", "flatten", [builder.node("GlobalAveragePool", "pool", [y])], axis=1)
    text = (
        "two residual blocks with batch normalization\n"
        "Random weights and statistics, made by models/make.py (seed 2). Batch normalization feeds an addition,\n"
        "and one tensor feeds two layers."
    )
    graph = builder.graph("residual", (3, 8, 8), builder.dense("dense", y, (12, 5)), 5)
    save(graph, builder.weights, text, probe((4, 3, 8, 8)))


def inception() -> None:
    """A stem and one module of four branches, as in the image classifier of the thread."""
    builder = Builder(3)
    stem = builder.conv_norm_relu("stem", "x", (3, 8), 3)
    one = builder.conv_norm_relu("one", stem, (8, 4), 1)
    three = builder.conv_norm_relu("three.b", builder.conv_norm_relu("three.a", stem, (8, 3), 1), (3, 6), 3)
    double = builder.conv_norm_relu("double.a", stem, (8, 3), 1)
    double = builder.conv_norm_relu("double.b", double, (3, 4), 3)
    double = builder.conv_norm_relu("double.c", double, (4, 4), 3)
    # count_include_pad: the only rule of the runtimes of 2017.
    pooled = builder.node("AveragePool", "pooled.pool", [stem], count_include_pad=1, **window(3, 1, 1))
    pooled = builder.conv_norm_relu("pooled.conv", pooled, (8, 5), 1)
    y = builder.node("Concat", "concat", [one, three, double, pooled], axis=1)
    y = builder.node("MaxPool", "reduce", [y], **window(3, 2, 1))
    y = builder.node("Flatten", "flatten", [builder.node("GlobalAveragePool", "pool", [y])], axis=1)
    text = (
        "a small Inception-BN: four parallel branches, joined\n"
        "Random weights and statistics, made by models/make.py (seed 3). Eight batch normalizations of 3 to 8\n"
        "channels, average and maximum pools with pads, a concatenation."
    )
    graph = builder.graph("inception", (3, 12, 12), builder.dense("dense", y, (19, 10)), 10)
    save(graph, builder.weights, text, probe((4, 3, 12, 12)))


def probe(shape: tuple[int, ...]) -> Array:
    """Standard normal numbers (seed 0)."""
    return np.random.default_rng(0).standard_normal(shape)


if __name__ == "__main__":
    layer = "One BatchNormalization: epsilon 0.001, momentum 0.9, scale 1, bias 0, moving mean 0, moving variance 1."
    seed(
        "seed",
        [[0.3, 0.4]],
        f"one batch normalization over two channels, one row\n{layer}\nThe layer and the input of the thread of 2017 "
        "that asked the question. Made by models/make.py.",
    )
    seed(
        "seed-batch",
        [[0.3, 0.4], [1.1, -0.7], [-0.2, 0.9], [0.5, 0.1]],
        f"one batch normalization over two channels, four rows\n{layer}\nThe layer of `seed` with a batch that has a "
        "variance. Made by models/make.py.",
    )
    conv(
        "conv",
        True,
        "two convolutions with batch normalization, a pool, a dense layer\n"
        "Random weights and statistics, made by models/make.py (seed 1). Normalizes 8 channels (epsilon 0.001,\n"
        "momentum 0.9) and 5 channels (epsilon 0.01, momentum 0.8).",
    )
    conv(
        "conv-plain",
        False,
        "`conv` without batch normalization\nRandom weights, made by models/make.py (seed 1). A control only where "
        "maximum pools are right:\n`conv-norm-plain` is one without a pool.",
    )
    layers = "Convolution, batch normalization, Relu, convolution, and no pool, whose defects would hide others."
    conv_norm(
        "conv-norm",
        seed=4,
        channels=8,
        size=(6, 4),
        batch_norm=True,
        text=f"one batch normalization between two convolutions, 8 channels\n{layers}\n"
        "Random weights and statistics, made by models/make.py (seed 4). 8 channels of 6x4.",
    )
    conv_norm(
        "conv-norm-plain",
        seed=4,
        channels=8,
        size=(6, 4),
        batch_norm=False,
        text="`conv-norm` without batch normalization, a control\n"
        "The same convolutions as in `conv-norm`, made by models/make.py (seed 4), with a Relu between them.",
    )
    conv_norm(
        "conv-norm-odd",
        seed=5,
        channels=3,
        size=(7, 5),
        batch_norm=True,
        text=f"one batch normalization between two convolutions, 3 channels\n{layers}\n"
        "Random weights and statistics, made by models/make.py (seed 5). 3 channels of 7x5.",
    )
    dense("one square dense layer, a control\nRandom weights, made by models/make.py (seed 6). Five features to five.")
    residual()
    inception()
