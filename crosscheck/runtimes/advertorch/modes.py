"""Each attack, as the toolkit's users write it."""

from crosscheck.runtimes.family.toolkits import VISION, Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

__all__ = ["MODES"]

ADVERTORCH = Toolkit(
    once=VISION
    + """
import sys

# torch had it until 1.8; of the attacks FABAttack alone calls it.
sys.modules["torch.autograd.gradcheck"].zero_gradients = None
from advertorch.attacks import GradientSignAttack, LinfPGDAttack
"""
)
LOSS = 'loss_fn=nn.CrossEntropyLoss(reduction="sum"), clip_min=-100.0, clip_max=100.0'
for name, made in {
    "fgsm": f"GradientSignAttack(net, eps=0.1, {LOSS})",
    "linf-pgd": f"LinfPGDAttack(net, eps=0.1, eps_iter=0.05, nb_iter=2, rand_init=False, {LOSS})",
}.items():
    ADVERTORCH.call(name, contracts.EVALUATION, f"dx = {made}.perturb(x, target)\n", answers="other")

MODES = tuple(ADVERTORCH)
