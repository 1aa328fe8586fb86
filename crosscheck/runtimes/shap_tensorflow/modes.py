"""Each way of asking for SHAP values of a Keras model, by gradients."""

from crosscheck.runtimes.family.toolkits import KERAS, Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

SHAP = Toolkit(once="import shap\n", states=KERAS, kind="eager")
SHAP.call(
    "gradient-explainer",
    contracts.GRADIENT,
    "dx = shap.GradientExplainer(net, x.numpy()).shap_values(x.numpy(), nsamples=5, rseed=0)\n",
    answers="other",
)
SHAP.call(
    "deep-explainer",
    contracts.DEEP,
    "dx = shap.DeepExplainer(net, x.numpy()).shap_values(x.numpy(), check_additivity=False)\n",
    answers="other",
)

MODES = tuple(SHAP)
