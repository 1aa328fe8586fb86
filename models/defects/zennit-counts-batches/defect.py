# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["zennit==0.5.1", "torch==2.13.0", "torchvision==0.28.0", "numpy==2.2.6"]
# ///
"""Zennit 0.5.1: after a canonizer has restored a batch normalization in training, its count of batches stays moved."""

import torch
from torch import nn

if "+cpu" in torch.__version__:  # for which PyPI's torchvision has no extension: its import asks for two operators
    vision = torch.library.Library("torchvision", "DEF")
    vision.define("nms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    vision.define("qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
from zennit.attribution import Gradient
from zennit.canonizers import SequentialMergeBatchNorm
from zennit.composites import EpsilonPlus

x = torch.tensor([[1.0], [3.0]])
kept, statistics = {}, {}
for called in (False, True):
    norm = nn.BatchNorm1d(1, momentum=None)  # None: the statistics are the mean of those of all batches
    net = nn.Sequential(nn.Linear(1, 1, bias=False), norm)
    nn.init.ones_(net[0].weight)
    net(x)  # a training step: mean 2
    if called:
        before = {name: value.clone() for name, value in net.state_dict().items()}
        with Gradient(net, EpsilonPlus(canonizers=[SequentialMergeBatchNorm()])) as attributor:
            attributor(x, torch.ones(2, 1))
        kept = {name: torch.equal(value, before[name]) for name, value in net.state_dict().items()}
    net(x + 4)  # the next one: mean 6
    statistics[called] = norm.running_mean.item()
print("entries of the state that the call has changed:", *[n for n, k in kept.items() if not k], "| expected: none")
print("running mean after a second step:", statistics[True], "| expected:", statistics[False])
print("no defect" if all(kept.values()) and statistics[True] == statistics[False] else "defect")
