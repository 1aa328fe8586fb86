"""A network of the toy: the graph as a literal."""

from __future__ import annotations

import json

from crosscheck.runtimes.source import Request, Source

__all__ = ["SHOWS_LAYERS", "TRAINS", "source"]

SHOWS_LAYERS = TRAINS = True
#: What users do with a network later.
REUSE = {
    "save": 'toylib.save(net, "net.npz")\n',
    "load": 'net.restore("net.npz")\n',
    "copy": "copy.deepcopy(net)\n",
    "pickle": "pickle.dumps(net)\n",
    "differentiate-twice": "dx = net.differentiate_twice(x, cotangent)\n",
}


LOOKS = """\
def look():
    gradients = {f"{name}: a gradient" for name in net.gradients}
    return gradients | {f"{name}: training={flag}" for name, flag in net.training.items()}
"""


def source(request: Request) -> Source:
    """The graph as a literal, and a network of it; fed statistics are arrays beside it."""
    habit = f', habit="{request.norm["habit"]}"' if "habit" in request.norm else ""
    shares = "" if request.first is None else ", shares=first"
    text = "" if request.first is None else "first = net\n"
    text += f"graph = {json.dumps(request.graph)}\nnet = toylib.Net(graph, weights{habit}{shares})\n"
    statistics = [
        name for node in request.graph["nodes"] if node["op"] == "BatchNormalization" for name in node["inputs"][3:5]
    ]
    if request.fed and request.first is None:
        text += f"statistics = {{name: np.array(weights[name]) for name in {statistics}}}\n"
    training = ", training=True" if request.norm.get("habit") == "forward-leak" else ""
    held = {name: "statistics" if request.fed and name in statistics else "net.tensors" for name in request.weights}
    return Source(
        imports="import copy\nimport pickle\n\nimport numpy as np\nimport toylib\n",
        text=text,
        predict=f"y = net.predict(x{', statistics' if request.fed else ''})\n",
        train="net.step(x)\n",
        tensor="np.array({})",
        array="toylib.numbers({})",
        reuse=REUSE,
        looks=LOOKS,
        layers=f"layers = net.layers(x{training})\n",
        tensors={name: (f'{where}["{name}"]', None) for name, where in held.items()},
        public=tuple(name for name in request.weights if name not in statistics),
        leaves=("eval", ""),
    )
