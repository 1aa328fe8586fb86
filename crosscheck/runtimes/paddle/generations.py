"""The two generations of Paddle's API, `paddle` since 2.0 and `paddle.fluid` before it, under the same few verbs."""

from typing import Any, Dict, Optional

from crosscheck.probe.adapter import Array, Network, Tensor
from crosscheck.probe.modes import Norm
from crosscheck.runtimes.paddle import dynamic, fluid, fluid_networks, networks
from crosscheck.runtimes.paddle.fluid_programs import FluidPrograms
from crosscheck.runtimes.paddle.networks import Model
from crosscheck.runtimes.paddle.programs import Programs


class Current:
    """Paddle since 2.0: dynamic unless static programs are asked for. `module` is what a call's text names."""

    def __init__(self, paddle: Any) -> None:
        self.module = paddle

    def layers(self, network: Network, shares: Optional[Model], norm: Norm) -> Model:
        """The network as a layer."""
        return networks.build(self.module, networks.KIT, network, shares, norm)

    def programs(self, network: Network, shares: Optional[Programs]) -> Programs:
        """The network as programs, which make the process a static one."""
        self.module.enable_static()
        return Programs(self.module, self.module.static, network, shares)

    def tensor(self, x: Array) -> Tensor:
        """`paddle.to_tensor`."""
        return self.module.to_tensor(x)

    def predict(self, net: Any, x: Tensor) -> Tensor:
        """The documented prediction of a layer."""
        net.eval()
        return dynamic.no_grad(self.module, net, x)

    def left(self, parameter: Tensor) -> Optional[Tensor]:
        """The gradient that backward left on a parameter."""
        return parameter.grad

    def flags(self) -> Dict[str, bool]:
        """Whether operations are recorded, and whether they are carried out at once."""
        return {"grad": bool(self.module.is_grad_enabled()), "dynamic": self.dynamic()}

    def dynamic(self) -> bool:
        """Whether operations are carried out at once."""
        return bool(self.module.in_dynamic_mode())


class Fluid:
    """Paddle before 2.0: static unless a guard makes it dynamic."""

    def __init__(self, paddle: Any) -> None:
        self.module = paddle.fluid

    def layers(self, network: Network, shares: Optional[Model], norm: Norm) -> Model:
        """The network as a layer; the guard stays open."""
        self.module.enable_dygraph(self.module.CPUPlace())
        return networks.build(self.module, fluid_networks.KIT, network, shares, norm)

    def programs(self, network: Network, shares: Optional[FluidPrograms]) -> FluidPrograms:
        """The network as programs."""
        return FluidPrograms(self.module, self.module, network, shares)

    def tensor(self, x: Array) -> Tensor:
        """`fluid.dygraph.to_variable`."""
        return self.module.dygraph.to_variable(x)

    def predict(self, net: Any, x: Tensor) -> Tensor:
        """The documented prediction of a layer."""
        net.eval()
        return fluid.no_grad(self.module, net, x)

    def left(self, parameter: Tensor) -> Optional[Array]:
        """The gradient that backward left on a parameter."""
        return parameter.gradient()

    def flags(self) -> Dict[str, bool]:
        """Whether operations are recorded, which any `eval()` ends, and whether they are carried out at once."""
        tracer = self.module.framework._dygraph_tracer()
        return {"grad": tracer is not None and bool(tracer._train_mode), "dynamic": self.dynamic()}

    def dynamic(self) -> bool:
        """Whether operations are carried out at once."""
        return bool(self.module.in_dygraph_mode())
