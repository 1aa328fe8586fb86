"""Each way of asking for a gradient or an attack, as the toolbox's users on MXNet write it."""

from crosscheck.runtimes.family.toolkits import MXNET, Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

__all__ = ["MODES"]

IMPORTS = (
    "from art.attacks.evasion import FastGradientMethod\nfrom art.estimators.classification.mxnet import MXClassifier\n"
)
CLASSIFIER = """\
classifier = MXClassifier(
    net, loss=gluon.loss.SoftmaxCrossEntropyLoss(), input_shape=x.shape[1:], nb_classes=cotangent.shape[1]
)
"""
#: In these releases the toolbox asks for layers by number, which a list of them alone has.
LISTED = "model = nn.HybridSequential()\nmodel.add(net)\n"
ONCE = "from art.attacks import FastGradientMethod\nfrom art.classifiers import MXClassifier\n"
#: Last release -> its imports and its constructor.
OLDER = {
    "0.5.0": (
        ONCE,
        LISTED
        + "classifier = MXClassifier((-100, 100), model, input_shape=x.shape[1:], nb_classes=cotangent.shape[1])\n",
    ),
    "1.0.1": (ONCE, LISTED + CLASSIFIER.replace("net,", "model,")),
}
#: The first release with the argument.
TRAINING_MODE = "1.5.0"

ART = Toolkit(once=IMPORTS, states=MXNET)
CALLS = {
    "loss-gradient": ("loss", "dx = mx.nd.array(classifier.loss_gradient(x.asnumpy(), cotangent.asnumpy(){}))\n"),
    "class-gradient": (
        "score",
        "label = cotangent.asnumpy().argmax(1)\n"
        "dx = mx.nd.array(classifier.class_gradient(x.asnumpy(), label=label{})[:, 0])\n",
    ),
}


def older(call: str) -> dict[str, tuple[str, str]]:
    """The texts and imports of older releases."""
    return {until: (made + call, imports) for until, (imports, made) in OLDER.items()}


for name, (answers, text) in CALLS.items():
    call = text.format("")
    ART.call(name, contracts.EVALUATION, CLASSIFIER + call, answers, evaluates=True, older=older(call), kind="gluon")
    for mode in (False, True):
        ART.call(
            f"{name}.training-mode-{str(mode).lower()}",
            contracts.TRAINING if mode else contracts.EVALUATION,
            CLASSIFIER + text.format(f", training_mode={mode}"),
            # Asked for several classes, it sums each one's score over all rows, which in training hang together.
            "other" if mode and answers == "score" else answers,
            evaluates=not mode,
            trains=mode,
            default=("eval",) if mode else (),
            since=TRAINING_MODE,
            kind="gluon",
        )
attack = "dx = mx.nd.array(FastGradientMethod(classifier, eps=0.1).generate(x.asnumpy()))\n"
ART.call("fgm", contracts.ATTACK, CLASSIFIER + attack, answers="other", older=older(attack), kind="gluon")

MODES = tuple(ART)
