"""Each way of asking for an attribution, as Zennit's users write it."""

from crosscheck.runtimes.family.toolkits import VISION, Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

ZENNIT = Toolkit(plain="gradient", once=VISION + "from zennit.attribution import Gradient\n")
ZENNIT.call(
    "gradient",
    contracts.GRADIENT,
    "with Gradient(net) as attributor:\n    y, dx = attributor(x, cotangent)\n",
    answers="score",
)
ZENNIT.call(
    "epsilon-plus",
    contracts.CANONIZER,
    "composite = EpsilonPlus(canonizers=[SequentialMergeBatchNorm()])\n"
    "with Gradient(net, composite) as attributor:\n    y, dx = attributor(x, cotangent)\n",
    answers="other",
    once="from zennit.canonizers import SequentialMergeBatchNorm\nfrom zennit.composites import EpsilonPlus\n",
)

MODES = tuple(ZENNIT)
