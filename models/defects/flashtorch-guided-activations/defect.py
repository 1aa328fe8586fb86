# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["flashtorch==0.1.3", "torch==2.13.0", "torchvision==0.28.0", "numpy==2.2.6"]
# ///
"""FlashTorch 0.1.3: guided backpropagation multiplies by the activations, not by whether they are positive."""

import warnings

import torch
from torch import nn

if "+cpu" in torch.__version__:  # for which PyPI's torchvision has no extension: its import asks for two operators
    vision = torch.library.Library("torchvision", "DEF")
    vision.define("nms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    vision.define("qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
from flashtorch.saliency import Backprop

warnings.filterwarnings("ignore")  # torch deprecates the hooks that FlashTorch uses
# Class 0 is relu(x) + relu(2 x): above zero its slope is 3, and no gradient on the way is negative.
net = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(2, 2, bias=False)).eval()
with torch.no_grad():
    net[0].weight.copy_(torch.tensor([1.0, 2.0]).reshape(2, 1, 1, 1))
    net[3].weight.copy_(torch.tensor([[1.0, 1.0], [0.0, 0.0]]))

found = []
for value in (1.0, 10.0):
    x = torch.full((1, 1, 1, 1), value, requires_grad=True)
    found.append(Backprop(net).calculate_gradients(x, guided=True).item())
    print(f"x = {value:g}: measured {found[-1]:g} | expected: 3")
print("no defect" if found == [3.0, 3.0] else "defect")
