"""A summary, which is printed: there is no answer."""

from crosscheck.runtimes.family.toolkits import Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

SUMMARY = Toolkit(once="from torchsummary import summary\n")
SUMMARY.call(
    "summary",
    contracts.SILENT,
    'summary(net, tuple(x.shape[1:]), device="cpu")\ndx = torch.zeros(0)\n',
    answers="other",
    before="torch.manual_seed(0)\n",
)

MODES = tuple(SUMMARY)
