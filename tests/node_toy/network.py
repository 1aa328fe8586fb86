"""A network with one batch normalization, as the toy's source text."""

from __future__ import annotations

from pathlib import Path

from crosscheck.runtimes.source import Request, Source

__all__ = ["source"]

TOY = Path(__file__).with_name("toy.js")
TENSORS = ("gamma", "beta", "mean", "variance")


def source(request: Request) -> Source:
    """A layer with the network's own tensors, or with those of the first network."""
    (node,) = request.graph["nodes"]
    weights = dict(zip(TENSORS, node["inputs"][1:], strict=True))
    made = "".join(f'  {name}: toy.tensor(weights["{weight}"]),\n' for name, weight in weights.items())
    new = f"net = new toy.BatchNormalization({{\n{made}  epsilon: {node['attributes']['epsilon']},\n}});\n"
    return Source(
        imports=f'import {{ readFileSync, writeFileSync }} from "node:fs";\nimport * as toy from "{TOY}";\n',
        text=new if request.first is None else "const first = net;\nnet = new toy.BatchNormalization(first);\n",
        predict=f"y = net.predict(x);\n{request.norm.get('predict', '')}",
        tensor="toy.tensor({})",
        array="toy.array({})",
        tensors={weight: (f"net.{name}", None) for name, weight in weights.items()},
        public=(weights["gamma"], weights["beta"]),
    )
