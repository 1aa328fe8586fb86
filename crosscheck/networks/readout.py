"""Builds the second network of scenario `ascent`: a network followed by a linear layer that selects one class."""

from __future__ import annotations

import numpy as np

from crosscheck.errors import NetworkError
from crosscheck.networks.forms import Form, build_model
from crosscheck.networks.graph import GEMM, Graph, Node, Value
from crosscheck.networks.network import Network
from crosscheck.onnx_models.domains import opset_of

__all__ = ["readout"]


def readout(network: Network, target_class: int) -> Network:
    """`network` followed by a Gemm with one output, the score of `target_class`; same tensor names and probe.

    The Gemm's weight is one-hot, (1, classes), its bias zero, and the cotangent ones, (rows, 1): the gradient is that
    of the class's score. Raises NetworkError if the output is not (N, classes) or lacks the class.
    """
    (output,) = network.graph["outputs"]
    classes = output["shape"][1]
    if len(output["shape"]) != 2 or not isinstance(classes, int) or not 0 <= target_class < classes:
        raise NetworkError(
            f"{network.name}: its output {output['shape']} has no class {target_class}; a read-out needs a classifier."
        )
    name = f"{network.name}-readout"
    graph = Graph(
        name=name,
        inputs=network.graph["inputs"],
        outputs=[Value(name="readout", shape=["N", 1])],
        nodes=[
            *network.graph["nodes"],
            Node(
                op="Gemm",
                name="readout.gemm",
                inputs=[output["name"], "readout.weight", "readout.bias"],
                outputs=["readout"],
                attributes=dict(GEMM),
            ),
        ],
    )
    weights = {
        **network.weights,
        "readout.weight": np.eye(classes, dtype=np.float32)[[target_class]],
        "readout.bias": np.zeros(1, np.float32),
    }
    opset = opset_of(network.model)
    return Network(
        name=name,
        title=f"{network.title}, read out at class {target_class}",
        description=network.description,
        model=build_model(graph, weights, Form(opset, training=False, momentum=True)),
        graph=graph,
        weights=weights,
        x=network.x,
        cotangent=np.ones((len(network.x), 1), np.float32),
    )
