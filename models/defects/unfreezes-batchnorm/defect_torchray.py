# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = [
#     "torchray==1.0.0.2", "torch==2.13.0", "torchvision==0.28.0", "numpy==2.2.6", "packaging==25.0",
#     "matplotlib==3.10.3",
# ]
# ///
"""TorchRay 1.0.0.2: gradient ends with train(), which puts frozen batch normalizations back into training."""

import torch
from torch import nn

if "+cpu" in torch.__version__:  # for which PyPI's torchvision has no extension: its import asks for two operators
    vision = torch.library.Library("torchvision", "DEF")
    vision.define("nms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    vision.define("qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
from torchray.attribution.gradient import gradient

x = torch.arange(32.0).reshape(2, 1, 4, 4)
norm = nn.BatchNorm2d(1)
net = nn.Sequential(nn.Conv2d(1, 1, 1), norm, nn.Flatten(), nn.Linear(16, 2))
net.train()
norm.eval()  # frozen, as in fine-tuning
mean = norm.running_mean.clone()
gradient(net, x, torch.tensor([0, 1]))
print("training flag of the frozen layer:", norm.training, "| expected:", False)
net(x.detach() + 10)  # the user's next training step
moved = not torch.equal(mean, norm.running_mean)
print("the next step moves its running mean:", moved, "| expected:", False)
print("no defect" if not norm.training and not moved else "defect")
