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
    made, values = f"explainer = shap.{name}(net, background)\n", f"classes = explainer.shap_values(x, {asked})\n"
    asks, listed = f"dx, {values}", f"(dx,), {values}"  # until 0.44.1 a list, an array a class
    SHAP.call(
        mode,
        contract,
        made + asks,
        answers,
        before=BACKGROUND,
        evaluates=True,
        older={"0.44.1": (made + listed, SHAP.once)},
    )
    SHAP.call(
        f"{mode}-made-before",
        contract,
        asks,
        answers="other",
        before=BACKGROUND + made + "net.train()\n",
        states=("train",),
        older={"0.44.1": (listed, SHAP.once)},
    )

MODES = tuple(SHAP)
