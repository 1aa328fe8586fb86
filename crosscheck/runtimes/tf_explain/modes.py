"""Each way of asking for a map, as the users of tf-explain write it: one class for all rows."""

from crosscheck.runtimes.family.toolkits import KERAS, KERAS_LAYER, KERAS_TARGET, Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

IMPORTS = """\
from tf_explain.core.grad_cam import GradCAM
from tf_explain.core.gradients_inputs import GradientsInputs
from tf_explain.core.integrated_gradients import IntegratedGradients
from tf_explain.core.smoothgrad import SmoothGrad
from tf_explain.core.vanilla_gradients import VanillaGradients
"""
EXPLAIN = Toolkit(
    plain="vanilla-gradients", once=IMPORTS, states=KERAS, target=KERAS_TARGET, layer=KERAS_LAYER, kind="eager"
)
#: What `explain` makes a picture of.
EXPLAIN.call(
    "vanilla-gradients",
    contracts.SILENT,
    """\
rows = [VanillaGradients.compute_gradients(x[row : row + 1], net, int(target[row])) for row in range(len(target))]
dx = tf.concat(rows, axis=0)
""",
    answers="score",
)
for name, made in {
    "vanilla-gradients.explain": "VanillaGradients",
    "gradients-inputs": "GradientsInputs",
    "integrated-gradients": "IntegratedGradients",
    "smoothgrad": "SmoothGrad",
}.items():
    seed = "np.random.seed(0)\n" if name == "smoothgrad" else ""
    EXPLAIN.call(name, contracts.SILENT, f"dx = {made}().explain((x, None), net, 0)\n", answers="other", before=seed)
# The picture needs an input of three channels, which come last. Keras 3 has no `output_shape` to find the layer by.
EXPLAIN.call(
    "grad-cam",
    contracts.SILENT,
    """\
outputs, gradients = GradCAM.get_gradients_and_filters(net, x, layer.name, 0, use_guided_grads=True)
dx = tf.stack(GradCAM.generate_ponderated_output(outputs, gradients))
""",
    answers="other",
)

MODES = tuple(EXPLAIN)
