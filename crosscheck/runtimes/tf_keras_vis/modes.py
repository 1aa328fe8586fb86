"""Each way of asking for a map, as the users of tf-keras-vis write it."""

from typing import Any

from crosscheck.runtimes.family.toolkits import KERAS, KERAS_TARGET, Toolkit
from crosscheck.runtimes.mode import Contract, Contracts

contracts = Contracts(__file__)

IMPORTS = """\
from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
from tf_keras_vis.saliency import Saliency
from tf_keras_vis.utils.model_modifiers import GuidedBackpropagation, ReplaceToLinear
from tf_keras_vis.utils.scores import CategoricalScore
"""
#: The gradient as it is, without the absolute value, and the maximum over the channels, that are the default.
PLAIN = "score, x, keepdims=True, gradient_modifier=None, normalize_map=False"
#: Name -> the text, what it answers, contract, further arguments.
CALLS: dict[str, tuple[str, str, Contract, dict[str, Any]]] = {
    "saliency": (f"Saliency(net)({PLAIN})", "score", contracts.SALIENCY, {}),
    "saliency.training": (
        f"Saliency(net)({PLAIN}, training=True)",
        "score",
        contracts.SALIENCY_TRAINING,
        {"trains": True},
    ),
    "saliency.linear": (f"Saliency(net, ReplaceToLinear())({PLAIN})", "score", contracts.CLONE, {}),
    "saliency.linear.no-clone": (
        f"Saliency(net, ReplaceToLinear(), clone=False)({PLAIN})",
        "score",
        contracts.NO_CLONE,
        {},
    ),
    "smoothgrad": (
        "Saliency(net)(score, x, smooth_samples=5)",
        "smooth-grad all-rows/5 max-last no-last scaled",
        contracts.SALIENCY,
        {"before": "np.random.seed(0)\n"},
    ),
    "guided-backprop": (f"Saliency(net, GuidedBackpropagation())({PLAIN})", "guided-backprop", contracts.CLONE, {}),
    "guided-backprop.no-clone": (
        f"Saliency(net, GuidedBackpropagation(), clone=False)({PLAIN})",
        "guided-backprop",
        contracts.NO_CLONE,
        {},
    ),
    "gradcam": ("Gradcam(net)(score, x)", "other", contracts.GRADCAM, {}),
    "gradcam.training": (
        "Gradcam(net)(score, x, training=True)",
        "other",
        contracts.GRADCAM_TRAINING,
        {"trains": True},
    ),
    "gradcam-plus-plus": ("GradcamPlusPlus(net)(score, x)", "other", contracts.GRADCAM_PLUS_PLUS, {}),
}

VIS = Toolkit(plain="saliency", once=IMPORTS, states=KERAS, target=KERAS_TARGET, kind="eager")
for name, (text, answers, contract, more) in CALLS.items():
    score = "score = CategoricalScore(target.tolist())\n"
    VIS.call(name, contract, f"dx = {text}\n", answers, **{**more, "before": score + more.get("before", "")})

MODES = tuple(VIS)
