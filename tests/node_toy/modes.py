"""The modes of the toy on Node, named after their misbehaviour."""

from __future__ import annotations

from crosscheck.runtimes.mode import Contract, Modes

STAYS = Contract("stay", "the toy's manual promises that statistics stay", "https://example.org/toy/manual")
FORWARD = "y = net.predict(x);\n"
BACKWARD = "dx = await net.gradient(x, cotangent, { training: true });\n"
UPDATE = "net.update(x);\n"

TOY = Modes(inference="inference", training="training")

TOY.gradient("inference", "inference", STAYS, "dx = await net.gradient(x, cotangent, { training: false });\n")
TOY.prediction("predict", "inference", STAYS, FORWARD)
TOY.prediction("predict-writes-input", "inference", STAYS, FORWARD, norm={"predict": "x.data.fill(7);\n"})
TOY.export(
    "export",
    "inference",
    STAYS,
    """\
writeFileSync("toy.json", JSON.stringify(toy.written(net)));
---
net = toy.restored(JSON.parse(readFileSync("toy.json", "utf8")));
""",
)
for name, before, after in (
    ("training", "", ""),
    ("leak-forward", UPDATE, ""),
    ("leak-backward", "", UPDATE),
    ("leak-later", "", "toy.pending.push(() => net.update(x));\n"),
    ("input-written", "", "x.data.fill(7);\n"),
    ("mode-left-changed", "", "toy.flags.training = true;\n"),
    ("gradients-left", "", 'toy.gradients["bn.gamma.gradient"] = dx;\n'),
    ("layer-switched", "", "toy.switched.bn = true;\n"),
    ("refused", "", "toy.refuse();\n"),
    ("crash", "", "toy.crash();\n"),
    ("hang", "", "toy.hang();\n"),
    ("eats-memory", "", "toy.eatMemory();\n"),
):
    TOY.gradient(name, "training", STAYS, f"{FORWARD}{before}---\n{BACKWARD}{after}")
TOY.gradient("of-a-later-release", "training", STAYS, "dx = toy.something(net, x, cotangent);\n", since="2.0.0")

MODES = tuple(TOY)
