"""The ONNX reference evaluator: what only code can do. Networks and modes are texts (`network.py`, `modes.py`)."""

from typing import Dict, Optional

from crosscheck.probe.adapter import Network, Tensor
from crosscheck.probe.texts import Model, TextAdapter


class Onnx(TextAdapter):
    """`onnx.reference.ReferenceEvaluator`: the operators' definitions in numpy."""

    def load(self) -> str:
        """Import the evaluator, which `import onnx` does not bring, and the operators, which a first model would."""
        import onnx
        import onnx.reference
        import onnx.reference.ops._op_list  # several tenths of a second, which would otherwise pass in every trial
        import onnx.version_converter

        return str(onnx.__version__)

    def build(self, network: Network, mode: str, shares: Optional[Model] = None) -> Model:
        """Open the file under test, too, so that its evaluator can be looked at before the first call."""
        model = super(Onnx, self).build(network, mode, shares)
        self.prepare(model, mode)
        opened = [name for name in ("training", "gradient") if name in model.names]
        self.tested = opened[0] if opened else "net"
        return model

    def state(self, model: Model) -> Dict[str, Tensor]:
        """The initialisers that the evaluator under test holds, in an undocumented attribute; and what is fed."""
        held = {name: value for name, value in model.names[self.tested].rt_inits_.items() if name}
        return dict(held, **super(Onnx, self).state(model))
