"""The modes of the toy on Node, named after what they do wrong; `adapter.js` carries them out."""

from typing import Any

from crosscheck.probe.adapter import Contract, Mode
from crosscheck.probe.node import NodeAdapter

STAYS = Contract("stay", "the toy's manual promises that statistics stay", "https://example.org/toy/manual")


def _mode(name: str, asks: str = "gradient", intent: str = "training", **more: Any) -> Mode:
    return Mode(name, intent, asks, "toy." + name, STAYS, inference="inference", **more)


class NodeToy(NodeAdapter):
    name = "node_toy"
    modes = (
        _mode("inference", intent="inference", training="training"),
        _mode("training"),
        _mode("predict", asks="prediction", intent="inference"),
        _mode("export", asks="export", intent="inference"),
        _mode("leak-forward"),
        _mode("leak-backward"),
        _mode("leak-later"),
        _mode("input-written"),
        _mode("mode-left-changed"),
        _mode("refused"),
        _mode("lacks-something"),
        _mode("crash"),
        _mode("hang"),
        _mode("eats-memory"),
    )
