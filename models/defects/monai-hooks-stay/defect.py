# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["monai==1.6.1", "torch==2.13.0", "numpy==2.2.6"]
# ///
"""MONAI 1.6.1: GradCAM leaves hooks on its layer, so that the network cannot be pickled, and switches `inplace` off."""

import io

import torch
from monai.visualize import GradCAM
from torch import nn


def error():
    """What pickling the network raises."""
    try:
        torch.save(net, io.BytesIO())
    except Exception as raised:
        return f"{type(raised).__name__}: {raised}"
    return None


net = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4, 2)).eval()
print("before the call, torch.save(net) raises:", error(), "| expected:", None)
for _ in range(2):
    GradCAM(net, target_layers="1")(torch.ones(1, 1, 2, 2), class_idx=0)
hooks = len(net[1]._forward_hooks), len(net[1]._backward_hooks)
saved = error()
print("forward and backward hooks after two calls:", *hooks, "| expected:", 0, 0)
print("torch.save(net) raises:", saved, "| expected:", None)
print("the layer computes in place as before:", net[1].inplace, "| expected:", True)
print("no defect" if saved is None and not any(hooks) else "defect")
