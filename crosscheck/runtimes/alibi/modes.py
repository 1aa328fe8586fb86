"""Each way of asking for an explanation by gradients, as Alibi's users write it."""

from crosscheck.runtimes.family.toolkits import KERAS, KERAS_LAYER, KERAS_TARGET, Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

ALIBI = Toolkit(
    once="from alibi.explainers import GradientSimilarity, IntegratedGradients\n",
    states=KERAS,
    target=KERAS_TARGET,
    layer=KERAS_LAYER,
    kind="eager",
)
for name, given, answers in (
    ("integrated-gradients", "net, n_steps=5", "integrated-gradients gauss-legendre/5"),
    ("integrated-gradients.layer", "net, layer=layer, n_steps=5", "other"),
):
    text = f"explanation = IntegratedGradients({given}).explain(x.numpy(), target=target)\n"
    text += "dx = np.array(explanation.attributions[0])\n"
    ALIBI.call(name, contracts.SILENT, text, answers)
ALIBI.call(
    "gradient-similarity",
    contracts.SIMILARITY,
    """\
loss = tf.keras.losses.CategoricalCrossentropy(from_logits=True)
explainer = GradientSimilarity(net, loss, task="classification", backend="tensorflow")
explainer.fit(x.numpy(), cotangent.numpy())
dx = np.array(explainer.explain(x.numpy(), cotangent.numpy()).scores)
""",
    answers="other",
)

MODES = tuple(ALIBI)
