"""Each way of asking for an attribution, as Captum's users write it."""

from crosscheck.runtimes.family.toolkits import Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

CAPTUM = Toolkit(plain="saliency", once="from captum import attr\n")
CAPTUM.call(
    "saliency", contracts.SILENT, "dx = attr.Saliency(net).attribute(x, target=target, abs=False)\n", answers="score"
)
for name, made, answers in (
    ("input-x-gradient", "attr.InputXGradient(net)", "input-x-gradient"),
    ("integrated-gradients", "attr.IntegratedGradients(net)", "integrated-gradients gauss-legendre/50"),
    ("deep-lift", "attr.DeepLift(net)", "completeness"),
    ("guided-backprop", "attr.GuidedBackprop(net)", "guided-backprop"),
    ("deconvolution", "attr.Deconvolution(net)", "deconvolution"),
    ("layer-grad-cam", "attr.LayerGradCam(net, layer)", "grad-cam"),
):
    CAPTUM.call(name, contracts.SILENT, f"dx = {made}.attribute(x, target=target)\n", answers)
CAPTUM.call("lrp", contracts.SILENT, "dx = attr.LRP(net).attribute(x, target=target)\n", answers="other", since="0.4.1")
CAPTUM.call(
    "occlusion",
    contracts.SILENT,
    "window = (x.shape[1], 2, 2)\n"
    "dx = attr.Occlusion(net).attribute(x, sliding_window_shapes=window, strides=window, target=target)\n",
    answers="other",
)
CAPTUM.call(
    "pgd",
    contracts.SILENT,
    'attack = PGD(net, nn.CrossEntropyLoss(reduction="none"))\n'
    "dx = attack.perturb(x, radius=0.1, step_size=0.02, step_num=3, target=target)\n",
    answers="other",
    once="from captum.robust import PGD\n",
    since="0.4.1",
)

MODES = tuple(CAPTUM)
