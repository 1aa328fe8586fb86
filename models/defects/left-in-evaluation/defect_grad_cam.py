# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["grad-cam==1.5.7", "torch==2.13.0", "torchvision==0.28.0", "numpy==2.2.6"]
# ///
"""grad-cam 1.5.7: making a CAM puts the network into evaluation, and asking it after train() moves the statistics."""

import torch
from torch import nn

if "+cpu" in torch.__version__:  # for which PyPI's torchvision has no extension: its import asks for two operators
    vision = torch.library.Library("torchvision", "DEF")
    vision.define("nms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    vision.define("qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
from pytorch_grad_cam import GradCAM

x = torch.arange(32.0).reshape(2, 1, 4, 4)
norm = nn.BatchNorm2d(1)
net = nn.Sequential(nn.Conv2d(1, 1, 1), norm, nn.Flatten(), nn.Linear(16, 2))  # a network is built in training mode
mean = norm.running_mean.clone()
with GradCAM(net, [net[0]]) as cam:
    cam(x, None)
left = net.training
print("training:", left, "| expected:", True)
net(x)  # the user's next training step
print("the step moved the running mean:", not torch.equal(mean, norm.running_mean), "| expected:", True)

with GradCAM(net, [net[0]]) as cam:
    net.train()  # for the next epoch, at whose end the same CAM is asked
    mean = norm.running_mean.clone()
    cam(x, None)
moved = not torch.equal(mean, norm.running_mean)
print("a CAM that was made before train() moved the running mean:", moved, "| expected:", False)
print("no defect" if left and not moved else "defect")
