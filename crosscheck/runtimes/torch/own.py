"""Each way of asking about a user's exported program as it is."""

from crosscheck.runtimes.family.torch import GRAD, PREDICT
from crosscheck.runtimes.mode import Contracts, Modes

contracts = Contracts(__file__)

OWN = Modes("own.program.grad", "own.program.train", kind="program", since="2.5")

#: The format's name.
NATIVE = "torch-program"
#: A program does what it did when it was exported. The same graph on the same tensors, its layers in training mode.
TRAINED = """\
trained = torch.fx.GraphModule(net, copy.deepcopy(net.graph))
for node in trained.graph.nodes:
    if node.target is torch.ops.aten.batch_norm.default:
        node.update_arg(5, True)
trained.recompile()
"""

OWN.prediction("own.program.predict", "inference", contracts.PROGRAM_SAVED, PREDICT, default=True, native=NATIVE)
OWN.gradient("own.program.grad", "inference", contracts.PROGRAM_SAVED, GRAD, default=True, native=NATIVE)
OWN.gradient(
    "own.program.train",
    "training",
    contracts.PROGRAM_TRAINED,
    GRAD.replace("net(", "trained("),
    once=TRAINED,
    default=True,
    native=NATIVE,
)
