# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["shap==0.51.0", "torch==2.13.0", "numpy==2.2.6"]
# ///
"""SHAP 0.51.0: an explainer leaves the network in evaluation mode, and clears the gradients of its parameters."""

import shap
import torch
from torch import nn

x = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 8.0]])
left = []
for name, asked in ("GradientExplainer", {"nsamples": 2}), ("DeepExplainer", {"check_additivity": False}):
    norm = nn.BatchNorm1d(2)
    net = nn.Sequential(norm, nn.Linear(2, 2))  # a network is built in training mode
    net(x).sum().backward()
    mean, gradients = norm.running_mean.clone(), sum(p.grad is not None for p in net.parameters())
    getattr(shap, name)(net, x).shap_values(x, **asked)
    kept = sum(p.grad is not None for p in net.parameters())
    net(x + 10).sum().backward()  # the user's next training step
    print(name, "training:", net.training, "| expected:", True)
    print("  gradients kept:", kept, "| expected:", gradients)
    print("  the step moved the running mean:", not torch.equal(mean, norm.running_mean), "| expected:", True)
    left.append(not net.training or kept < gradients)
print("no defect" if not any(left) else "defect")
