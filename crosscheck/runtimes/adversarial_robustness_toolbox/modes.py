"""Each way of asking for a gradient or an attack, as the toolbox's users on torch write it."""

from crosscheck.runtimes.family.toolkits import VISION, Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

__all__ = ["MODES"]

ART = Toolkit(
    plain="class-gradient",
    evaluates=True,
    once="""\
from art.attacks.evasion import FastGradientMethod
from art.estimators.classification import PyTorchClassifier
""",
)
CLASSIFIER = """\
classifier = PyTorchClassifier(
    net, loss=nn.CrossEntropyLoss(reduction="sum"), input_shape=tuple(x.shape[1:]), nb_classes=cotangent.shape[1],
    device_type="cpu",
)
"""
CALLS = {
    "loss-gradient": ("loss", "dx = torch.from_numpy(classifier.loss_gradient(x.numpy(), cotangent.numpy(){}))\n"),
    "class-gradient": (
        "score",
        "dx = torch.from_numpy(classifier.class_gradient(x.numpy(), label=target.numpy(){})[:, 0].copy())\n",
    ),
}
for name, (answers, text) in CALLS.items():
    ART.call(name, contracts.EVALUATION, CLASSIFIER + text.format(""), answers, evaluates=True)
    ART.call(
        f"{name}.training-mode-false",
        contracts.EVALUATION,
        CLASSIFIER + text.format(", training_mode=False"),
        answers,
        default=(),
        evaluates=True,
    )
    ART.call(
        f"{name}.training-mode-true",
        contracts.TRAINING,
        CLASSIFIER + text.format(", training_mode=True"),
        # Asked for several classes, it sums each one's score over all rows, which in training hang together.
        "other" if answers == "score" else answers,
        trains=True,
    )
ART.call(
    "fgm",
    contracts.ATTACK,
    CLASSIFIER + "dx = torch.from_numpy(FastGradientMethod(classifier, eps=0.1).generate(x.numpy()))\n",
    answers="other",
)
DETECTOR = (
    VISION
    + """\
from art.estimators.object_detection import PyTorchObjectDetector


class Detector(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, images, targets=None):
        scores = self.net(torch.stack(list(images)))
        if not self.training:
            return [{"scores": row} for row in scores]
        labels = torch.cat([target["labels"] for target in targets])
        return {"loss_classifier": F.cross_entropy(scores, labels, reduction="sum")}


"""
)
# torchvision's detectors answer losses in training mode alone, so the estimator puts them there. Until 1.14 it takes
# other shapes.
ART.call(
    "detector.loss-gradient",
    contracts.DETECTOR,
    """\
detector = PyTorchObjectDetector(
    Detector(net), input_shape=tuple(x.shape[1:]), attack_losses=("loss_classifier",), device_type="cpu"
)
dx = torch.from_numpy(detector.loss_gradient(x.numpy(), labelled))
""",
    answers="loss",
    once=DETECTOR,
    since="1.15.2",
    before="""\
labelled = [{"boxes": torch.zeros(1, 4).numpy(), "labels": row.numpy()} for row in target.reshape(-1, 1)]
""",
    evaluates=True,
)

MODES = tuple(ART)
