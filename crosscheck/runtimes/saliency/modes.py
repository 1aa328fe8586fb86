"""Each way of asking for a mask, as the users of saliency write it: they call the network themselves."""

from crosscheck.runtimes.family.toolkits import KERAS, KERAS_TARGET, Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

IMPORTS = """\
import saliency.core as saliency

def call_model(images, call_model_args, expected_keys):
    images = tf.convert_to_tensor(images, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(images)
        score = net(images)[:, call_model_args]
    return {saliency.INPUT_OUTPUT_GRADIENTS: tape.gradient(score, images)}

"""
SALIENCY = Toolkit(plain="gradient", once=IMPORTS, states=KERAS, target=KERAS_TARGET, kind="eager")
for name, mask, answers in (
    ("gradient", "saliency.GradientSaliency().GetMask(row, call_model, index)", "score"),
    (
        "smoothgrad",
        "saliency.GradientSaliency().GetSmoothedMask(row, call_model, index, nsamples=5)",
        "smooth-grad row-by-row/5",
    ),
    (
        "integrated-gradients",
        "saliency.IntegratedGradients().GetMask(row, call_model, index, x_steps=5)",
        "integrated-gradients ends/5",
    ),
    ("guided-ig", "saliency.GuidedIG().GetMask(row, call_model, index, x_steps=5, x_baseline=0 * row)", "other"),
):
    SALIENCY.call(
        name,
        contracts.SILENT,
        f"dx = np.stack([\n    {mask}\n    for row, index in zip(x.numpy(), target)\n])\n",
        answers,
        before="np.random.seed(0)\n" if name == "smoothgrad" else "",
    )

MODES = tuple(SALIENCY)
