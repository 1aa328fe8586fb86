"""The toy's modes, each named after its misbehaviour."""

from __future__ import annotations

from typing import Any

from crosscheck.runtimes.mode import Contract, Modes

STAYS = Contract("stay", "the toy's manual promises that statistics stay", "https://example.org/toy/manual")
MOVES = Contract("move", "the toy's manual says that training moves statistics", "https://example.org/toy/manual")

MODES = Modes(inference="inference", adopting=r"^net\.adopt\(")


def gradient(
    name: str, contract: Contract = STAYS, intent: str = "training", text: str = "", way: str = "", **more: Any
) -> None:
    """Two calls, told in which way to misbehave; by default in that of the mode's name."""
    text = text or f'net.forward(x, "{way or name}")\n---\ndx = net.backward(cotangent, "{way or name}")\n'
    MODES.gradient(name, intent, contract, text, default=True, **{"training": None, **more})


gradient("inference", intent="inference", training="training")
gradient("training")
MODES.prediction("predict", "inference", STAYS, "y = net.predict(x)\n", default=True, inference="inference")
gradient("leak-backward", MOVES)
gradient("leak-forward")
gradient("leak-both")
gradient("leak-on-read", norm={"habit": "leak-on-read"})
gradient("leak-unbiased-take")
gradient("leak-second")
gradient("leak-one-momentum")
gradient("state-moved")
gradient("corrupted")
gradient("nan")
gradient("poisoned")
gradient("wrong-gradient", intent="inference")
gradient("mode-ignored", intent="inference")
gradient("no-gradient", intent="inference", training="training")
gradient("pool-garbage", intent="inference", training="training")
gradient("pool-order-dependent", intent="inference", training="training")
gradient("pool-disturbed-later", way="training", inference="pool-order-dependent")
gradient("wrong-whole", intent="inference")
gradient("refuses-parts", intent="inference")
gradient("crashes-in-parts", intent="inference")
gradient("wrong-prediction", intent="inference", norm={"habit": "wrong-prediction"})
gradient("order-dependent", intent="inference", training="training")
gradient("racy")
gradient("unrepeatable")
gradient("parameters-written")
gradient("input-written")
gradient("mode-left-changed")
gradient("layer-switched")
gradient("gradients-left")
gradient("rewrites")
gradient(
    "trains-first",
    text='net.train()\nnet.forward(x, "training")\n---\ndx = net.backward(cotangent, "training")\n',
    leaves="train",
)
gradient(
    "adopts",
    MOVES,
    text="""\
net.forward(x, "training")
statistics = net.averaged(x)
---
dx = net.backward(cotangent, "training")
net.adopt(statistics)
""",
)
FED = 'net.forward(x, "{0}", statistics)\n---\ndx = net.backward(cotangent, "{0}")\n'
gradient("fed", text=FED.format("training"), fed=True)
gradient("fed-written", text=FED.format("fed-written"), fed=True)
for name, unit_scale in (("prediction-writes-scale", True), ("prediction-writes-input", False)):
    MODES.prediction(
        name,
        "inference",
        STAYS,
        "y = net(x)\n",
        default=True,
        inference="inference",
        norm={"habit": name},
        unit_scale=unit_scale,
    )
MODES.prediction(
    "forward-leak",
    "training",
    STAYS,
    "y = net.leaking_forward(x)\n",
    default=True,
    inference="inference",
    norm={"habit": "forward-leak"},
)
MODES.prediction("forward-ignored", "training", STAYS, "y = net(x)\n", default=True, inference="inference")
READ = '---\nnet = toylib.load(net, "toy.npz")\n'
SAVE = 'toylib.save(net, "toy.npz")\n'
FIRST_NORM = 'net.norms[0]["inputs"]'
MODES.export("export", "inference", STAYS, SAVE + READ, default=True, inference="inference")
MODES.export(
    "export-changes-source",
    "inference",
    STAYS,
    SAVE + f"net.tensors[{FIRST_NORM}[3]] += np.float32(1)\n" + READ,
    default=True,
    inference="inference",
)
MODES.export(
    "export-changes-copy",
    "inference",
    STAYS,
    SAVE + READ + f"net.tensors[{FIRST_NORM}[1]][...] = 3\n",
    default=True,
    inference="inference",
)
gradient("refused")
gradient("crash")
gradient("crash-in-a-fork")
gradient("crash-later")
gradient("hang")
gradient("eats-memory")
gradient("from-1.8", since="1.8.0")
