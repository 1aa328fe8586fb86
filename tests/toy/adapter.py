"""The toy runtime: networks executed by autograd in float32, and one mode for each way of misbehaving.

It stands for runtimes, and is written against the adapter's verbs alone; that it borrows the oracle's arithmetic is
of no matter, since what is tested with it is the observer and the judge, not the oracle.
"""

import os
import signal
import sys
import time
from typing import Any, Callable, Dict, NamedTuple, Optional

import numpy as np

from crosscheck.probe.adapter import Adapter, Array, Contract, Mode, Network, NotInRelease

STAYS = Contract("stay", "the toy's manual promises that statistics stay", "https://example.org/toy/manual")
MOVES = Contract("move", "the toy's manual says that training moves statistics", "https://example.org/toy/manual")


def _mode(name: str, contract: Contract = STAYS, asks: str = "gradient", intent: str = "training", **more: Any) -> Mode:
    return Mode(name, intent, asks, "toy.{}()".format(name), contract, inference="inference", **more)


class Model:
    """A network's float32 tensors; shared ones are the same arrays, changed in place."""

    def __init__(self, network: Network, mode: str, tensors: Dict[str, Array]) -> None:
        self.graph: Any = network.graph
        self.mode = mode
        self.tensors = tensors
        self.counter = np.zeros((), np.int64)
        self.pending: list[Callable[[], None]] = []
        self.broken = False
        self.layers = [node for node in network.graph["nodes"] if node["op"] == "BatchNormalization"]


class Later(NamedTuple):
    """A gradient that is not computed before somebody reads it."""

    model: Model
    dx: Array


class Toy(Adapter):
    """Modes are named after what they do wrong."""

    name = "toy"
    shows_layers = True
    modes = (
        _mode("inference", intent="inference", training="training"),
        _mode("training"),
        _mode("predict", asks="prediction", intent="inference"),
        _mode("leak-backward", MOVES),
        _mode("leak-forward"),
        _mode("leak-both"),
        _mode("leak-on-read"),
        _mode("leak-unbiased-take"),
        _mode("state-moved"),
        _mode("corrupted"),
        _mode("nan"),
        _mode("poisoned"),
        _mode("wrong-gradient", intent="inference"),
        _mode("mode-ignored", intent="inference"),
        _mode("wrong-prediction", intent="inference"),
        _mode("order-dependent", intent="inference", training="training"),
        _mode("racy"),
        _mode("parameters-written"),
        _mode("input-written"),
        _mode("mode-left-changed"),
        _mode("forward-leak", asks="prediction"),
        _mode("forward-ignored", asks="prediction"),
        _mode("export", asks="export", intent="inference"),
        _mode("export-changes-source", asks="export", intent="inference"),
        _mode("export-changes-copy", asks="export", intent="inference"),
        _mode("refused"),
        _mode("crash"),
        _mode("crash-later"),
        _mode("hang"),
        _mode("eats-memory"),
        _mode("from-1.8", since="1.8.0"),
        _mode("lacks-something"),
    )

    #: The toy's global state, which a call may leave changed.
    training_flag = False
    training_happened = False

    def load(self) -> str:
        if os.environ.get("TOY_UNIMPORTABLE"):
            raise ImportError("libtoy.so.1: cannot open shared object file")
        if os.environ.get("TOY_NOISY"):
            print("welcome to the toy")
        import autograd  # type: ignore[import-untyped]

        from crosscheck.oracle import evaluation, operators

        self.autograd, self.evaluation, self.operators = autograd, evaluation, operators
        return "toy"

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        own = {name: np.array(value) for name, value in network.weights.items()}
        return Model(network, mode, dict(own, **(shares.tensors if shares else {})))

    def _evaluate(self, model: Model, x: Array, training: bool) -> Any:
        return self.evaluation.evaluate(model.graph, model.tensors, x, training)

    def _statistics(self, model: Model, x: Array) -> Any:
        return self._evaluate(model, np.asarray(x), True)[1]

    def _update(self, model: Model, x: Array, keep: float = 0.9, unbiased: bool = False) -> None:
        """One update of every layer's moving statistics, in place."""
        seen = self._statistics(model, x)
        for layer in model.layers:
            batch = seen[layer["name"]]
            factor = batch.count / max(batch.count - 1, 1) if unbiased else 1.0
            mean, variance = (model.tensors[name] for name in layer["inputs"][3:5])
            mean[...] = keep * mean + (1 - keep) * batch.mean
            variance[...] = keep * variance + (1 - keep) * batch.variance * factor

    def _apply(self, model: Model) -> None:
        while model.pending:
            model.pending.pop()()

    def predict(self, model: Model, x: Array) -> Array:
        if model.broken:
            raise RuntimeError("the engine is in an error state")
        if os.environ.get("TOY_NOISY"):
            print("predicting")
            sys.stderr.write("predicting\n")
        if model.mode == "wrong-prediction":
            return self._evaluate(model, np.asarray(x), True)[0] * np.float32(1.01)
        return self._evaluate(model, np.asarray(x), False)[0]

    def forward(self, model: Model, x: Array, mode: str) -> Array:
        if mode == "forward-leak":
            self._update(model, x)
        return self._evaluate(model, np.asarray(x), mode == "forward-leak")[0]

    def layers(self, model: Model, x: Array, mode: str) -> Dict[str, Array]:
        return self.evaluation.layers(model.graph, model.tensors, np.asarray(x), mode == "forward-leak")

    def _vjp(self, model: Model, x: Array, cotangent: Array, training: bool) -> Array:
        pull, _ = self.autograd.make_vjp(lambda given: self._evaluate(model, given, training)[0])(np.asarray(x))
        return pull(np.asarray(cotangent))

    def gradient(self, model: Model, x: Array, cotangent: Array, mode: str, between: Callable[[], None]) -> Any:
        mischief = getattr(self, "_" + mode.replace("-", "_").replace(".", "_"), None)
        if mode in ("leak-forward", "leak-both"):
            self._update(model, x)
        between()
        if mode in ("inference", "wrong-gradient", "wrong-prediction", "order-dependent"):
            scale = 1.5 if mode == "wrong-gradient" else 1.0
            if mode == "order-dependent" and self.training_happened:
                scale = 0.5
            return self._vjp(model, x, cotangent, False) * np.float32(scale)
        if mode == "training":
            self.training_happened = True
        dx = self._vjp(model, x, cotangent, True)
        if mischief is not None:
            mischief(model, x)
        return Later(model, dx) if mode == "racy" else dx

    def _leak_backward(self, model: Model, x: Array) -> None:
        self._update(model, x)

    def _leak_both(self, model: Model, x: Array) -> None:
        self._update(model, x)

    def _leak_on_read(self, model: Model, x: Array) -> None:
        model.pending = [lambda: self._update(model, x)]

    def _leak_unbiased_take(self, model: Model, x: Array) -> None:
        self._update(model, x, keep=0.1, unbiased=True)

    def _state_moved(self, model: Model, x: Array) -> None:
        model.counter += 1

    def _corrupted(self, model: Model, x: Array) -> None:
        noise = np.random.default_rng(int.from_bytes(os.urandom(4), "little"))
        for layer in model.layers:
            model.tensors[layer["inputs"][3]] += noise.random(model.tensors[layer["inputs"][3]].shape, np.float32)

    def _nan(self, model: Model, x: Array) -> None:
        for layer in model.layers:
            model.tensors[layer["inputs"][3]][...] = np.nan

    def _poisoned(self, model: Model, x: Array) -> None:
        model.broken = True

    def _racy(self, model: Model, x: Array) -> None:
        # Stands for work that another thread does a little later: whoever predicts at once does not see it.
        # Reading the gradient waits for it.
        model.pending = [lambda: self._update(model, x)]

    def _parameters_written(self, model: Model, x: Array) -> None:
        for layer in model.layers:
            model.tensors[layer["inputs"][1]] *= np.float32(1.5)

    def _input_written(self, model: Model, x: Array) -> None:
        x += 1

    def _mode_left_changed(self, model: Model, x: Array) -> None:
        self.training_flag = True

    def _refused(self, model: Model, x: Array) -> None:
        raise ValueError("the toy does not do that")

    def _crash(self, model: Model, x: Array) -> None:
        sys.stderr.write("toy: about to crash\n")
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGSEGV)

    def _crash_later(self, model: Model, x: Array) -> None:
        self._update(model, x)
        self.fuse = True

    fuse = False

    def _hang(self, model: Model, x: Array) -> None:
        time.sleep(3600)

    def _eats_memory(self, model: Model, x: Array) -> None:
        eaten = []
        while True:
            eaten.append(np.ones(10**7))

    def _lacks_something(self, model: Model, x: Array) -> None:
        raise NotInRelease("this release has no autograd.something")

    def export(self, model: Model, mode: str, folder: str) -> Model:
        path = os.path.join(folder, "toy.npz")
        np.savez(path, **model.tensors)
        with np.load(path) as file:
            tensors = {name: file[name] for name in file.files}
        copy = Model.__new__(Model)
        copy.__dict__.update(model.__dict__, tensors=tensors)
        if mode == "export-changes-source":
            model.tensors[model.layers[0]["inputs"][3]] += np.float32(1)
        if mode == "export-changes-copy":
            tensors[model.layers[0]["inputs"][1]] = np.ones_like(tensors[model.layers[0]["inputs"][1]]) * 3
        return copy

    def state(self, model: Model) -> Dict[str, Array]:
        shown = dict({name: np.array(value) for name, value in model.tensors.items()}, counter=np.array(model.counter))
        if model.mode == "leak-on-read":
            self._apply(model)
        return shown

    def parameters(self, model: Model) -> Dict[str, Array]:
        hidden = {name for layer in model.layers for name in layer["inputs"][3:5]}
        return {name: np.array(value) for name, value in model.tensors.items() if name not in hidden}

    def settle(self, model: Model) -> None:
        if model.mode != "leak-on-read":
            self._apply(model)

    def flags(self) -> Dict[str, bool]:
        return {"training": self.training_flag}

    def numpy(self, value: Any) -> Array:
        if self.fuse:
            os.kill(os.getpid(), signal.SIGABRT)
        if isinstance(value, Later):
            self._apply(value.model)
            return np.array(value.dx)
        return np.array(value)
