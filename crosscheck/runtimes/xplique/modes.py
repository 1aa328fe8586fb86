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
for name, contract, made, answers in (
    ("saliency", contracts.SILENT, "Saliency(net)", "gradient absolute picture-max-last"),
    (
        "integrated-gradients",
        contracts.SILENT,
        "IntegratedGradients(net, steps=5)",
        "integrated-gradients trapezoid/5 picture-mean-last",
    ),
    ("smoothgrad", contracts.SILENT, "SmoothGrad(net, nb_samples=5)", "other"),
    ("guided-backprop", contracts.REPLACED, "GuidedBackprop(net)", "guided-backprop picture-mean-last"),
    ("deconvnet", contracts.REPLACED, "DeconvNet(net)", "deconvolution picture-mean-last"),
    ("grad-cam", contracts.SILENT, "GradCAM(net)", "other"),
    ("grad-cam-pp", contracts.SILENT, "GradCAMPP(net)", "other"),
):
    seed = "tf.random.set_seed(0)\n" if name == "smoothgrad" else ""
    text = f"dx = attributions.{made}.explain(x, cotangent)\n"
    XPLIQUE.call(name, contract, text, answers, before=seed)

MODES = tuple(XPLIQUE)
