"""tinygrad under the verbs that every runtime has. Its modes stand in `modes.py`."""

import functools
from typing import Any, Dict, Optional

import numpy as np

from crosscheck.probe.adapter import Array, Network, Tensor
from crosscheck.probe.modes import Call, TableAdapter
from crosscheck.runtimes.tinygrad import modes, networks
from crosscheck.runtimes.tinygrad.networks import Model

ASKED = modes.TABLE


class Tinygrad(TableAdapter):
    """Releases of the `tinygrad` package, on the CPU."""

    name = "tinygrad"
    modes = tuple(asked.mode for asked in ASKED.values())
    shows_layers = True

    def load(self) -> str:
        """Import tinygrad, which makes no device before a tensor is computed."""
        from importlib.metadata import version

        import tinygrad
        import tinygrad.helpers
        import tinygrad.nn.state

        self.tinygrad = tinygrad
        return version("tinygrad")

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """The network in tinygrad's own layers."""
        return networks.build(self.tinygrad, network, shares, ASKED[mode].norm)

    def tensor(self, x: Array) -> Tensor:
        """`Tensor`, which copies the array."""
        return self.tinygrad.Tensor(np.array(x))

    def numpy(self, value: Tensor) -> Array:
        """`numpy`, which computes the tensor."""
        return np.array(value.numpy() if isinstance(value, self.tinygrad.Tensor) else value)

    def predict(self, model: Model, x: Tensor) -> Tensor:
        """Outside of training."""
        return model(x)

    def call(self, model: Model, mode: str) -> Call:
        """What carries out a mode."""
        return functools.partial(ASKED[mode].call, self.tinygrad, model)

    def state(self, model: Model) -> Dict[str, Tensor]:
        """Every tensor of every layer; reading one computes it, and what it waited for.

        `<node>.num_batches_tracked` is the layer's own; `<weight>.has_grad` tells whether a gradient hangs on a tensor,
        which reading would compute.
        """
        found: Dict[str, Any] = {}
        for name, place in model.places.items():
            value = getattr(model.layers[place.node], place.attribute, None)
            if value is None:
                continue
            found[name + ".has_grad"] = np.array(value.grad is not None, np.int64)
            found[name] = value
            if place.attribute == "running_mean":
                found[place.node + ".num_batches_tracked"] = networks.count(model.layers[place.node])
        return found

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """What `nn.state.get_state_dict` shows, statistics among it."""
        shown = self.tinygrad.nn.state.get_state_dict(model.layers)
        names = {"{}.{}".format(*place): name for name, place in model.places.items()}
        return {names[key]: value for key, value in shown.items() if key in names}

    def layers(self, model: Model, x: Tensor, mode: str) -> Dict[str, Tensor]:
        """What every node puts out."""

        def values(tinygrad: Any, net: Model, x: Tensor) -> Dict[str, Tensor]:
            return {name: value for name, value in net.values(x).items() if value is not x}

        return modes.under("train" if mode.startswith("train") else "eval", values)(self.tinygrad, model, x)  # type: ignore[no-any-return]

    def flags(self) -> Dict[str, bool]:
        """The training flag, wherever the release has it."""
        flag = getattr(self.tinygrad.helpers, "TRAINING", None)
        return {"training": bool(getattr(self.tinygrad.Tensor, "training", False) if flag is None else flag.value)}
