# /// script
# requires-python = ">=3.10,<3.11"
# dependencies = [
#     "oneflow==0.9.0", "numpy==1.23.5", "protobuf==3.20.3", "nvidia-cublas-cu11==11.10.3.66",
#     "nvidia-cudnn-cu11==8.5.0.96",
# ]
# ///
"""OneFlow 0.9.0: after a training graph the module has gradients without values, and `backward()` raises."""

import numpy as np
import oneflow as flow
from oneflow import nn


class Objective(nn.Module):
    """The sum of a network's output, for an image that is a parameter."""

    def __init__(self, net, image):
        super().__init__()
        self.net, self.image = net, nn.Parameter(image)

    def forward(self):
        """The sum."""
        return self.net(self.image).sum()


class Descent(nn.Graph):
    """A step of gradient descent on the image."""

    def __init__(self, objective):
        super().__init__()
        self.objective = objective
        self.add_optimizer(flow.optim.SGD([objective.image], lr=1.0))

    def build(self):
        """The loss, with its gradients."""
        loss = self.objective()
        loss.backward()
        return loss


net = nn.Linear(2, 1)
image = flow.tensor(np.float32([[0.3, 0.4]]))
Descent(Objective(net, image.clone()))()
print("gradient on the weight:", net.weight.grad, "| expected: None, as the graph's optimizer has the image alone")
raised = ""
try:
    net(image.requires_grad_()).sum().backward()
except RuntimeError as error:
    raised = str(error).split("\n")[0]
print("backward():", raised or "no error", "| expected: no error")
print("no defect" if not raised else "defect")
