"""Each way of asking for a gradient or an attack, as CleverHans's users on TensorFlow write it."""

from crosscheck.runtimes.family.toolkits import KERAS, TENSORFLOW_TARGET, Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

IMPORTS = """\
from cleverhans.tf2.attacks.fast_gradient_method import fast_gradient_method
from cleverhans.tf2.attacks.momentum_iterative_method import momentum_iterative_method
from cleverhans.tf2.attacks.projected_gradient_descent import projected_gradient_descent
from cleverhans.tf2.utils import compute_gradient
"""
CLEVERHANS = Toolkit(once=IMPORTS, states=KERAS, target=TENSORFLOW_TARGET, kind="eager")
CLEVERHANS.call(
    "compute-gradient",
    contracts.SILENT,
    "dx = compute_gradient(net, tf.nn.sparse_softmax_cross_entropy_with_logits, x, target, False)\n",
    answers="loss",
)
for name, attack in {
    "fgm": "fast_gradient_method(net, x, 0.1, np.inf)",
    "pgd": "projected_gradient_descent(net, x, 0.1, 0.02, 5, np.inf)",
    "momentum": "momentum_iterative_method(net, x, eps=0.1, eps_iter=0.02, nb_iter=5)",
}.items():
    seed = "tf.random.set_seed(0)\n" if name == "pgd" else ""
    CLEVERHANS.call(name, contracts.SILENT, f"dx = {attack}\n", answers="other", before=seed)

MODES = tuple(CLEVERHANS)
