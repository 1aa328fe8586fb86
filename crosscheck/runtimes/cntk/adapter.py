"""CNTK under the verbs that every runtime has. Its modes stand in `modes.py`."""

import functools
import glob
import os
import warnings
from typing import Any, Dict, Optional

import numpy as np

from crosscheck.probe.adapter import Array, Network, Tensor
from crosscheck.probe.modes import Call, TableAdapter
from crosscheck.runtimes.cntk import modes
from crosscheck.runtimes.cntk.networks import Model

ASKED = modes.TABLE

#: Where Open MPI 4 lies: Debian's and Fedora's packages, and a place for those who may not install any.
OPEN_MPI = ("/usr/lib/x86_64-linux-gnu", "/usr/lib64/openmpi/lib", "~/.local/lib/openmpi")
#: The names under which CNTK looks for it, and those that it has now.
LINKS = {"libmpi.so.12": "libmpi.so.40", "libmpi_cxx.so.1": "libmpi_cxx.so.40"}


class Cntk(TableAdapter):
    """The last release of the `cntk` package, on the CPU."""

    name = "cntk"
    modes = tuple(asked.mode for asked in ASKED.values())
    shows_layers = True

    def load(self) -> str:
        """Import CNTK, with Open MPI under the names of its day.

        The current folder, which is the server's own, is the one that libraries are looked for in (releases.toml).
        """
        link_open_mpi(os.getcwd())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there is no GPU
            import cntk
        self.cntk = cntk
        cntk.device.try_set_default_device(cntk.device.cpu())
        return str(cntk.__version__)

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """The network in CNTK's operators; weights of the same name are the other model's parameters and constants."""
        return Model(self.cntk, network, shares, ASKED[mode].norm)

    def numpy(self, value: Tensor) -> Array:
        """A copy; CNTK gives and takes numpy's arrays."""
        return np.array(value)

    def predict(self, model: Model, x: Tensor) -> Tensor:
        """`eval`."""
        return modes.predict(self.cntk, model, x)

    def call(self, model: Model, mode: str) -> Call:
        """What carries out a mode."""
        return functools.partial(ASKED[mode].call, self.cntk, model)

    def state(self, model: Model) -> Dict[str, Tensor]:
        """Parameters and constants; `<node>.updates` is how many batches of the probe input's size a layer counted."""
        found: Dict[str, Any] = {name: tensor.value for name, tensor in model.tensors.items()}
        found.update((name + ".updates", count.value / model.network.batch) for name, count in model.counts.items())
        return found

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """What `parameters` of the function shows: no statistics, which are constants."""
        shown = {parameter.uid for parameter in model.net.parameters}
        return {name: tensor.value for name, tensor in model.tensors.items() if tensor.uid in shown}

    def layers(self, model: Model, x: Tensor, mode: str) -> Dict[str, Tensor]:
        """What every node puts out in evaluation, or, where the mode keeps what backward needs, then."""
        whole = self.cntk.combine(list(model.values.values()))
        _, values = whole.forward({model.x: x}, whole.outputs, set(whole.outputs) if "keep" in mode else None)
        return dict(zip(model.values, (values[output] for output in whole.outputs)))


def link_open_mpi(folder: str) -> None:
    """Link this machine's Open MPI into `folder`, under the names that CNTK asks for.

    Raises ImportError with the remedy where there is none.
    """
    for place in map(os.path.expanduser, OPEN_MPI):
        if all(os.path.exists(os.path.join(place, name)) for name in LINKS.values()):
            break
    else:
        raise ImportError(
            "CNTK 2.7 needs Open MPI 4 with its C++ binding (libmpi.so.40, libmpi_cxx.so.40), which no wheel carries. "
            "Install Debian's libopenmpi3 (`apt-get install libopenmpi3`), or unpack it and what it needs to "
            "~/.local/lib/openmpi, and run again."
        )
    links = dict(LINKS)
    if place == os.path.expanduser(OPEN_MPI[-1]):
        # Nobody else looks for its libraries there.
        links.update((os.path.basename(path), os.path.basename(path)) for path in glob.glob(place + "/*.so.*"))
    for link, name in links.items():
        path = os.path.join(folder, link)
        if not os.path.lexists(path):
            os.symlink(os.path.join(place, name), path)
