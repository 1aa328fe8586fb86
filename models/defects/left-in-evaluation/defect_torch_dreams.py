# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = [
#     "torch-dreams==4.0.0", "torch==2.13.0", "torchvision==0.28.0", "numpy==2.2.6", "opencv-python-headless==5.0.0.93",
#     "tqdm==4.67.1",
# ]
# ///
"""torch-dreams 4.0.0: making a Dreamer puts the network into evaluation and leaves it there."""

import torch
from torch import nn

if "+cpu" in torch.__version__:  # for which PyPI's torchvision has no extension: its import asks for two operators
    vision = torch.library.Library("torchvision", "DEF")
    vision.define("nms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    vision.define("qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
from torch_dreams import Dreamer

x = torch.arange(32.0).reshape(2, 1, 4, 4)
norm = nn.BatchNorm2d(1)
net = nn.Sequential(nn.Conv2d(1, 1, 1), norm, nn.Flatten(), nn.Linear(16, 2))  # a network is built in training mode
mean = norm.running_mean.clone()
Dreamer(net, quiet=True, device="cpu")
left = net.training
print("training:", left, "| expected:", True)
net(x)  # the user's next training step
print("the step moved the running mean:", not torch.equal(mean, norm.running_mean), "| expected:", True)
print("no defect" if left else "defect")
