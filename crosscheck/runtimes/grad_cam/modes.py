"""Each way of asking for a map, as pytorch-grad-cam's users write it; of the highest score where no class is named."""

from crosscheck.runtimes.family.toolkits import VISION, Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

#: Resized to the input and scaled a second time.
MAP = "grad-cam of-top-class relu scaled resized scaled no-channel"
CAM = Toolkit(once=VISION + "from pytorch_grad_cam import GradCAM, GuidedBackpropReLUModel\n")
for name, text in {
    "grad-cam": "cam = GradCAM(net, [layer])\ndx = cam(x, None)\n",
    "grad-cam-with": "with GradCAM(net, [layer]) as cam:\n    dx = cam(x, None)\n",
}.items():
    CAM.call(name, contracts.SILENT, text, answers=MAP, evaluates=True)
CAM.call(
    "grad-cam-made-before",
    contracts.REUSED,
    "dx = cam(x, None)\n",
    answers=MAP,
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
