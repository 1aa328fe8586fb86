"""Chainer: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

import warnings
from typing import Callable, Dict

import numpy as np

from crosscheck.probe.adapter import Tensor
from crosscheck.probe.texts import Model, TextAdapter


class Chainer(TextAdapter):
    """Releases of the `chainer` package, on the CPU."""

    def load(self) -> str:
        """Import Chainer."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what old source code is told by newer Pythons and numpys
            import chainer
        self.chainer = chainer
        return str(chainer.__version__)

    def gradient(self, model: Model, x: Tensor, cotangent: Tensor, mode: str, between: Callable[[], None]) -> Tensor:
        """A mode that asks for a gradient; `backward` without a graph leaves None, and no error."""
        dx = TextAdapter.gradient(self, model, x, cotangent, mode, between)
        if dx is None:
            raise RuntimeError("backward left no gradient on x")
        return dx

    def left(self, model: Model) -> Dict[str, Tensor]:
        """The gradients that `backward` left on parameters; before, they are None or NaN."""
        return {
            name + ".grad": value.grad
            for name, value in TextAdapter.state(self, model).items()
            if isinstance(value, self.chainer.Variable) and value.grad is not None and not np.isnan(value.grad).all()
        }

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """What `namedparams` of the chain shows: no statistics."""
        names = {id(value): name for name, value in TextAdapter.state(self, model).items()}
        return {names[id(parameter)]: parameter for _, parameter in model.names["net"].namedparams()}

    def flags(self) -> Dict[str, bool]:
        """The two keys of the configuration that decide about statistics and graphs."""
        return {
            "train": bool(self.chainer.config.train),
            "enable_backprop": bool(self.chainer.config.enable_backprop),
        }
