"""PaddlePaddle: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

import contextlib
import importlib
import warnings
from typing import Any, Callable, Dict, Iterator

import numpy as np

from crosscheck.probe.adapter import Array, Tensor
from crosscheck.probe.texts import Model, TextAdapter


class Paddle(TextAdapter):
    """Releases of the `paddlepaddle` package, on the CPU; `fluid` is the API before 2.0, where that is the API."""

    def load(self) -> str:
        """Import Paddle, and what it would import later."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about compilers and packages that it could use, too
            self.paddle = importlib.import_module("paddle")
            old = self.paddle.__version__.startswith("1.")
            self.fluid: Any = self.paddle.fluid if old else None
            if not old:
                importlib.import_module("paddle.distributed.fleet.utils")
        return str(self.paddle.__version__)

    def dynamic(self) -> bool:
        """Whether operations are carried out at once."""
        return bool(self.paddle.in_dynamic_mode() if self.fluid is None else self.fluid.in_dygraph_mode())

    def predict(self, model: Model, x: Tensor) -> Tensor:
        """The documented prediction."""
        with self.errors():
            return TextAdapter.predict(self, model, x)

    def ask(self, model: Model, mode: str, between: Callable[[], None]) -> None:
        """The texts of a mode."""
        with self.errors():
            TextAdapter.ask(self, model, mode, between)

    def gradient(self, model: Model, x: Tensor, cotangent: Tensor, mode: str, between: Callable[[], None]) -> Tensor:
        """A mode that asks for a gradient, which `backward` may not have left."""
        dx = TextAdapter.gradient(self, model, x, cotangent, mode, between)
        if dx is None:
            raise RuntimeError("backward left no gradient on x")
        return dx

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Errors of fluid begin with two call stacks; what is wrong comes after them."""
        if self.fluid is None:
            yield
            return
        try:
            yield
        except self.fluid.core.EnforceNotMet as problem:
            raise RuntimeError(str(problem).rpartition("Error Message Summary:")[2].strip("\n- "))

    def left(self, model: Model) -> Dict[str, Tensor]:
        """Gradients that `backward` left on parameters of layers, and parameters that take none any more."""
        found: Dict[str, Tensor] = {}
        own = model.says("parameter.stop_gradient")
        for name, (expression, axes) in model.source["tensors"].items() if self.dynamic() else ():
            if expression.rpartition(".")[2].startswith("_"):  # a statistic
                continue
            parameter = model.evaluate(expression)
            gradient = self.gradient_on(parameter)
            if gradient is not None:
                found[name + ".grad"] = gradient if axes is None else np.transpose(gradient, axes)
            if parameter.stop_gradient and not own:
                found[name + ".stop_gradient"] = np.array(True)
        return found

    def gradient_on(self, parameter: Tensor) -> Array:
        """The gradient that `backward` left on a parameter, as numbers; None where it left none."""
        if self.fluid is not None:
            return parameter.gradient()
        return None if parameter.grad is None else parameter.grad.numpy()

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """What `parameters()` of the layer shows, statistics included; of programs, all variables that stay."""
        if not self.dynamic():
            return TextAdapter.parameters(self, model)
        shown = {id(parameter) for parameter in model.names["net"].parameters()}
        return {
            name: self.read(model, expression, axes)
            for name, (expression, axes) in model.source["tensors"].items()
            if id(model.evaluate(expression)) in shown
        }

    def flags(self) -> Dict[str, bool]:
        """Whether operations are recorded (fluid: any `eval()` ends that), and whether they are carried out at once."""
        if self.fluid is None:
            return {"grad": bool(self.paddle.is_grad_enabled()), "dynamic": self.dynamic()}
        tracer = self.fluid.framework._dygraph_tracer()
        return {"grad": tracer is not None and bool(tracer._train_mode), "dynamic": self.dynamic()}
