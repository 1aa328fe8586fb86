"""Each way of asking through BackPACK for the gradient of the summed loss."""

from crosscheck.runtimes.family.toolkits import Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

LOSS = """\
extend(net)
loss = extend(nn.CrossEntropyLoss(reduction="sum"))(net(x.requires_grad_()), target)
"""
PACK = Toolkit(once="from backpack import backpack, extend\nfrom backpack.extensions import BatchGrad\n")
PACK.call("extend", contracts.EXTENDED, LOSS + "dx, = torch.autograd.grad(loss, x)\n", answers="loss")
PACK.call(
    "batch-grad",
    contracts.BATCH_GRAD,
    LOSS + "with backpack(BatchGrad()):\n    loss.backward()\ndx = x.grad\n",
    answers="loss",
)

MODES = tuple(PACK)
