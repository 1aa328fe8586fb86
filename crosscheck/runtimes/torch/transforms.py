"""Function transforms: `torch.func`, and `functional_call` with buffers that are shared, dropped or adopted."""

from crosscheck.runtimes.family.halves import HALVES, Halves
from crosscheck.runtimes.family.torch import GRAD
from crosscheck.runtimes.mode import Contracts, Edition

contracts = Contracts(__file__)

TRANSFORMS = Halves(
    contracts.EVALUATION,
    inference="eval.autograd-grad",
    training="train.autograd-grad",
    adopting=r"^net\.load_state_dict\(buffers",
)

FUNC = "2.0"
#: The last release before `functional_call` moved to `torch.func`; it came with 1.12.
STATELESS, CAME = "1.13.1", "1.12"

FUNC_GRAD = "dx = torch.func.grad(lambda x: (net(x) * cotangent).sum())(x)\n"
TRANSFORMS.halves("func.grad.{}", contracts.FUNC, FUNC_GRAD, since=FUNC, default=("train", "eval"))
TRANSFORMS.halves(
    "func.vjp.{}",
    contracts.FUNC,
    "y, pull_back = torch.func.vjp(net, x)\n---\ndx, = pull_back(cotangent)\n",
    since=FUNC,
)
#: Each row's own gradient, as if it were a batch of one.
TRANSFORMS.halves(
    "func.vmap-grad.{}",
    contracts.VMAP,
    "dx = torch.func.vmap(torch.func.grad(loss))(x, cotangent)\n",
    once="def loss(row, cotangent):\n    return (net(row[None])[0] * cotangent).sum()\n\n",
    since=FUNC,
)
TRANSFORMS.halves(
    "func.jvp.{}",
    contracts.FUNC,
    "y, dy = torch.func.jvp(net, (x,), (torch.ones_like(x),))\n",
    asks="prediction",
    since=FUNC,
)
#: As the documentation of `torch.func` patches layers: they lose their statistics.
TRANSFORMS.gradient(
    "func.patched.train",
    "training",
    contracts.PATCHED,
    "torch.func.replace_all_batch_norm_modules_(net)\nnet.train()\n" + FUNC_GRAD,
    since=FUNC,
    inference=None,
    leaves="train",
)

OWN = "buffers = dict(net.named_buffers())\n"
COPIES = "buffers = {name: buffer.clone() for name, buffer in net.named_buffers()}\n"
TENSORS = "tensors = {**dict(net.named_parameters()), **buffers}\n"
CALL = TENSORS + GRAD.replace("net(x.requires_grad_())", "functional_call(net, tensors, (x.requires_grad_(),))")
IMPORT = "from torch.func import functional_call\n"
OLD_IMPORT = "from torch.nn.utils.stateless import functional_call\n"
ADOPT, EVAL = "net.load_state_dict(buffers, strict=False)\n", "net.eval()\n"
for name, half, contract, buffers, after in (
    ("shared", "train", contracts.FUNCTIONAL_CALL, OWN, ""),
    ("dropped", "train", contracts.FUNCTIONAL_CALL_DROPPED, COPIES, EVAL),
    ("adopted", "train", contracts.FUNCTIONAL_CALL_ADOPTED, COPIES, ADOPT + EVAL),
    ("shared", "eval", contracts.EVALUATION, OWN, ""),
):
    text = f"{buffers}net.{half}()\n{CALL}{after}"
    TRANSFORMS.gradient(
        f"functional-call.{name}.{half}",
        HALVES[half],
        contract,
        text,
        once=IMPORT,
        editions=(Edition(STATELESS, text, OLD_IMPORT),),
        since=CAME,
        training="functional-call.shared.train" if half == "eval" else None,
        leaves=f"{half} eval" if after else half,
        default=half == "train",
    )
LOSS = """\
def loss(x, tensors):
    return (torch.func.functional_call(net, tensors, (x,)) * cotangent).sum()

"""
for name, contract, buffers, after in (
    ("shared", contracts.FUNCTIONAL_CALL, OWN, ""),
    ("dropped", contracts.FUNCTIONAL_CALL_DROPPED, COPIES, EVAL),
):
    TRANSFORMS.gradient(
        f"func.functional-call.{name}.train",
        "training",
        contract,
        f"{buffers}net.train()\n{TENSORS}dx = torch.func.grad(loss)(x, tensors)\n{after}",
        once=LOSS,
        since=FUNC,
        leaves="eval" if after else "train",
    )
