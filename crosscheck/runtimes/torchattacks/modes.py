"""Each attack, as the toolkit's users write it."""

from crosscheck.runtimes.family.toolkits import Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

__all__ = ["MODES"]

TORCHATTACKS = Toolkit(once="import torchattacks\n")
#: Of the attacks FAB alone calls it.
STAND_IN = """\
import sys

sys.modules["torch.autograd.gradcheck"].zero_gradients = None  # torch had it until 1.8
import torchattacks
"""
#: Attacks take images between 0 and 1.
IMAGES = "images = (x - x.min()) / (x.max() - x.min())\n"
for name, made in {
    "fgsm": "FGSM(net, eps=0.1)",
    "pgd": "PGD(net, eps=0.1, steps=2, random_start=False)",
    "cw": "CW(net, kappa=10, steps=10)",  # goes on until a class leads by so much; looks up at each tenth of the steps
}.items():
    text = f"{IMAGES}dx = torchattacks.{made}(images, target)\n"
    TORCHATTACKS.call(
        name,
        contracts.EVALUATES,
        text,
        answers="other",
        evaluates=True,
        default=("train", "eval", "frozen"),
        older={"2.13.3": (text, STAND_IN)},
    )
MADE_BEFORE = f"{IMAGES}dx = attack(images, target)\n"
TORCHATTACKS.call(
    "fgsm-made-before",
    contracts.EVALUATES,
    MADE_BEFORE,
    answers="other",
    before="net.train()\nattack = torchattacks.FGSM(net, eps=0.1)\nnet.eval()\n",
    states=("eval",),
    evaluates=True,
    older={"2.13.3": (MADE_BEFORE, STAND_IN)},
)

MODES = tuple(TORCHATTACKS)
