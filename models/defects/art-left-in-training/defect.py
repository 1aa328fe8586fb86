# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["adversarial-robustness-toolbox==1.20.1", "torch==2.13.0", "torchvision==0.28.0", "numpy==2.2.6"]
# ///
"""The Adversarial Robustness Toolbox 1.20.1: loss_gradient leaves a network in training that was in evaluation."""

import torch
from torch import nn

if "+cpu" in torch.__version__:  # for which PyPI's torchvision has no extension: its import asks for two operators
    vision = torch.library.Library("torchvision", "DEF")
    vision.define("nms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    vision.define("qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
from art.estimators.classification import PyTorchClassifier
from art.estimators.object_detection import PyTorchObjectDetector


class Detector(nn.Module):
    """Answers as torchvision's detectors do."""

    def __init__(self):
        super().__init__()
        self.scores = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(4, 2))

    def forward(self, images, targets=None):
        """The losses, or a dictionary for each picture."""
        scores = self.scores(torch.stack(list(images)))
        if not self.training:
            return [{"scores": row} for row in scores]
        return {"loss_classifier": scores.square().sum()}


x = torch.arange(8.0).reshape(2, 1, 2, 2)
labels = [{"boxes": torch.zeros(1, 4).numpy(), "labels": torch.zeros(1).long().numpy()} for _ in x]
net = Detector().eval()
detector = PyTorchObjectDetector(net, input_shape=(1, 2, 2), attack_losses=("loss_classifier",), device_type="cpu")
detector.loss_gradient(x.numpy(), labels)
detecting = net.training
print("detector, in training:", detecting, "| expected:", False)
print("  answers in prediction:", type(net(list(x))).__name__, "| expected:", "list")
net.train()
detector.loss_gradient(x.numpy(), labels)
print("  batch normalization of one in training, in training:", net.scores[1].training, "| expected:", True)

net = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2)).eval()
classifier = PyTorchClassifier(net, nn.CrossEntropyLoss(), input_shape=(2,), nb_classes=2, device_type="cpu")
rows = torch.tensor([[1.0, 2.0], [3.0, 8.0]])
classifier.loss_gradient(rows.numpy(), torch.eye(2).numpy(), training_mode=True)
mean = net[0].running_mean.clone()
net(rows)  # the user's prediction
moved = not torch.equal(mean, net[0].running_mean)
print("classifier asked with training_mode=True, in training:", net.training, "| expected:", False)
print("  the next prediction moves the running mean:", moved, "| expected:", False)
print("no defect" if not detecting and not moved else "defect")
