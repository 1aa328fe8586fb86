"""Theano under the verbs that every runtime has. Its modes stand in `modes.py`."""

import os
import sys
import tempfile
from typing import Dict, Optional

import numpy as np

from crosscheck.probe.adapter import Array, Network, Tensor
from crosscheck.probe.modes import Call, MakingAdapter
from crosscheck.runtimes.theano import modes
from crosscheck.runtimes.theano.networks import Model

ASKED = modes.TABLE

#: Every operator in Python, so that no C++ compiler is needed. Convolutions have a definition in Python, too, from
#: which a check keeps users, since it is slow: the check is left out.
FLAGS = "floatX=float32,device=cpu,cxx=,optimizer_excluding=AbstractConvCheck,base_compiledir={}"


class Theano(MakingAdapter):
    """Releases of the `Theano` package, on the CPU."""

    name = "theano"
    modes = tuple(asked.mode for asked in ASKED.values())
    shows_layers = True

    def load(self) -> str:
        """Import Theano, its folder for compiled code a new one."""
        os.environ["THEANO_FLAGS"] = FLAGS.format(tempfile.mkdtemp(dir=os.getcwd()))
        # Graphs of deep networks are walked and pickled by recursion.
        sys.setrecursionlimit(20000)
        import theano
        import theano.tensor.nnet.bn

        self.theano = theano
        return str(theano.__version__)

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """The weights as shared variables, and a function for predictions."""
        return Model(self.theano, network, shares)

    def make(self, model: Model, mode: str) -> Call:
        """The function that answers a mode."""
        return ASKED[mode].call(self.theano, model)  # type: ignore[no-any-return]

    def tensor(self, x: Array) -> Tensor:
        """Theano's functions take numpy's arrays."""
        return np.array(x)

    def numpy(self, value: Tensor) -> Array:
        """A copy of the array, or of a shared variable's."""
        return np.array(value.get_value() if hasattr(value, "get_value") else value)

    def state(self, model: Model) -> Dict[str, Tensor]:
        """All shared variables."""
        return dict(model.shared)

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """The same: Theano has no view of its own."""
        return dict(model.shared)

    def layers(self, model: Model, x: Tensor, mode: str) -> Dict[str, Tensor]:
        """What every node puts out."""
        variable = model.input()
        values, _ = model.values(variable, training=mode.startswith("train"))
        shown = {name: value for name, value in values.items() if value is not variable}
        function = self.theano.function([variable], list(shown.values()), no_default_updates=True)
        return dict(zip(shown, function(x)))
