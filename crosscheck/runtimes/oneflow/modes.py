"""Each way of asking, as OneFlow's users write it.

Names begin with the mode of the module, `train` or `eval`, where that and the call are all there is to say; else with
what is done to the network first, or with what the layers are. `graph` is a static graph (`nn.Graph`): it is compiled
in its first call, in the mode that the module has then.
"""

from crosscheck.runtimes.family.graph import AFFINE_OFF, NO_STATISTICS
from crosscheck.runtimes.family.halves import HALVES, Halves
from crosscheck.runtimes.family.torch import BACKWARD, FROZEN
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

TABLE = Halves(contracts.EVALUATION, inference="eval.autograd-grad", training="train.autograd-grad")
BOTH = tuple(HALVES)

FORWARD = "y = net(x.requires_grad_())\n---\n"
GRAD = FORWARD + "dx, = flow.autograd.grad(y, x, cotangent)\n"
PREDICT = "with flow.no_grad():\n    y = net(x)\n"

TABLE.halves("{}.backward", contracts.TRAINING, BACKWARD, default=BOTH)
TABLE.halves("{}.backward-cotangent", contracts.TRAINING, FORWARD + "y.backward(cotangent)\ndx = x.grad\n")
TABLE.halves("{}.autograd-grad", contracts.TRAINING, GRAD, default=BOTH)
TABLE.halves(
    "{}.autograd-backward", contracts.TRAINING, FORWARD + "flow.autograd.backward([y], [cotangent])\ndx = x.grad\n"
)
#: As a gradient penalty takes the gradient of a gradient.
TABLE.halves(
    "{}.double-backward",
    contracts.TRAINING,
    GRAD.replace("cotangent)", "cotangent, create_graph=True)") + "flow.autograd.grad((dx * dx).sum(), x)\n",
)
TABLE.halves(
    "{}.accumulated",
    contracts.TRAINING,
    "x.requires_grad_()\nfor part in (cotangent / 4, cotangent * 3 / 4):\n    (net(x) * part).sum().backward()\n"
    "dx = x.grad\n",
    default=("train",),
)

TABLE.halves("{}.no-grad", contracts.NO_GRAD, PREDICT, contracts.EVALUATION, asks="prediction", default=BOTH)
TABLE.halves(
    "{}.inference-mode",
    contracts.INFERENCE_MODE,
    PREDICT.replace("no_grad", "inference_mode"),
    asks="prediction",
)
TABLE.halves("{}.forward", contracts.TRAINING, "y = net(x.requires_grad_())\n", asks="prediction")

TABLE.switched("autograd-grad", contracts.TRAINING, contracts.SWITCHED, GRAD)

TABLE.gradient("frozen.backward", "inference", contracts.EVALUATION, FROZEN + BACKWARD, leaves="frozen")
TABLE.gradient("frozen.autograd-grad", "inference", contracts.EVALUATION, FROZEN + GRAD, leaves="frozen", default=True)
TABLE.halves(
    "{}.requires-grad-off",
    contracts.NO_GRAD,
    BACKWARD,
    before="for parameter in net.parameters():\n    parameter.requires_grad_(False)\n",
)
TABLE.gradient(
    "untracked.train",
    "training",
    contracts.UNTRACKED,
    f"""\
batch_norms = [layer for layer in net.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
for layer in batch_norms:
    layer.track_running_stats = False
net.train()
{GRAD}for layer in batch_norms:
    layer.track_running_stats = True
net.eval()
""",
    leaves="train eval",
    default=True,
)
TABLE.gradient(
    "deepcopy.train",
    "training",
    contracts.COPIED,
    "twin = copy.deepcopy(net).train()\n" + GRAD.replace("net(", "twin("),
    once="import copy\n",
)
TABLE.halves(
    "checkpoint.{}",
    contracts.CHECKPOINT,
    BACKWARD.replace("net(x.requires_grad_())", "checkpoint(net, x.requires_grad_())"),
    once="from oneflow.utils.checkpoint import checkpoint\n",
    since="0.9.0",
    default=("train",),
)

#: Networks whose batch normalizations are written otherwise.
for name, norm, contract, since in (
    ("momentum-none", {"momentum": None}, contracts.CUMULATIVE, None),
    ("momentum-zero", {"momentum": 0.0}, contracts.MOMENTUM_ZERO, None),
    ("functional", {"functional": "with-statistics"}, contracts.FUNCTIONAL, "0.9.0"),
    ("functional-no-statistics", {"functional": "without-statistics"}, contracts.FUNCTIONAL, "0.9.0"),
):
    TABLE.halves(
        name + ".{}",
        contract,
        GRAD,
        contracts.FUNCTIONAL if "functional" in norm else None,
        norm=norm,
        inference=f"{name}.eval",
        since=since,
    )
TABLE.gradient(
    "functional-fixed.train",
    "inference",
    contracts.FUNCTIONAL,
    "net.train()\n" + GRAD,
    norm={"functional": "fixed"},
    inference="functional-fixed.train",
    training=None,
    leaves="train",
    since="0.9.0",
)
TABLE.halves("affine-off.{}", contracts.TRAINING, GRAD, inference="affine-off.eval", **AFFINE_OFF)
for half in BOTH:
    TABLE.gradient(
        f"no-statistics.{half}",
        "training",
        contracts.NO_STATISTICS,
        f"net.{half}()\n{GRAD}",
        inference=None,
        leaves=half,
        **NO_STATISTICS,
    )

#: A graph has no gradient of its input; what an optimizer of its own takes from a parameter is one.
ASCENT = """\
class Objective(nn.Module):
    def __init__(self, net, image):
        super().__init__()
        self.net, self.image = net, nn.Parameter(image)

    def forward(self, cotangent):
        return (self.net(self.image) * cotangent).sum()


class Descent(nn.Graph):
    def __init__(self, objective):
        super().__init__()
        self.objective = objective
        self.add_optimizer(flow.optim.SGD([objective.image], lr=1.0))

    def build(self, cotangent):
        loss = self.objective(cotangent)
        loss.backward()
        return loss


objective = Objective(net, x.clone())
graph = Descent(objective)
"""
TABLE.halves(
    "graph.{}.optimizer",
    contracts.GRAPH,
    """\
with flow.no_grad():
    objective.image.copy_(x)
graph(cotangent)
dx = x - objective.image.detach()
""",
    once=ASCENT,
    default=BOTH,
)
BUILT = """\
class Forward(nn.Graph):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def build(self, x):
        return self.net(x)


graph = Forward(net)
"""
TABLE.halves("graph.{}.forward", contracts.GRAPH, "y = graph(x)\n", asks="prediction", once=BUILT, default=("train",))
TABLE.prediction(
    "graph.train-then-eval.forward",
    "inference",
    contracts.GRAPH_SWITCHED,
    "net.train()\ngraph(x)\nnet.eval()\ny = graph(x)\n",
    once=BUILT,
    leaves="eval",
)

TABLE.export(
    "save-state",
    "inference",
    contracts.SAVED,
    """\
flow.save(net.state_dict(), "state")
---
net = Net()
net.load_state_dict(flow.load("state"))
""",
    default=True,
)

MODES = tuple(TABLE)
