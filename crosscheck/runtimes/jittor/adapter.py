"""Jittor: what only code can do. Networks and modes are texts (`network.py`, `modes.py`).

Jittor is source code: its first import compiles its core, the first use of an operator that operator. What was compiled
stays in the environment's folder, where Jittor keeps it apart by release, compiler, interpreter and processor; a lock
of its own keeps processes that compile at the same time apart.
"""

import atexit
import contextlib
import importlib
import os
import sys
import traceback
from typing import Any, Callable, Dict, Iterator, List, Optional

import numpy as np

from crosscheck.probe.adapter import Network, Tensor
from crosscheck.probe.texts import Model, TextAdapter


class Jittor(TextAdapter):
    """Releases of the `jittor` package, on the CPU."""

    def load(self) -> str:
        """Import Jittor, compiled where that has not happened yet."""
        #: Which variables of a model take gradients: when it was built, and as its user's last call set them.
        self.built: Dict[Model, List[bool]] = {}
        self.expected: Dict[Model, List[bool]] = {}
        folder = os.path.join(sys.prefix, "jittor")
        with variables(folder):
            warmed = os.path.join(importlib.import_module("jittor_utils").cache_path, "crosscheck-warmed")
            if not os.path.exists(warmed):
                apart(warmed, os.path.join(folder, "compile.log"))
            try:
                self.jittor = package()
            except SystemExit as ended:  # what was compiled by other switches is compiled anew, and that is all
                raise ImportError("Jittor compiled a part of itself anew, and ended the process; run again") from ended
        return str(self.jittor.__version__)

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """The network; which of its variables take gradients is noted."""
        model = TextAdapter.build(self, network, mode, shares)
        self.built[model] = self.expected[model] = self.taking_gradients(model)
        return model

    def predict(self, model: Model, x: Tensor) -> Tensor:
        """The documented prediction; `eval` stops the gradients of all variables."""
        y = TextAdapter.predict(self, model, x)
        self.expected[model] = self.plain(model)
        return y

    def ask(self, model: Model, mode: str, between: Callable[[], None]) -> None:
        """The texts of a mode; what they make of the variables before the backward pass is the user's own doing."""

        def noted() -> None:
            self.expected[model] = self.taking_gradients(model)
            between()

        TextAdapter.ask(self, model, mode, noted)
        texts = model.texts[mode]
        if texts["leaves"] and not texts["backward"]:
            self.expected[model] = self.plain(model)

    def plain(self, model: Model) -> List[bool]:
        """Which variables take gradients after `train` (those that did at first) or `eval` (none)."""
        return [model.left == "train" and taking for taking in self.built.get(model, [])]

    def taking_gradients(self, model: Model) -> List[bool]:
        """Whether each variable takes gradients."""
        variables = [model.evaluate(expression) for expression, _ in model.source["tensors"].values()]
        return [not variable.is_stop_grad() for variable in variables]

    def left(self, model: Model) -> Dict[str, Tensor]:
        """Variables that take gradients where the user's last call stopped them, and the reverse."""
        now = zip(model.source["tensors"], self.taking_gradients(model), self.expected[model])
        return {name + ".stop_grad": np.array(not taking) for name, taking, expected in now if taking != expected}

    def switched(self, model: Model) -> Dict[str, bool]:
        """Layers in another mode than the user's lines put them in."""
        found = {}
        for name in {expression.rpartition(".")[0] for expression, _ in model.source["tensors"].values()}:
            layer = model.evaluate(name)
            norm = isinstance(layer, self.jittor.nn.BatchNorm)
            own = model.left == "train" or (model.left == "frozen" and not norm)
            if bool(layer.is_training()) != own:
                found[name] = bool(layer.is_training())
        return found

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """What `named_parameters` of the module shows, statistics among it."""
        shown = dict(model.names["net"].named_parameters())
        keys = {name: expression.partition(".")[2] for name, (expression, _) in model.source["tensors"].items()}
        return {name: shown[key] for name, key in keys.items() if key in shown}

    def settle(self, model: Model) -> None:
        """Compute everything that was asked for."""
        self.jittor.sync_all(True)

    def flags(self) -> Dict[str, bool]:
        """Whether gradients are off, and whether execution is lazy."""
        flags = self.jittor.flags
        return {"no_grad": bool(flags.no_grad), "lazy": bool(flags.lazy_execution)}


@contextlib.contextmanager
def variables(folder: str) -> Iterator[None]:
    """Environment variables for the import; the home is another one, since Jittor writes its settings there, too."""
    home = os.environ.get("HOME")
    headers = os.path.join(sys.base_prefix, "bin", "python{}.{}-config".format(*sys.version_info[:2]))
    found = {"python_config_path": headers} if os.path.exists(headers) else {}
    os.makedirs(folder, exist_ok=True)
    os.environ.update(HOME=folder, **found)
    try:
        yield
    finally:
        if home is not None:
            os.environ["HOME"] = home


def package() -> Any:
    """Import it, without the processes that it starts for compiling.

    They are watched by threads, which a process that is to fork must not have.
    """
    jittor = importlib.import_module("jittor")
    utilities: Any = importlib.import_module("jittor_utils")
    if utilities.pool_size:
        utilities.pool_cleanup()
        utilities.pool_size = 0
        atexit.unregister(utilities.pool_cleanup)
    return jittor


def apart(warmed: str, log: str) -> None:
    """Import and warm in a fork of this process, whose words go to a file.

    Where the import fails, it will fail here, too, and say why; where warming does, trials that need the same tell.
    """
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(file, 1)
        os.dup2(file, 2)
        jittor = package()
        try:
            warm(jittor)
        finally:
            with open(warmed, "w") as mark:
                mark.write(str(jittor.__version__))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(0)


def warm(jt: Any) -> None:
    """Compile what networks with batch normalization begin with, before the first trial, which has a time limit.

    Each operator takes a second. Further ones are compiled by the trials that use them.
    """
    nn = jt.nn
    dense = nn.Sequential(nn.BatchNorm(2, eps=1e-3))
    convolutional = nn.Sequential(
        *(nn.Conv(3, 4, 3, padding=1), nn.BatchNorm(4, eps=1e-3), nn.ReLU()),
        *(nn.Conv(4, 4, 3, padding=1, bias=False), nn.BatchNorm(4, eps=1e-3), nn.ReLU()),
        *(nn.Pool(2, 2, op="maximum"), nn.Flatten(), nn.Linear(16, 5)),
    )
    for net, shape in ((dense, (4, 2)), (convolutional, (2, 3, 4, 4))):
        for training in (False, True):
            net.train() if training else net.eval()
            x = jt.array(np.ones(shape, np.float32))
            y = net(x).numpy()
            cotangent = jt.array(np.ones_like(y))
            jt.grad((net(x) * cotangent).sum(), x).numpy()
            with jt.flag_scope(lazy_execution=0):
                jt.grad((net(x) * cotangent).sum(), x).numpy()
            optimizer = nn.SGD([x], lr=0.1)
            optimizer.backward((net(x) * cotangent).sum())
            x.opt_grad(optimizer).numpy()
            with jt.no_grad():
                net(x).numpy()
            jt.sync_all(True)
        net.load_state_dict(net.state_dict(to="numpy"))
        jt.sync_all(True)
