# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["torch-lucent==0.1.8", "torch==2.13.0", "torchvision==0.28.0", "numpy==2.2.6", "ipython==8.37.0"]
# ///
"""Lucent 0.1.8: render_vis leaves hooks on every layer; they keep its output, so that the network cannot be copied."""

import copy
import warnings

import torch
from torch import nn

if "+cpu" in torch.__version__:  # for which PyPI's torchvision has no extension: its import asks for two operators
    vision = torch.library.Library("torchvision", "DEF")
    vision.define("nms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    vision.define("qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
from lucent.optvis import param, render

warnings.filterwarnings("ignore")


def error():
    """What copying the network raises."""
    try:
        copy.deepcopy(net)
    except RuntimeError as raised:
        return str(raised).partition(".")[0]
    return None


net = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU()).eval()
print("before the call, copying raises:", error(), "| expected:", None)
for _ in range(2):
    render.render_vis(
        net, "0:0", lambda: param.image(4, fft=False), transforms=[], preprocess=False, fixed_image_size=4,
        thresholds=(1,), show_image=False, progress=False,
    )  # fmt: skip
hooks = [len(layer._forward_hooks) for layer in net]
print("hooks on each layer after two calls:", hooks, "| expected:", [0, 0])
after = error()
print("copying raises:", after, "| expected:", None)
with torch.no_grad():
    net(torch.ones(1, 3, 4, 4))
print("after a prediction without gradients, copying raises:", error(), "| expected:", None)
net(torch.ones(1, 3, 4, 4))
print("after a prediction with gradients, copying raises:", error(), "| expected:", None)
print("no defect" if not any(hooks) and after is None else "defect")
