# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["quantus==0.6.0", "torch==2.13.0", "captum==0.9.0", "numpy==2.2.6"]
# ///
"""Quantus 0.6.0: explain puts the network into evaluation and leaves it there."""

import quantus
import torch
from torch import nn

x = torch.arange(32.0).reshape(2, 1, 4, 4)
norm = nn.BatchNorm2d(1)
net = nn.Sequential(nn.Conv2d(1, 1, 1), norm, nn.Flatten(), nn.Linear(16, 2))  # a network is built in training mode
mean = norm.running_mean.clone()
quantus.explain(net, x.numpy(), torch.tensor([0, 1]).numpy(), method="Saliency")
left = net.training
print("training:", left, "| expected:", True)
net(x)  # the user's next training step
print("the step moved the running mean:", not torch.equal(mean, norm.running_mean), "| expected:", True)
print("no defect" if left else "defect")
