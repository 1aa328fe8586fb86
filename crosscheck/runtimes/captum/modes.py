"""Each way of asking for an attribution, as Captum's users write it."""

from crosscheck.runtimes.family.toolkits import Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

CAPTUM = Toolkit(plain="saliency", once="from captum import attr\n")
CAPTUM.call(
    "saliency", contracts.SILENT, "dx = attr.Saliency(net).attribute(x, target=target, abs=False)\n", answers="score"
)
for name, made in {
    "input-x-gradient": "attr.InputXGradient(net)",
    "integrated-gradients": "attr.IntegratedGradients(net)",
    "deep-lift": "attr.DeepLift(net)",
    "guided-backprop": "attr.GuidedBackprop(net)",
    "deconvolution": "attr.Deconvolution(net)",
}.items():
    CAPTUM.call(name, contracts.SILENT, f"dx = {made}.attribute(x, target=target)\n", answers="other")

MODES = tuple(CAPTUM)
