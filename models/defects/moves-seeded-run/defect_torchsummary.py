# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["torchsummary==1.5.1", "torch==2.13.0", "numpy==2.2.6"]
# ///
"""torchsummary 1.5.1: printing a summary changes what a seeded program draws afterwards."""

import torch
from torch import nn
from torchsummary import summary

net = nn.Sequential(nn.Linear(2, 2), nn.ReLU()).eval()
drawn = {}
for called in (False, True):
    torch.manual_seed(0)
    if called:
        summary(net, (2,), device="cpu")
    drawn[called] = torch.randperm(8).tolist()  # the order of the user's next epoch
print("order of the next epoch:", drawn[True], "| expected:", drawn[False])
print("no defect" if drawn[True] == drawn[False] else "defect")
