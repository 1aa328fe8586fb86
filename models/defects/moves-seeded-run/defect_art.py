# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["adversarial-robustness-toolbox==1.20.1", "torch==2.13.0", "numpy==2.2.6"]
# ///
"""The Adversarial Robustness Toolbox 1.20.1: an attack without chance changes what a seeded program draws later."""

import torch
from art.attacks.evasion import FastGradientMethod
from art.estimators.classification import PyTorchClassifier
from torch import nn

net = nn.Sequential(nn.Linear(2, 2), nn.ReLU()).eval()
classifier = PyTorchClassifier(net, nn.CrossEntropyLoss(), input_shape=(2,), nb_classes=2, device_type="cpu")
x = torch.tensor([[1.0, 2.0], [3.0, 1.0]]).numpy()
drawn, made = {}, {}
for called in (False, True):
    torch.manual_seed(0)
    if called:
        made[0] = FastGradientMethod(classifier, eps=0.1).generate(x)
    drawn[called] = torch.randperm(8).tolist()  # the order of the user's next epoch
torch.manual_seed(1)
made[1] = FastGradientMethod(classifier, eps=0.1).generate(x)
print("examples of two seeds are equal:", bool((made[0] == made[1]).all()), "| expected:", True)
print("order of the next epoch:", drawn[True], "| expected:", drawn[False])
print("no defect" if drawn[True] == drawn[False] else "defect")
