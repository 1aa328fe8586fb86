"""Each way of asking for an attribution, as MONAI's users write it: of one picture, or of one class for all."""

from crosscheck.runtimes.family.toolkits import Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

MONAI = Toolkit()
for name, made, since in (("vanilla-grad", "VanillaGrad", "1.1.0"), ("guided-backprop", "GuidedBackpropGrad", "1.1.0")):
    MONAI.call(
        name,
        contracts.SILENT,
        f"dx = {made}(net)(picture, index=int(target[0]))\n",
        answers="other",
        once=f"from monai.visualize import {made}\n",
        before="picture = x[:1].clone()\n",
        since=since,
    )
MONAI.call(
    "grad-cam",
    contracts.SILENT,
    "dx = GradCAM(net, target_layers=name)(x, class_idx=int(target[0]))\n",
    answers="other",
    once="from monai.visualize import GradCAM\n",
    before="name = {layer: name for name, layer in net.named_modules()}[layer]\n",
)

MODES = tuple(MONAI)
