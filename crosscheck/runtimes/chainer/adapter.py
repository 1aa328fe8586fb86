"""Chainer under the verbs that every runtime has. Its modes stand in `modes.py`."""

import functools
import warnings
from typing import Any, Dict, Optional

import numpy as np

from crosscheck.probe.adapter import Array, Network, NotInRelease, Tensor
from crosscheck.probe.modes import Call, TableAdapter
from crosscheck.runtimes.chainer import modes, networks
from crosscheck.runtimes.chainer.networks import Model, array_of

ASKED = modes.TABLE


class Chainer(TableAdapter):
    """Releases of the `chainer` package, on the CPU."""

    name = "chainer"
    modes = tuple(asked.mode for asked in ASKED.values())
    shows_layers = True

    def load(self) -> str:
        """Import Chainer."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what old source code is told by newer Pythons and numpys
            import chainer
        self.chainer = chainer
        return str(chainer.__version__)

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """The network as a chain of links."""
        return networks.build(self.chainer, network, shares, ASKED[mode].norm)

    def tensor(self, x: Array) -> Tensor:
        """A `Variable` around a copy of the array."""
        return self.chainer.Variable(np.array(x))

    def numpy(self, value: Tensor) -> Array:
        """The array in a `Variable`, copied."""
        return np.array(value.array if isinstance(value, self.chainer.Variable) else value)

    def predict(self, model: Model, x: Tensor) -> Tensor:
        """In evaluation, without a graph."""
        return modes.predict(self.chainer, model.chain, x)

    def call(self, model: Model, mode: str) -> Call:
        """What carries out a mode: of the chain; of exports, of all that is known of it."""
        asked = ASKED[mode]
        return functools.partial(asked.call, self.chainer, model if asked.mode.asks == "export" else model.chain)

    def state(self, model: Model) -> Dict[str, Tensor]:
        """Parameters and persistent values, and what else a call may leave behind.

        `<node>.updates` is the link's `N`, how many batches fine-tuning has seen; `<parameter>.grad` is what `backward`
        left there, and zeros where Chainer has None, or the NaN that says that no gradient came yet.
        """
        found: Dict[str, Any] = {name: array_of(model.chain, place) for name, place in model.places.items()}
        for name, place in model.places.items():
            value = getattr(model.chain[place.link], place.attribute)
            if isinstance(value, self.chainer.Variable):
                missing = value.grad is None or np.isnan(value.grad).all()
                found[name + ".grad"] = np.zeros_like(value.array) if missing else value.grad
            elif place.attribute == "avg_mean":
                found[place.link + ".updates"] = np.array(model.chain[place.link].N, np.int64)
        return found

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """What `namedparams` of the chain shows: no statistics."""
        names = {"/{}/{}".format(*place): name for name, place in model.places.items()}
        return {names[path]: parameter for path, parameter in model.chain.namedparams()}

    def layers(self, model: Model, x: Tensor, mode: str) -> Dict[str, Tensor]:
        """What every node puts out."""
        if ASKED[mode].norm.get("static"):
            raise NotInRelease("a static graph shows its output alone")
        watched = Watched(model.chain)
        ASKED[mode].call(self.chainer, watched, x)
        return watched.found

    def flags(self) -> Dict[str, bool]:
        """The two keys of the configuration that decide about statistics and graphs."""
        return {
            "train": bool(self.chainer.config.train),
            "enable_backprop": bool(self.chainer.config.enable_backprop),
        }


class Watched:
    """A chain that keeps what its nodes put out."""

    def __init__(self, chain: Any) -> None:
        self.chain = chain
        self.found: Dict[str, Any] = {}

    def __call__(self, x: Any) -> Any:
        """The network's output."""
        values = self.chain.values(x)
        *_, last = values.values()
        self.found = {name: value for name, value in values.items() if value is not x}
        return last
