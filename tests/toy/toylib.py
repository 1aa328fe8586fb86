"""The toy runtime: networks executed by autograd in float32, with one misbehaviour per finding.

It shares the oracle's operators; it tests the observer and the judge, not the oracle.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import autograd  # type: ignore[import-untyped]
import numpy as np

from crosscheck.oracle import evaluation

Array = Any


class flags:  # noqa: N801 - a module's variables, under one name
    """The toy's global mode flags, which a call may change."""

    training = False
    training_happened = False
    #: Whether the next read crashes the process.
    fuse = False


class Later(NamedTuple):
    """A lazy gradient, computed when it is read."""

    net: "Net"
    dx: Array


class Net:
    """A network's float32 tensors; shared ones are the same arrays, changed in place."""

    def __init__(self, graph: Mapping[str, Any], weights: Mapping[str, Array], habit: str = "", shares: Any = None):
        self.graph: Any = graph
        self.habit = habit
        self.tensors = {name: np.array(value) for name, value in weights.items()}
        if shares is not None:
            self.tensors.update(shares.tensors)
        self.counter = np.zeros((), np.int64)
        self.pending: list[Callable[[], None]] = []
        self.broken = False
        self.norms = [node for node in graph["nodes"] if node["op"] == "BatchNormalization"]
        self.x: Array = None

    def __call__(self, x: Array, training: bool = False) -> Array:
        return evaluation.evaluate(self.graph, self.tensors, x, training)[0]

    def predict(self, x: Array) -> Array:
        if self.broken:
            raise RuntimeError("the engine is in an error state")
        if os.environ.get("TOY_NOISY"):
            print("predicting")
            sys.stderr.write("predicting\n")
        if self.habit == "wrong-prediction":
            return self(x, training=True) * np.float32(1.01)
        return self(x)

    def layers(self, x: Array, training: bool = False) -> dict[str, Array]:
        return evaluation.layers(self.graph, self.tensors, np.asarray(x), training)

    def update(self, x: Array, keep: float = 0.9, unbiased: bool = False) -> None:
        """One update of every layer's moving statistics, in place."""
        seen = evaluation.evaluate(self.graph, self.tensors, np.asarray(x), True)[1]
        for layer in self.norms:
            batch = seen[layer["name"]]
            factor = batch.count / max(batch.count - 1, 1) if unbiased else 1.0
            mean, variance = (self.tensors[name] for name in layer["inputs"][3:5])
            mean[...] = keep * mean + (1 - keep) * batch.mean
            variance[...] = keep * variance + (1 - keep) * batch.variance * factor

    def apply(self) -> None:
        """Run the deferred work."""
        while self.pending:
            self.pending.pop()()

    def forward(self, x: Array, way: str) -> None:
        """The forward pass of a gradient."""
        self.x = x
        if way in ("leak-forward", "leak-both"):
            self.update(x)

    def backward(self, cotangent: Array, way: str) -> Any:
        """The backward pass, with the misbehaviour `way`."""
        if way in ("inference", "wrong-gradient", "wrong-prediction", "order-dependent"):
            scale = 1.5 if way == "wrong-gradient" else 1.0
            if way == "order-dependent" and flags.training_happened:
                scale = 0.5
            return self.pull_back(cotangent, False) * np.float32(scale)
        if way == "training":
            flags.training_happened = True
        dx = self.pull_back(cotangent, True)
        if way in MISCHIEF:
            MISCHIEF[way](self, self.x)
        if way == "unrepeatable":
            # Simulates uninitialised memory; on small networks it is equal in all forks of a server.
            left = os.getppid() if len(self.norms) == 1 else int.from_bytes(os.urandom(2), "little")
            dx = dx + np.float32(left)
        return Later(self, dx) if way == "racy" else dx

    def pull_back(self, cotangent: Array, training: bool) -> Array:
        pull, _ = autograd.make_vjp(lambda x: self(x, training))(np.asarray(self.x))
        return pull(np.asarray(cotangent))

    def leaking_forward(self, x: Array) -> Array:
        self.update(x)
        return self(x, training=True)


def put_off(net: Net, x: Array) -> None:
    """Simulates asynchronous work, done a little later by another thread or by a read."""
    net.pending = [lambda: net.update(x)]


def move(net: Net, x: Array) -> None:
    net.counter += 1


def corrupt(net: Net, x: Array) -> None:
    noise = np.random.default_rng(int.from_bytes(os.urandom(4), "little"))
    for layer in net.norms:
        mean = net.tensors[layer["inputs"][3]]
        mean += noise.random(mean.shape, np.float32)


def spoil(net: Net, x: Array) -> None:
    for layer in net.norms:
        net.tensors[layer["inputs"][3]][...] = np.nan


def poison(net: Net, x: Array) -> None:
    net.broken = True


def write_parameters(net: Net, x: Array) -> None:
    for layer in net.norms:
        net.tensors[layer["inputs"][1]] *= np.float32(1.5)


def write_input(net: Net, x: Array) -> None:
    x += 1


def leave_training(net: Net, x: Array) -> None:
    flags.training = True


def refuse(net: Net, x: Array) -> None:
    raise ValueError("the toy does not do that")


def crash(net: Net, x: Array) -> None:
    sys.stderr.write("toy: about to crash\n")
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGSEGV)


def crash_later(net: Net, x: Array) -> None:
    net.update(x)
    flags.fuse = True


def hang(net: Net, x: Array) -> None:
    time.sleep(3600)


def eat_memory(net: Net, x: Array) -> None:
    eaten = []
    while True:
        eaten.append(np.ones(10**7))


MISCHIEF: dict[str, Callable[[Net, Array], None]] = {
    "leak-backward": Net.update,
    "leak-both": Net.update,
    "leak-on-read": put_off,
    "leak-unbiased-take": lambda net, x: net.update(x, keep=0.1, unbiased=True),
    "state-moved": move,
    "corrupted": corrupt,
    "nan": spoil,
    "poisoned": poison,
    "racy": put_off,
    "parameters-written": write_parameters,
    "input-written": write_input,
    "mode-left-changed": leave_training,
    "refused": refuse,
    "crash": crash,
    "crash-later": crash_later,
    "hang": hang,
    "eats-memory": eat_memory,
}


def numbers(value: Any) -> Array:
    """The numbers of a gradient; waits for them."""
    if flags.fuse:
        os.kill(os.getpid(), signal.SIGABRT)
    if isinstance(value, Later):
        value.net.apply()
        return np.array(value.dx)
    return np.array(value)


def save(net: Net, path: str) -> None:
    tensors: dict[str, Any] = dict(net.tensors)
    np.savez(path, **tensors)


def load(net: Net, path: str) -> Net:
    with np.load(path) as file:
        return Net(net.graph, {name: file[name] for name in file.files}, net.habit)
