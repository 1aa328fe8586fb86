"""Networks whose operators are compiled before the first trial, which has a time limit: each takes a second.

They hold what networks with batch normalization begin with. Further operators are compiled by the trials that use them.
"""

from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

from crosscheck.probe.adapter import Array, Network

CONVOLUTION = {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1] * 4, "dilations": [1, 1], "group": 1}
NORMALIZATION = {"epsilon": 1e-3, "momentum": 0.9}
POOL = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0] * 4}

#: Operator, its attributes, and the shapes of its weights.
Layer = Tuple[str, Dict[str, Any], Sequence[Sequence[int]]]
DENSE: List[Layer] = [("BatchNormalization", NORMALIZATION, [(2,)] * 4)]
CONVOLUTIONAL: List[Layer] = [
    ("Conv", CONVOLUTION, [(4, 3, 3, 3), (4,)]),
    ("BatchNormalization", NORMALIZATION, [(4,)] * 4),
    ("Relu", {}, []),
    ("Conv", CONVOLUTION, [(4, 4, 3, 3)]),
    ("BatchNormalization", NORMALIZATION, [(4,)] * 4),
    ("Relu", {}, []),
    ("MaxPool", POOL, []),
    ("Flatten", {"axis": 1}, []),
    ("Gemm", {}, [(5, 16), (5,)]),
]


def networks() -> List[Tuple[Network, Array, Array]]:
    """Each network with an input and a cotangent for it."""
    return [
        (chain(DENSE, [2]), np.ones((4, 2), np.float32), np.ones((4, 2), np.float32)),
        (chain(CONVOLUTIONAL, [3, 4, 4]), np.ones((2, 3, 4, 4), np.float32), np.ones((2, 5), np.float32)),
    ]


def chain(layers: Sequence[Layer], shape: Sequence[int]) -> Network:
    """One operator after the other, every weight one."""
    nodes: List[Dict[str, Any]] = []
    weights: Dict[str, Array] = {}
    for number, (op, attributes, shapes) in enumerate(layers):
        names = ["{}.{}".format(number, index) for index in range(len(shapes))]
        weights.update((name, np.ones(size, np.float32)) for name, size in zip(names, shapes))
        nodes.append(
            {
                "op": op,
                "name": "node{}".format(number),
                "inputs": ["value{}".format(number)] + names,
                "outputs": ["value{}".format(number + 1)],
                "attributes": attributes,
            }
        )
    graph = {
        "name": "warming",
        "inputs": [{"name": "value0", "shape": ["N"] + list(shape)}],
        "outputs": [{"name": "value{}".format(len(layers)), "shape": ["N"]}],
        "nodes": nodes,
    }
    return Network(graph=graph, weights=weights, onnx={}, batch=2, scratch="", kept="")
