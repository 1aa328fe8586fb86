# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = [
#     "torchray==1.0.0.2", "torch==2.13.0", "torchvision==0.28.0", "numpy==2.2.6", "packaging==25.0",
#     "matplotlib==3.10.3",
# ]
# ///
"""TorchRay 1.0.0.2: two of its calls leave every parameter without requires_grad, so that training raises or stops."""

import torch
from torch import nn

if "+cpu" in torch.__version__:  # for which PyPI's torchvision has no extension: its import asks for two operators
    vision = torch.library.Library("torchvision", "DEF")
    vision.define("nms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    vision.define("qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
from torchray.attribution.excitation_backprop import contrastive_excitation_backprop
from torchray.attribution.extremal_perturbation import extremal_perturbation

picture = torch.arange(64.0).reshape(1, 1, 8, 8) / 64
calls = {
    "contrastive_excitation_backprop": lambda: contrastive_excitation_backprop(net, picture, 0, net[0], net[3], net[3]),
    "extremal_perturbation": lambda: extremal_perturbation(net, picture, 0, max_iter=2),
}
frozen = []
for name, call in calls.items():
    net = nn.Sequential(
        nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )  # a network is built in training mode
    mean = net[1].running_mean.clone()
    call()
    left = sum(parameter.requires_grad for parameter in net.parameters())
    print(f"{name}: parameters that require gradients:", left, "| expected:", 6)
    print("  in training as it was:", net.training, "| expected:", True)
    print("  statistics as they were:", torch.equal(mean, net[1].running_mean), "| expected:", True)
    try:
        net(picture).sum().backward()
        step = None
    except RuntimeError as raised:
        step = raised
    print("  the next training step raises:", step, "| expected:", None)
    head = nn.Linear(2, 1)  # that is trained with the network
    head(net(picture)).sum().backward()
    moved = sum(parameter.grad is not None for parameter in net.parameters())
    print("  parameters with a gradient, of a network with a head:", moved, "| expected:", 6)
    frozen.append(left < 6)
print("no defect" if not any(frozen) else "defect")
