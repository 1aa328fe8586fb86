# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["torchattacks==3.5.1", "torch==2.13.0", "torchvision==0.28.0", "numpy==2.2.6"]
# ///
"""Torchattacks 3.5.1: an attack ends with train(), which puts frozen batch normalizations back into training."""

import torch
import torchattacks
from torch import nn

x = torch.arange(32.0).reshape(2, 1, 4, 4) / 32
norm = nn.BatchNorm2d(1)
net = nn.Sequential(nn.Conv2d(1, 1, 1), norm, nn.Flatten(), nn.Linear(16, 2))
net.train()
norm.eval()  # frozen, as in fine-tuning
mean = norm.running_mean.clone()
torchattacks.FGSM(net)(x, torch.tensor([0, 1]))
print("training flag of the frozen layer:", norm.training, "| expected:", False)
net(x + 10)  # the user's next training step
moved = not torch.equal(mean, norm.running_mean)
print("the next step moves its running mean:", moved, "| expected:", False)
print("no defect" if not norm.training and not moved else "defect")
