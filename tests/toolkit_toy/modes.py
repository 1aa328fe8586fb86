"""Calls of a toolkit, each named after its misbehaviour; the text before `---` is its user's."""

from __future__ import annotations

from crosscheck.runtimes.mode import Contract, Modes

SILENT = Contract("undocumented", "nothing is said", "https://example.org/toolkit")

MODES = Modes()

EVALUATION = "for layer in net.training:\n    net.training[layer] = False\n"
GRADIENTS = "net.gradients['scale'] = np.ones(2)\n"
ASKS = 'net.forward(x, "{0}")\ndx = net.backward(cotangent, "{0}")\n'


def call(name: str, text: str, starts: str = "eval", answers: str = "score", before: str = "") -> None:
    """A call that finds the network in a state; `before` is done to it by its user."""
    lines = {"train": "net.train()\n", "eval": EVALUATION, "gradients": EVALUATION + GRADIENTS}[starts]
    MODES.gradient(
        name,
        "training" if starts == "train" else "inference",
        SILENT,
        f"{lines}{before}---\n{text}",
        once="import numpy as np\n",
        starts=starts,
        answers=answers,
        leaves="train" if starts == "train" else "eval",
        inference=None,
        default=True,
    )


call("score", ASKS.format("inference"))
call("score-in-training", ASKS.format("training"), starts="train")
call("score-doubled", ASKS.format("inference") + "dx = dx * 2\n")
call(
    "loss",
    """\
shares = np.exp(net(x))
shares /= shares.sum(axis=1, keepdims=True)
net.forward(x, "inference")
dx = net.backward(shares - cotangent, "inference")
""",
    answers="loss",
)
call("score-for-loss", ASKS.format("inference"), answers="loss")
INTEGRATED = """\
places, shares = np.polynomial.legendre.leggauss(6)
total = np.zeros_like(x)
for place, share in zip(places, shares):
    net.forward(x * (1 + place) / 2, "inference")
    total += share / 2 * net.backward(cotangent, "inference")
dx = x * total
"""
call("integrated", INTEGRATED, answers="integrated-gradients gauss-legendre/6")
call("integrated-without-input", INTEGRATED + "dx = total\n", answers="integrated-gradients gauss-legendre/6")
SHARED_OUT = """\
dx = np.zeros_like(x)
dx[:, 0, 0, 0] = ((net(x) - net(np.zeros_like(x))) * cotangent).sum(axis=1)
"""
call("adds-up", SHARED_OUT, answers="completeness")
call("does-not-add-up", SHARED_OUT + "dx[0] += 1\n", answers="completeness")
call("no-form", "dx = np.full_like(x, 7)\n", answers="other")
call("leaks", ASKS.format("leak-backward"), starts="train")
call("leaks-of-its-own-inputs", "net.update(x * 3)\nnet.update(x + 1)\ndx = x\n", starts="train", answers="other")
call("leaves-evaluation", ASKS.format("training") + EVALUATION, starts="train")
call("leaves-training", ASKS.format("inference") + "net.train()\n")
call("keeps-gradients", ASKS.format("inference"), starts="gradients")
call("clears-gradients", ASKS.format("inference") + "net.gradients.clear()\n", starts="gradients")
call("leaves-gradients", ASKS.format("inference") + GRADIENTS)
ASKED = ASKS.format("inference")
MOVES_WHAT_IS_SAVED = "net.detach()\nnet.update(x)\n"
call("saves-moved-statistics", ASKED + MOVES_WHAT_IS_SAVED)
call("leaks-and-saves", ASKS.format("leak-backward"), starts="train")
call("saves-another-tensor", ASKED + "net.tensors['mask'] = np.ones(2)\n")
call("cannot-be-copied", ASKED + "net.keeps = (row for row in x)\n")
call("refuses-a-second-derivative", ASKED + "net.hook = toylib.refusing\n")
call("bends-a-second-derivative", ASKED + "net.hook = toylib.positive\n")
call("starts-unpicklable", ASKED, before="net.keeps = (row for row in x)\n")
call("imports", 'import sys\nassert "colorsys" in sys.modules\n' + ASKS.format("inference"))
