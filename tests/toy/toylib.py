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
from autograd.extend import defvjp, primitive  # type: ignore[import-untyped]

from crosscheck.oracle import evaluation
from crosscheck.oracle.operators import OPERATORS

Array = Any

#: The process that imported the library; a fork is another one.
IMPORTED_IN = os.getpid()


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
    """A network's float32 tensors; shared ones are the same arrays, changed in place.

    gradients: parameter gradients by the name of the parameter, as an optimizer would read them.
    training: the mode flag of each layer, by its name. A training step alone heeds it.
    """

    def __init__(self, graph: Mapping[str, Any], weights: Mapping[str, Array], habit: str = "", shares: Any = None):
        self.graph: Any = graph
        self.habit = habit
        self.tensors = {name: np.array(value) for name, value in weights.items()}
        if shares is not None:
            self.tensors.update(shares.tensors)
        self.gradients: dict[str, Array] = {} if shares is None else shares.gradients
        self.training = {node["name"]: False for node in graph["nodes"]} if shares is None else shares.training
        self.counter = np.zeros((), np.int64)
        self.calls = 0
        self.pending: list[Callable[[], None]] = []
        self.broken = False
        self.norms = [node for node in graph["nodes"] if node["op"] == "BatchNormalization"]
        self.x: Array = None
        #: What predictions read in place of the tensors, and what is done with a gradient that is differentiated.
        self.shadow: dict[str, Array] = {}
        self.hook: Any = None

    def __call__(self, x: Array, training: bool = False) -> Array:
        return evaluation.evaluate(self.graph, self.used | self.shadow, x, training)[0]

    def predict(self, x: Array, statistics: Mapping[str, Array] | None = None) -> Array:
        self.tensors.update(statistics or {})
        if self.broken:
            raise RuntimeError("the engine is in an error state")
        if os.environ.get("TOY_NOISY"):
            print("predicting")
            sys.stderr.write("predicting\n")
        if self.habit == "wrong-prediction":
            return self(x, training=True) * np.float32(1.01)
        if self.habit == "prediction-writes-input":
            y = self(x)
            x += 1
            return y
        if self.habit == "prediction-writes-scale":
            for layer in self.norms:
                self.tensors[layer["inputs"][1]][...] = 1
        return self(x)

    @property
    def used(self) -> dict[str, Array]:
        """The tensors, with the scales that count: ones in layers that ignore theirs."""
        ignored = self.norms if self.habit == "prediction-writes-scale" else ()
        return self.tensors | {layer["inputs"][1]: np.ones_like(self.tensors[layer["inputs"][1]]) for layer in ignored}

    def layers(self, x: Array, training: bool = False) -> dict[str, Array]:
        return evaluation.layers(self.graph, self.used, np.asarray(x), training)

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

    def averaged(self, x: Array) -> dict[str, Array]:
        """The moving statistics after one update by x; the network keeps its own."""
        other = Net(self.graph, self.tensors)
        other.update(x)
        return {name: other.tensors[name] for layer in self.norms for name in layer["inputs"][3:5]}

    def adopt(self, statistics: Mapping[str, Array]) -> None:
        """Replace the moving statistics."""
        for name, value in statistics.items():
            self.tensors[name][...] = value

    def train(self) -> None:
        """Set the flag of every layer."""
        for name in self.training:
            self.training[name] = True

    def step(self, x: Array) -> None:
        """A training step: statistics move if a normalization's flag says that it trains."""
        if any(self.training[layer["name"]] for layer in self.norms):
            self.update(x)

    def forward(self, x: Array, way: str, statistics: Mapping[str, Array] | None = None) -> None:
        """The first half of a gradient; `statistics` are the caller's own arrays."""
        self.x = x
        self.tensors.update(statistics or {})
        if way in ("leak-forward", "leak-both"):
            self.update(x)

    def backward(self, cotangent: Array, way: str) -> Any:
        """The second half, with what is wrong in this way of asking."""
        self.calls += 1
        if way == "refuses-parts" and self.is_part:
            raise ValueError("the toy takes whole networks only")
        if way == "crashes-in-parts" and self.is_part:
            crash(self, self.x)
        if way == "no-gradient":
            return np.zeros_like(self.x)
        if way == "pool-garbage":
            return self.pull_back_through(unwritten, cotangent)
        if way == "pool-order-dependent" and flags.training_happened:
            return self.pull_back_through(halving, cotangent)
        if way in INFERENCE:
            wrong = way == "wrong-gradient" or (way in WRONG_WHOLE and not self.is_part)
            scale = 1.5 if wrong else 1.0
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

    def detach(self) -> None:
        """Predict from copies of the tensors from now on."""
        self.shadow = self.shadow or {name: np.array(value) for name, value in self.tensors.items()}

    def restore(self, path: str) -> None:
        """Take over saved tensors, which have to be the network's own and no others."""
        with np.load(path) as file:
            if set(file.files) != set(self.tensors):
                raise KeyError(f"tensors of another network: {sorted(set(file.files) ^ set(self.tensors))}")
            self.tensors = {name: file[name] for name in file.files}

    def differentiate_twice(self, x: Array, cotangent: Array) -> Array:
        """The second derivative of an exponential of the scores along the first, by a central difference."""
        x, step = np.asarray(x, np.float64), 1e-4

        def slope(x: Array) -> Array:
            pull, y = autograd.make_vjp(self)(x)
            return pull(cotangent * np.exp(y / 10))

        direction = slope(x) if self.hook is None else self.hook(slope(x))
        return (slope(x + step * direction) - slope(x - step * direction)) / (2 * step)

    def pull_back(self, cotangent: Array, training: bool) -> Array:
        pull, _ = autograd.make_vjp(lambda x: self(x, training))(np.asarray(self.x))
        return pull(np.asarray(cotangent))

    def pull_back_through(self, wrong: Callable[[Array], Array], cotangent: Array) -> Array:
        """The inference-mode gradient, but for that of MaxPool, whose output passes a primitive with a wrong one."""
        pool = OPERATORS["MaxPool"]
        OPERATORS["MaxPool"] = lambda attributes, x: wrong(pool(attributes, x))
        try:
            return self.pull_back(cotangent, False)
        finally:
            OPERATORS["MaxPool"] = pool

    @property
    def is_part(self) -> bool:
        """Whether the graph is part of a larger one."""
        return ":" in self.graph["name"]

    def leaking_forward(self, x: Array) -> Array:
        self.update(x)
        return self(x, training=True)


#: The ways that compute the inference-mode gradient, rightly or wrongly.
INFERENCE = (
    "inference",
    "wrong-gradient",
    "wrong-prediction",
    "order-dependent",
    "pool-order-dependent",
    "wrong-whole",
    "refuses-parts",
    "crashes-in-parts",
)
#: Of these, the ways that are wrong of a whole network alone.
WRONG_WHOLE = ("wrong-whole", "refuses-parts", "crashes-in-parts")

#: Passes values on, and memory that nobody wrote back.
unwritten = primitive(lambda values: values)
defvjp(unwritten, lambda result, values: lambda cotangent: noise().standard_normal(values.shape, np.float32))
#: Passes values on, and half of the cotangent back.
halving = primitive(lambda values: values)
defvjp(halving, lambda result, values: lambda cotangent: cotangent / 2)


def noise() -> np.random.Generator:
    """Other numbers in every process."""
    return np.random.default_rng(int.from_bytes(os.urandom(4), "little"))


def refusing(dx: Array) -> Array:
    """A hook that has lost what it needs."""
    raise RuntimeError("the graph has been freed")


def positive(dx: Array) -> Array:
    """A hook that passes positive gradients alone."""
    return dx * (dx > 0)


def put_off(net: Net, x: Array) -> None:
    """Simulates asynchronous work, done a little later by another thread or by a read."""
    net.pending = [lambda: net.update(x)]


def move(net: Net, x: Array) -> None:
    net.counter += 1


def corrupt(net: Net, x: Array) -> None:
    for layer in net.norms:
        mean = net.tensors[layer["inputs"][3]]
        mean += noise().random(mean.shape, np.float32)


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


def leave_gradients(net: Net, x: Array) -> None:
    for layer in net.norms:
        scale = layer["inputs"][1]
        net.gradients[scale] = net.gradients.get(scale, 0) + np.ones_like(net.tensors[scale])


def switch_layer(net: Net, x: Array) -> None:
    net.training[net.norms[-1]["name"]] = True


def update_from_the_second_call_on(net: Net, x: Array) -> None:
    if net.calls > 1:
        net.update(x)


def rewrite(net: Net, x: Array) -> None:
    """Variances end one rounding above or below where they were, in turns."""
    for layer in net.norms:
        variance = net.tensors[layer["inputs"][4]]
        variance[...] = np.nextafter(variance, np.float32(np.inf if net.calls % 2 else -np.inf))


def refuse(net: Net, x: Array) -> None:
    raise ValueError("the toy does not do that")


def crash(net: Net, x: Array) -> None:
    sys.stderr.write("toy: about to crash\n")
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGSEGV)


def crash_in_a_fork(net: Net, x: Array) -> None:
    if os.getpid() != IMPORTED_IN:
        crash(net, x)


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
    "leak-second": update_from_the_second_call_on,
    "leak-one-momentum": lambda net, x: net.update(x, keep=0.7),
    "fed-written": Net.update,
    "rewrites": rewrite,
    "gradients-left": leave_gradients,
    "layer-switched": switch_layer,
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
    "crash-in-a-fork": crash_in_a_fork,
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
