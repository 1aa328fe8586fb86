"""A network of the toy: the graph as a literal."""

from __future__ import annotations

import json

from crosscheck.runtimes.source import Request, Source

__all__ = ["SHOWS_LAYERS", "source"]

SHOWS_LAYERS = True


def source(request: Request) -> Source:
    """The graph as a literal, and a network built from it."""
    habit = f', habit="{request.norm["habit"]}"' if "habit" in request.norm else ""
    first = "" if request.first is None else "first = net\n"
    shares = "" if request.first is None else ", shares=first"
    statistics = {
        name for node in request.graph["nodes"] if node["op"] == "BatchNormalization" for name in node["inputs"][3:5]
    }
    training = ", training=True" if request.norm.get("habit") == "forward-leak" else ""
    return Source(
        imports="import numpy as np\nimport toylib\n",
        text=f"{first}graph = {json.dumps(request.graph)}\nnet = toylib.Net(graph, weights{habit}{shares})\n",
        predict="y = net.predict(x)\n",
        tensor="np.array({})",
        array="toylib.numbers({})",
        layers=f"layers = net.layers(x{training})\n",
        tensors={name: (f'net.tensors["{name}"]', None) for name in request.weights},
        public=tuple(name for name in request.weights if name not in statistics),
    )
