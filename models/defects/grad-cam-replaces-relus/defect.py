# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["grad-cam==1.5.7", "torch==2.13.0", "torchvision==0.28.0", "numpy==2.2.6"]
# ///
"""grad-cam 1.5.7: GuidedBackpropReLUModel replaces every ReLU of the network by one new one."""

import torch
from torch import nn

if "+cpu" in torch.__version__:  # for which PyPI's torchvision has no extension: its import asks for two operators
    vision = torch.library.Library("torchvision", "DEF")
    vision.define("nms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    vision.define("qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
from pytorch_grad_cam import GuidedBackpropReLUModel

net = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Conv2d(1, 1, 1), nn.ReLU(inplace=True), nn.Flatten()).eval()
own, calls = (net[1], net[3]), []
own[0].register_forward_hook(lambda *_: calls.append(1))  # the user's own hook
net(torch.ones(1, 1, 2, 2))
GuidedBackpropReLUModel(net)(torch.ones(1, 1, 2, 2), 0)
calls.clear()
net(torch.ones(1, 1, 2, 2))
kept = net[1] is own[0] and net[3] is own[1]
print("the network's ReLUs are those that it had:", kept, "| expected:", True)
print("both are one module:", net[1] is net[3], "| expected:", False)
print("in evaluation as the network is:", not net[1].training, "| expected:", True)
print("the second computes in place:", net[3].inplace, "| expected:", True)
print("calls of the user's hook in a prediction:", len(calls), "| expected:", 1)
print("no defect" if kept and len(calls) == 1 else "defect")
