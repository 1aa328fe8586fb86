# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["flashtorch==0.1.3", "torch==2.13.0", "torchvision==0.28.0", "numpy==2.2.6"]
# ///
"""FlashTorch 0.1.3: hooks of a call stay on the network, where they raise in training and change later gradients."""

import io
import warnings

import torch
from torch import nn

if "+cpu" in torch.__version__:  # for which PyPI's torchvision has no extension: its import asks for two operators
    vision = torch.library.Library("torchvision", "DEF")
    vision.define("nms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    vision.define("qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
from flashtorch.saliency import Backprop

warnings.filterwarnings("ignore")  # torch deprecates the hooks that FlashTorch uses


def error(step):
    """What a step raises."""
    try:
        step()
    except Exception as raised:
        return f"{type(raised).__name__}: {raised}"
    return None


def gradient():
    """The network's own gradient of class 0, in the first channel, where each channel is 10."""
    ask = torch.full((1, 3, 1, 1), 10.0, requires_grad=True)
    return torch.autograd.grad(net(ask)[:, 0].sum(), ask)[0][0, 0].item()


net = nn.Sequential(nn.Conv2d(3, 1, 1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(1, 2, bias=False))
for parameter in net.parameters():
    nn.init.ones_(parameter)
picture = torch.ones(1, 3, 1, 1)
before = gradient()
Backprop(net).calculate_gradients(picture.clone().requires_grad_())
print("in training as it was:", net.training, "| expected:", True)
step, saved = error(lambda: net(picture).sum().backward()), error(lambda: torch.save(net, io.BytesIO()))
print("the next training step raises:", step, "| expected:", None)
print("torch.save(net) raises:", saved, "| expected:", None)
Backprop(net).calculate_gradients(picture.clone().requires_grad_(), guided=True)
after = gradient()
print("the network's own gradient after a guided call:", after, "| expected:", before)
print("no defect" if step is None and saved is None and after == before else "defect")
