"""Jittor under the verbs that every runtime has. Its modes stand in `modes.py`."""

import functools
from typing import Any, Dict, Optional

import numpy as np

from crosscheck.probe.adapter import Array, Network, Tensor
from crosscheck.probe.modes import Call, TableAdapter
from crosscheck.runtimes.jittor import compiled, modes, networks, warming
from crosscheck.runtimes.jittor.networks import Model

ASKED = modes.TABLE


class Jittor(TableAdapter):
    """Releases of the `jittor` package, on the CPU."""

    name = "jittor"
    modes = tuple(asked.mode for asked in ASKED.values())
    shows_layers = True

    def load(self) -> str:
        """Import Jittor, compiled where that has not happened yet."""
        self.jittor = compiled.imported(self.warm)
        return str(self.jittor.__version__)

    def warm(self, jittor: Any) -> None:
        """Ask small networks in the modes of the default matrix."""
        self.jittor = jittor
        for network, x, cotangent in warming.networks():
            for mode in self.modes:
                if mode.default and mode.asks != "export":
                    model = self.build(network, mode.name)
                    self.numpy(self.predict(model, self.tensor(x)))
                    if mode.asks == "gradient":
                        self.numpy(self.gradient(model, self.tensor(x), self.tensor(cotangent), mode.name, nothing))
                    else:
                        self.numpy(self.forward(model, self.tensor(x), mode.name))
                    self.settle(model)

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """The network in Jittor's own layers."""
        return networks.build(self.jittor, network, shares, ASKED[mode].norm)

    def tensor(self, x: Array) -> Tensor:
        """`jt.array`, which copies the array."""
        return self.jittor.array(np.array(x))

    def numpy(self, value: Tensor) -> Array:
        """`numpy`, which computes the variable and what it waits for."""
        return np.array(value.numpy() if isinstance(value, self.jittor.Var) else value)

    def predict(self, model: Model, x: Tensor) -> Tensor:
        """In evaluation, without a record for gradients."""
        return modes.in_mode("eval", modes.without_grad)(self.jittor, model, x)

    def call(self, model: Model, mode: str) -> Call:
        """What carries out a mode."""
        return functools.partial(ASKED[mode].call, self.jittor, model)

    def state(self, model: Model) -> Dict[str, Tensor]:
        """Every variable of every layer; `switched` tells which flags are other ones than the user's last call left."""
        found: Dict[str, Any] = model.variables()
        now = model.flags()
        found["switched"] = np.array([one != other for one, other in zip(now, model.switched)], np.int64)
        return found

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """What `named_parameters` of the module shows, statistics among it."""
        names = {"{}.{}".format(place.attribute, place.role): name for name, place in model.places.items()}
        return {names[key]: value for key, value in model.net.named_parameters() if key in names}

    def layers(self, model: Model, x: Tensor, mode: str) -> Dict[str, Tensor]:
        """What every node puts out."""

        def values(jt: Any, net: Any, x: Tensor) -> Dict[str, Tensor]:
            return {name: value for name, value in net.values(x).items() if value is not x}

        return modes.in_mode("train" if mode.startswith("train") else "eval", values)(self.jittor, model, x)  # type: ignore[no-any-return]

    def settle(self, model: Model) -> None:
        """Compute everything that was asked for."""
        self.jittor.sync_all(True)

    def flags(self) -> Dict[str, bool]:
        """Whether gradients are off, and whether execution is lazy."""
        flags = self.jittor.flags
        return {"no_grad": bool(flags.no_grad), "lazy": bool(flags.lazy_execution)}


def nothing() -> None:
    """What is done between forward and backward when nobody looks."""
