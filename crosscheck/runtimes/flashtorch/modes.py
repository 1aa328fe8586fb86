"""Each way of asking for a saliency map, as FlashTorch's users write it: of one picture, of the highest score."""

from crosscheck.runtimes.family.toolkits import VISION, Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

FLASH = Toolkit(once=VISION + "from flashtorch.saliency import Backprop\n")
for name, guided, method in (("gradients", "", "gradient"), ("guided", ", guided=True", "guided-backprop")):
    FLASH.call(
        name,
        contracts.SILENT,
        f"dx = Backprop(net).calculate_gradients(picture{guided})\n",
        answers=f"{method} of-first-row of-top-class no-row",
        evaluates=True,
        before="picture = x[:1].clone().requires_grad_()\n",
    )

MODES = tuple(FLASH)
