"""Each attack, as the toolkit's users on torch write it."""

from crosscheck.runtimes.family.toolkits import Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

__all__ = ["MODES"]

CLEVERHANS = Toolkit(
    once="""\
from cleverhans.torch.attacks.fast_gradient_method import fast_gradient_method
from cleverhans.torch.attacks.projected_gradient_descent import projected_gradient_descent
"""
)
for name, call in {
    "fgm": "fast_gradient_method(net, x, eps=0.1, norm=float('inf'), y=target)",
    "pgd": (
        "projected_gradient_descent(\n"
        "    net, x, eps=0.1, eps_iter=0.05, nb_iter=2, norm=float('inf'), y=target,\n"
        "    rand_init=False, sanity_checks=False,\n"
        ")"
    ),
}.items():
    CLEVERHANS.call(name, contracts.SILENT, f"dx = {call}.detach()\n", answers="other")

MODES = tuple(CLEVERHANS)
