"""Each way of asking for an attribution, as MONAI's users write it: of one picture, or of one class for all."""

from crosscheck.runtimes.family.toolkits import Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

MONAI = Toolkit()
for name, made, answers in (
    ("vanilla-grad", "VanillaGrad", "gradient of-first-row"),
    ("guided-backprop", "GuidedBackpropGrad", "guided-backprop of-first-row"),
):
    MONAI.call(
        name,
        contracts.SILENT,
        f"dx = {made}(net)(picture, index=int(target[0]))\n",
        answers=answers,
        evaluates=True,
        once=f"from monai.visualize import {made}\n",
        before="picture = x[:1].clone()\n",
        since="1.1.0",
    )
MONAI.call(
    "grad-cam",
    contracts.SILENT,
    "dx = GradCAM(net, target_layers=name)(x, class_idx=int(target[0]))\n",
    answers="grad-cam of-first-class relu resized scaled reversed",
    evaluates=True,
    once="from monai.visualize import GradCAM\n",
    before="name = {layer: name for name, layer in net.named_modules()}[layer]\n",
)

MODES = tuple(MONAI)
