"""A summary, whose answer here is the number of parameters."""

from crosscheck.runtimes.family.toolkits import Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

SUMMARY = "dx = torch.tensor(summary(net, input_data=x, verbose=0{}).total_params)\n"

INFO = Toolkit(once="from torchinfo import summary\n")
INFO.call("summary", contracts.EVALUATES, SUMMARY.format(""), answers="other", evaluates=True)
INFO.call("summary-training", contracts.TRAINS, SUMMARY.format(', mode="train"'), answers="other", since="1.7.0")

MODES = tuple(INFO)
