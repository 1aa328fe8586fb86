# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["monai==1.6.1", "torch==2.13.0", "numpy==2.2.6"]
# ///
"""MONAI 1.6.1: GradCAM ends with train(), which puts frozen batch normalizations back into training."""

import torch
from monai.visualize import GradCAM
from torch import nn

x = torch.arange(32.0).reshape(2, 1, 4, 4)
norm = nn.BatchNorm2d(1)
net = nn.Sequential(nn.Conv2d(1, 1, 1), norm, nn.Flatten(), nn.Linear(16, 2))
net.train()
norm.eval()  # frozen, as in fine-tuning
net(x)
mean = norm.running_mean.clone()
GradCAM(net, target_layers="0")(x, class_idx=0)
print("training flag of the frozen layer:", norm.training, "| expected:", False)
net(x)  # the user's next training step
moved = float((norm.running_mean - mean).abs().max())
print("the next step moves its running mean by:", round(moved, 4), "| expected:", 0.0)
print("no defect" if not norm.training and moved == 0 else "defect")
