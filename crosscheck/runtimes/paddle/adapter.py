"""PaddlePaddle under the verbs that every runtime has.

Its modes stand in `dynamic.py` and `programs.py`, those for files in `exchange.py`; those of releases before 2.0 in
`fluid.py` and `fluid_programs.py`.
"""

import functools
import importlib
import warnings
from typing import Any, Dict, List, Optional

import numpy as np

from crosscheck.probe.adapter import Array, Network, Tensor
from crosscheck.probe.modes import Call, TableAdapter
from crosscheck.runtimes.paddle import dynamic, exchange, fluid, fluid_programs, programs
from crosscheck.runtimes.paddle.generations import Current, Fluid
from crosscheck.runtimes.paddle.networks import Model
from crosscheck.runtimes.paddle.programs import Programs

TABLES = (dynamic.TABLE, programs.TABLE, exchange.TABLE, fluid.TABLE, fluid_programs.TABLE)
ASKED = {name: asked for table in TABLES for name, asked in table.items()}


class Paddle(TableAdapter):
    """Releases of the `paddlepaddle` package, on the CPU; models are layers, or the programs of a network."""

    name = "paddlepaddle"
    modes = tuple(asked.mode for asked in ASKED.values())
    shows_layers = True

    def load(self) -> str:
        """Import Paddle, and what it would import later."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about compilers and packages that it could use, too
            paddle = importlib.import_module("paddle")
            if paddle.__version__.startswith("1."):
                self.api: Any = Fluid(paddle)
            else:
                importlib.import_module("paddle.distributed.fleet.utils")
                self.api = Current(paddle)
        return str(paddle.__version__)

    def build(self, network: Network, mode: str, shares: Optional[Any] = None) -> Any:
        """The network as a layer or, for modes of static programs, as programs."""
        if ASKED[mode].kind == "static":
            return self.api.programs(network, shares)
        return self.api.layers(network, shares, ASKED[mode].norm)

    def tensor(self, x: Array) -> Tensor:
        """Paddle's tensor; static programs are fed with numpy's arrays."""
        return self.api.tensor(x) if self.api.dynamic() else np.array(x)

    def numpy(self, value: Tensor) -> Array:
        """The tensor's numbers, copied."""
        return np.array(value.numpy() if hasattr(value, "numpy") else value)

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Evaluation mode, without a record; or the program for testing."""
        return self.api.predict(model.net, x) if isinstance(model, Model) else model.predict(x)

    def call(self, model: Any, mode: str) -> Call:
        """What carries out a mode: of the layer or the programs; of exports, of all that is known of it."""
        asked = ASKED[mode]
        whole = isinstance(model, Programs) or asked.mode.asks == "export"
        return functools.partial(asked.call, self.api.module, model if whole else model.net)

    def state(self, model: Any) -> Dict[str, Tensor]:
        """Parameters and statistics, and what else a call may leave behind.

        `<parameter>.grad` is what `backward` left on it (zeros for None), `stopped` are the `stop_gradient` of all.
        """
        if isinstance(model, Programs):
            return {name: model.array(name) for name in model.names}
        found: Dict[str, Any] = {}
        for name, place in model.places.items():
            found[name] = place.value(place.tensor())
            if not place.attribute.startswith("_"):
                left = self.api.left(place.tensor())
                found[name + ".grad"] = (
                    np.zeros(np.shape(found[name]), np.float32) if left is None else place.value(left)
                )
        stopped = [place.tensor().stop_gradient for place in model.places.values()]
        found["stopped"] = np.array(stopped, np.int64)
        return found

    def parameters(self, model: Any) -> Dict[str, Tensor]:
        """What `parameters()` of the layer shows, statistics included; of programs, all variables that stay."""
        if isinstance(model, Programs):
            return self.state(model)
        shown = {id(parameter) for parameter in model.net.parameters()}
        places = model.places.items()
        return {name: place.value(place.tensor()) for name, place in places if id(place.tensor()) in shown}

    def layers(self, model: Any, x: Tensor, mode: str) -> Dict[str, Tensor]:
        """What every node puts out; tracing takes no layer that is watched."""
        if ASKED[mode].kind == "traced":
            return {}
        net = model if isinstance(model, Programs) else model.net
        watched = Watched(net)
        ASKED[mode].call(self.api.module, watched, x)
        return watched.found

    def flags(self) -> Dict[str, bool]:
        """Whether operations are recorded, and whether they are carried out at once."""
        flags: Dict[str, bool] = self.api.flags()
        return flags


class Watched:
    """A network that keeps what its nodes put out when it is asked."""

    def __init__(self, net: Any) -> None:
        self.net = net
        self.found: Dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        """Whatever else the network can do."""
        return getattr(self.net, name)

    def __call__(self, x: Any) -> Any:
        """The network's output."""
        values = self.net.values(x)
        *_, last = values.values()
        self.found = {name: value for name, value in values.items() if value is not x}
        return last

    def run(self, program: programs.Program, feeds: Dict[str, Any], fetch: List[Any]) -> List[Any]:
        """What the executor fetches, which is every node's output."""
        names = [name for name in program.values if name != self.net.graph["inputs"][0]["name"]]
        values = self.net.run(program, feeds, [program.values[name] for name in names])
        self.found = dict(zip(names, values))
        return [self.found[self.net.graph["outputs"][0]["name"]]]
