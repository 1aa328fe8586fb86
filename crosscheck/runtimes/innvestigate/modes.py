"""Each way of asking for an analysis, as iNNvestigate's users write it, in a graph."""

from textwrap import indent

from crosscheck.runtimes.family.toolkits import KERAS, Toolkit
from crosscheck.runtimes.mode import Contracts
from crosscheck.runtimes.tensorflow.layers import BLOCK

contracts = Contracts(__file__)

TEXT = """\
analyzer = innvestigate.create_analyzer("{}", net, neuron_selection_mode="index")
dx = analyzer.analyze(x, neuron_selection=target)
"""
# LRP refuses batch normalization.
INNVESTIGATE = Toolkit(plain="gradient", once="import innvestigate\n", states=KERAS, kind="session")
for analyzer, answers in {
    "gradient": "score",
    "input_t_gradient": "input-x-gradient",
    "guided_backprop": "guided-backprop from-score",
    "deconvnet": "deconvolution from-score",
    "deep_taylor": "other",
}.items():
    INNVESTIGATE.call(
        analyzer.replace("_", "-"),
        contracts.SILENT,
        BLOCK + indent(TEXT.format(analyzer), "    "),
        answers,
    )

MODES = tuple(INNVESTIGATE)
