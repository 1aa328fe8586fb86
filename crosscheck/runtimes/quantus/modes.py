"""An attribution by Quantus, and a measure of one, as its users write them."""

from crosscheck.runtimes.family.toolkits import Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

QUANTUS = Toolkit(once="import quantus\n")
BEFORE = "pictures, classes = x.numpy(), target.numpy()\n"
QUANTUS.call(
    "explain",
    contracts.EXPLAIN,
    'dx = quantus.explain(net, pictures, classes, method="Saliency")\n',
    answers="gradient absolute picture-sum-channel",
    evaluates=True,
    before=BEFORE,
)
QUANTUS.call(
    "pixel-flipping",
    contracts.METRIC,
    """\
measure = quantus.PixelFlipping(features_in_step=8, disable_warnings=True)
dx = torch.tensor(measure(net, pictures, classes, a_batch=np.abs(pictures).sum(1, keepdims=True)))
""",
    answers="other",
    once="import numpy as np\n",
    before=BEFORE,
)

MODES = tuple(QUANTUS)
