"""Each way of asking for an attribution, as TorchRay's users write it."""

from crosscheck.runtimes.family.toolkits import VISION, Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

RAY = Toolkit(once=VISION + "from torchray.attribution import excitation_backprop, extremal_perturbation, gradient\n")
FIRST = "first = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)][0]\n"
RAY.call(
    "gradient",
    contracts.SILENT,
    "dx = gradient.gradient(net, x, target)\n",
    answers="gradient absolute max-channel",
    evaluates=True,
)
RAY.call(
    "guided-backprop",
    contracts.SILENT,
    "dx = guided_backprop.guided_backprop(net, x, target)\n",
    answers="guided-backprop absolute max-channel",
    evaluates=True,
    once="from torchray.attribution import guided_backprop\n",
)
RAY.call(
    "excitation-backprop",
    contracts.SILENT,
    "dx = excitation_backprop.excitation_backprop(net, x, target, first)\n",
    answers="other",
    before=FIRST,
)
RAY.call(
    "contrastive",
    contracts.SILENT,
    "dx = excitation_backprop.contrastive_excitation_backprop(net, x, target, first, layer, layer)\n",
    answers="other",
    before=FIRST,
)
RAY.call(
    "extremal-perturbation",
    contracts.SILENT,
    "dx, energy = extremal_perturbation.extremal_perturbation(net, x[:1], int(target[0]), max_iter=2)\n",
    answers="other",
)

MODES = tuple(RAY)
