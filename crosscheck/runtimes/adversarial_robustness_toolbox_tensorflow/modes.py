"""Each way of asking for a gradient or an attack, as the toolbox's users on TensorFlow write it."""

from crosscheck.runtimes.family.toolkits import KERAS, KERAS_TARGET, Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

IMPORTS = """\
from art.attacks.evasion import FastGradientMethod
from art.estimators.classification import KerasClassifier, TensorFlowV2Classifier
"""
#: A training step sets `loss`.
LOSS = 'loss_object = tf.keras.losses.CategoricalCrossentropy(from_logits=True, reduction="sum")\n'
#: Name -> what the user does with the network before, and the classifier.
CLASSIFIERS = {
    "tensorflow": (
        LOSS,
        "classifier = TensorFlowV2Classifier(net, cotangent.shape[1], x.shape[1:], loss_object=loss_object)\n",
    ),
    "keras": (LOSS + "net.compile(loss=loss_object)\n", "classifier = KerasClassifier(net, use_logits=True)\n"),
}
CALLS = {
    "loss-gradient": ("loss", "dx = classifier.loss_gradient(x.numpy(), cotangent.numpy(){})\n"),
    "class-gradient": ("score", "dx = classifier.class_gradient(x.numpy(), label=target{})[:, 0]\n"),
}

ART = Toolkit(once=IMPORTS, states=KERAS, target=KERAS_TARGET, kind="eager")
for api, (before, made) in CLASSIFIERS.items():
    for name, (answers, text) in CALLS.items():
        ART.call(
            f"{api}.{name}",
            contracts.EVALUATION,
            made + text.format(""),
            answers,
            before=before,
            inference=None,
        )
        # The class's outputs of all rows are differentiated, which in training depend on each row: no sum of scores.
        ART.call(
            f"{api}.{name}.training-mode",
            contracts.TRAINING,
            made + text.format(", training_mode=True"),
            "other" if answers == "score" else answers,
            before=before,
            trains=True,
            inference=None,
        )
    attack = "dx = FastGradientMethod(classifier, eps=0.1).generate(x.numpy())\n"
    ART.call(f"{api}.fgm", contracts.ATTACK, made + attack, answers="other", before=before)

MODES = tuple(ART)
