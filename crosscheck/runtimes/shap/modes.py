"""Each way of asking for SHAP values of a network, of the class with the highest score."""

from crosscheck.runtimes.family.toolkits import Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

SHAP = Toolkit(once="import shap\n")
BACKGROUND = "background = x.roll(1, 0)\n"
for name, contract, answers, asked in (
    ("GradientExplainer", contracts.GRADIENT, "other", "nsamples=4, ranked_outputs=1, rseed=0"),
    (
        "DeepExplainer",
        contracts.DEEP,
        "completeness of-top-class against-mean",
        "ranked_outputs=1, check_additivity=False",
    ),
):
    mode = name.replace("Explainer", "-explainer").lower()
    made, asks = f"explainer = shap.{name}(net, background)\n", f"dx, classes = explainer.shap_values(x, {asked})\n"
    SHAP.call(mode, contract, made + asks, answers, before=BACKGROUND, evaluates=True)
    SHAP.call(
        f"{mode}-made-before",
        contract,
        asks,
        answers="other",
        before=BACKGROUND + made + "net.train()\n",
        states=("train",),
    )

MODES = tuple(SHAP)
