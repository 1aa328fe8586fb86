"""Each way of asking for a map, as pytorch-grad-cam's users write it; of the highest score where no class is named."""

from crosscheck.runtimes.family.toolkits import VISION, Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

CAM = Toolkit(once=VISION + "from pytorch_grad_cam import GradCAM, GuidedBackpropReLUModel\n")
CAM.call("grad-cam", contracts.SILENT, "cam = GradCAM(net, [layer])\ndx = cam(x, None)\n", answers="other")
CAM.call(
    "grad-cam-with", contracts.SILENT, "with GradCAM(net, [layer]) as cam:\n    dx = cam(x, None)\n", answers="other"
)
CAM.call(
    "grad-cam-made-before",
    contracts.SILENT,
    "dx = cam(x, None)\n",
    answers="other",
    before="cam = GradCAM(net, [layer])\nnet.train()\n",
    states=("train",),
)
CAM.call(
    "guided-backprop",
    contracts.SILENT,
    "dx = GuidedBackpropReLUModel(net, None)(x, int(target[0]))\n",  # of the first row alone
    answers="other",
)

MODES = tuple(CAM)
