# /// script
# requires-python = ">=3.11"
# dependencies = ["crosscheck", "scikit-learn>=1.4"]
#
# [tool.uv.sources]
# crosscheck = { path = "..", editable = true }
# ///
"""Trains digits and digits-plain on the UCI optical digits; prints the held-out accuracy and writes both folders.

Run `uv run models/train_digits.py`. Training uses the oracle's float64 operators under autograd, independent of every
measured runtime. Another NumPy or processor may give slightly different weights.
"""

from __future__ import annotations

import autograd.numpy as anp  # type: ignore[import-untyped]
import numpy as np
from autograd import value_and_grad
from make import Builder, save
from sklearn.datasets import load_digits  # type: ignore[import-not-found, import-untyped, unused-ignore]

from crosscheck.cells import Array
from crosscheck.networks.graph import Graph
from crosscheck.oracle import predict
from crosscheck.oracle.evaluation import BatchStatistics, evaluate

SEED = 7
HELD_OUT = 360
EPOCHS = 25
ROWS = 48
RATE = 3e-3
DECAY = 1e-4
CLASSES = 10

Split = tuple[Array, Array]


def data() -> tuple[Split, Split]:
    """Images, float64 (count, 1, 8, 8) in [0, 1], and labels: a training set and a held-out set (360, shuffled)."""
    digits = load_digits()
    images, labels = digits.images[:, None] / 16, digits.target
    order = np.random.default_rng(SEED).permutation(len(images))
    held_out, rest = order[:HELD_OUT], order[HELD_OUT:]
    return (images[rest], labels[rest]), (images[held_out], labels[held_out])


def architecture(name: str, batch_norm: bool) -> tuple[Graph, dict[str, Array]]:
    """Three convolutions and a dense layer; no maximum pool, whose gradient is ambiguous on a blank background."""
    builder = Builder(SEED, batch_norm)
    y = "x"
    for index, channels, stride in ((1, (1, 12), 1), (2, (12, 16), 2), (3, (16, 20), 2)):
        y = builder.conv(f"conv{index}", y, channels, 3, stride, bias=not batch_norm)
        y = builder.node("Relu", f"relu{index}", [builder.norm(f"bn{index}", y, channels[1])])
    y = builder.dense("dense", builder.node("Flatten", "flatten", [y], axis=1), (20 * 2 * 2, CLASSES))
    start = {"gamma": 1.0, "beta": 0.0, "mean": 0.0, "variance": 1.0, "bias": 0.0}
    weights = {
        key: np.full(value.shape, start[key.split(".")[1]]) if value.ndim == 1 else value.astype(np.float64)
        for key, value in builder.weights.items()
    }
    return builder.graph(name, (1, 8, 8), y, CLASSES), weights


def train(graph: Graph, weights: dict[str, Array], images: Array, labels: Array) -> dict[str, Array]:
    """Adam on the mean cross entropy, with cosine decay to zero; every batch updates the moving statistics."""
    norms = {node["name"]: node for node in graph["nodes"] if node["op"] == "BatchNormalization"}
    moving = {name for node in norms.values() for name in node["inputs"][3:]}
    trained = {name: value for name, value in weights.items() if name not in moving}
    statistics = {name: value for name, value in weights.items() if name in moving}
    first = {name: np.zeros_like(value) for name, value in trained.items()}
    second = {name: np.zeros_like(value) for name, value in trained.items()}
    random = np.random.default_rng(SEED)
    steps, step = EPOCHS * (len(images) // ROWS), 0
    batch_statistics: dict[str, BatchStatistics] = {}

    def loss(values: dict[str, Array], x: Array, y: Array) -> Array:
        logits, batch = evaluate(graph, {**values, **statistics}, x, training=True)
        batch_statistics.update(batch)
        shifted = logits - anp.max(logits, axis=1, keepdims=True)
        entropy = anp.log(anp.sum(anp.exp(shifted), axis=1)) - shifted[np.arange(len(y)), y]
        penalty = sum(anp.sum(value**2) for value in values.values() if value.ndim > 1)
        total: Array = anp.mean(entropy) + DECAY * penalty
        return total

    slope = value_and_grad(loss)
    for epoch in range(EPOCHS):
        order = random.permutation(len(images))
        for start in range(0, len(images) - ROWS + 1, ROWS):
            batch = order[start : start + ROWS]
            value, change = slope(trained, images[batch], labels[batch])
            step += 1
            rate = RATE * (1 + np.cos(np.pi * step / steps)) / 2
            for name, derivative in change.items():
                first[name] = 0.9 * first[name] + 0.1 * derivative
                second[name] = 0.999 * second[name] + 0.001 * derivative**2
                mean, square = first[name] / (1 - 0.9**step), second[name] / (1 - 0.999**step)
                trained[name] = trained[name] - rate * mean / (np.sqrt(square) + 1e-8)
            for name, node in norms.items():
                kept = node["attributes"]["momentum"]
                after = batch_statistics[name]
                for key, batch_value in zip(node["inputs"][3:], (after.mean, after.variance), strict=True):
                    statistics[key] = kept * statistics[key] + (1 - kept) * _number(batch_value)
        print(f"{graph['name']}: epoch {epoch + 1}, loss {value:.4f}", flush=True)
    return {name: np.asarray(value, np.float32) for name, value in {**trained, **statistics}.items()}


def _number(value: Array) -> Array:
    """The plain value of an autograd box."""
    while hasattr(value, "_value"):
        value = value._value
    return value


def main() -> None:
    """Train both, print their held-out accuracy, write both folders."""
    training, (images, labels) = data()
    for name, batch_norm in (("digits", True), ("digits-plain", False)):
        graph, weights = architecture(name, batch_norm)
        weights = train(graph, weights, *training)
        kept = images.astype(np.float32)
        logits = predict(graph, weights, kept)
        right = np.argmax(logits, axis=1) == labels
        probe = int(np.argmax(right))  # the first held-out image that is classified correctly
        target = int(np.argsort(logits[probe])[-2])
        print(
            f"{name}: {right.sum()} of {len(labels)} held-out images right, {right.mean():.2%}; the probe is held-out "
            f"image {probe}, a {labels[probe]}, its runner-up {target}"
        )
        save(
            graph,
            weights,
            f"a classifier of hand-written digits with{'' if batch_norm else 'out'} batch normalization\n"
            f"Trained by models/train_digits.py (seed {SEED}) on the UCI optical digits as scikit-learn ships them;\n"
            f"{right.sum()} of {len(labels)} held-out images came out right ({right.mean():.2%}). Its outputs are "
            "logits.\nImages are 8x8, in [0, 1].\n"
            "Data: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning "
            "Repository, 1998,\nhttps://archive.ics.uci.edu/dataset/80, CC BY 4.0. Changed: divided by 16, 360 kept.",
            kept[probe : probe + 1],
            images=kept,
            labels=labels.astype(np.int64),
            target=np.array(target),
        )


if __name__ == "__main__":
    main()
