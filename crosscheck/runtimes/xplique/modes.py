"""Each way of asking for an attribution, as Xplique's users write it."""

from crosscheck.runtimes.family.toolkits import KERAS, Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

XPLIQUE = Toolkit(plain="gradient", once="from xplique import attributions\n", states=KERAS, kind="eager")
# Saliency alone takes the absolute value; this is what it takes it of.
XPLIQUE.call(
    "gradient",
    contracts.SILENT,
    "dx = attributions.Saliency(net).batch_gradient(net, x, cotangent, 32)\n",
    answers="score",
)
for name, made in {
    "saliency": "Saliency(net)",
    "integrated-gradients": "IntegratedGradients(net, steps=5)",
    "smoothgrad": "SmoothGrad(net, nb_samples=5)",
    "guided-backprop": "GuidedBackprop(net)",
    "deconvnet": "DeconvNet(net)",
    "grad-cam": "GradCAM(net)",
    "grad-cam-pp": "GradCAMPP(net)",
}.items():
    seed = "tf.random.set_seed(0)\n" if name == "smoothgrad" else ""
    text = f"dx = attributions.{made}.explain(x, cotangent)\n"
    XPLIQUE.call(name, contracts.SILENT, text, answers="other", before=seed)

MODES = tuple(XPLIQUE)
