# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["tangermeme==1.6.0", "torch==2.13.0", "numpy==2.2.6"]
# ///
"""tangermeme 1.6.0: deep_lift_shap ends with train(), which puts frozen batch normalizations back into training."""

import torch
from tangermeme.deep_lift_shap import deep_lift_shap
from torch import nn

x = torch.eye(4)[None]  # a sequence of four letters, one-hot
norm = nn.BatchNorm1d(4)
net = nn.Sequential(norm, nn.Flatten(), nn.Linear(16, 1))
net.train()
norm.eval()  # frozen, as in fine-tuning
mean = norm.running_mean.clone()
deep_lift_shap(net, x, references=x.roll(1, -1)[:, None], device="cpu", warning_threshold=1)
print("training flag of the frozen layer:", norm.training, "| expected:", False)
net(x + 10)  # the user's next training step
moved = not torch.equal(mean, norm.running_mean)
print("the next step moves its running mean:", moved, "| expected:", False)
print("no defect" if not norm.training and not moved else "defect")
