"""The network in CNTK's operators over parameters and constants; its layout is ONNX's, without the batch axis."""

import math
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

import numpy as np

from crosscheck.probe.adapter import Network
from crosscheck.probe.modes import Norm

#: How many batches the statistics are said to stem from: without any, CNTK refuses to predict.
COUNTED = 6


class Model:
    """The network's function and its input, over `tensors`: weight name -> parameter or constant."""

    def __init__(self, cntk: Any, network: Network, shares: Optional["Model"], norm: Norm) -> None:
        self.network = network
        self.tensors: Dict[str, Any] = dict(shares.tensors) if shares else {}
        self.counts: Dict[str, Any] = dict(shares.counts) if shares else {}
        self.cntk = cntk
        self.norm = norm
        self.x = self.variable()
        self.values = self.outputs()
        self.net = self.values[network.graph["outputs"][0]["name"]]

    def variable(self) -> Any:
        """An input whose gradient can be asked for."""
        shape = tuple(self.network.graph["inputs"][0]["shape"][1:])
        return self.cntk.input_variable(shape, needs_gradient=True)

    def outputs(self) -> Dict[str, Any]:
        """What every node puts out, by tensor name; the input is not among it."""
        cntk, network = self.cntk, self.network
        statistics = {
            name for node in network.graph["nodes"] if node["op"] == "BatchNormalization" for name in node["inputs"][3:]
        }
        found = {network.graph["inputs"][0]["name"]: self.x}
        for node in network.graph["nodes"]:
            for name in node["inputs"]:
                if name in network.weights and name not in self.tensors:
                    value = network.weights[name]
                    self.tensors[name] = cntk.Constant(value) if name in statistics else cntk.Parameter(init=value)
            inputs = [found[name] if name in found else self.tensors[name] for name in node["inputs"]]
            if node["op"] == "BatchNormalization":
                samples = np.array(COUNTED * network.batch, np.float32)
                count = self.counts.setdefault(node["name"], cntk.Constant(samples))
                value = batch_norm(cntk, node["attributes"], self.network.batch, self.norm, count, *inputs)
            else:
                value = FUNCTIONS[node["op"]](cntk, node["attributes"], *inputs)
            found[node["outputs"][0]] = value
        return {name: value for name, value in found.items() if value is not self.x}


def batch_norm(
    cntk: Any, attributes: Mapping[str, Any], rows: int, norm: Norm, count: Any, x: Any, *tensors: Any
) -> Any:
    """`C.batch_normalization`, whose part kept is exp(-rows / time constant): it depends on the size of the batch."""
    times = {"normalization_time_constant": -rows / math.log(attributes["momentum"]), "blend_time_constant": 0}
    times.update(norm)
    return cntk.batch_normalization(
        x,
        *tensors,
        running_count=count,
        spatial=len(x.shape) > 1,
        epsilon=attributes["epsilon"],
        use_cudnn_engine=False,
        **times,
    )


def padded(cntk: Any, x: Any, pads: Sequence[int], value: float) -> Any:
    """`x` with ONNX's pads, all beginnings and then all ends."""
    if not any(pads):
        return x
    half = len(pads) // 2
    pattern = [(0, 0)] + list(zip(pads[:half], pads[half:]))
    return cntk.pad(x, pattern, constant_value=value)


def convolution(cntk: Any, attributes: Mapping[str, Any], x: Any, weight: Any, *bias: Any) -> Any:
    """Conv."""
    axes = len(attributes["kernel_shape"])
    y = cntk.convolution(
        weight,
        padded(cntk, x, attributes["pads"], 0.0),
        strides=tuple(attributes["strides"]),
        auto_padding=[False] * (axes + 1),
        dilation=tuple(attributes["dilations"]),
        groups=attributes["group"],
    )
    return y + cntk.reshape(bias[0], (-1,) + (1,) * axes) if bias else y


def pool(cntk: Any, attributes: Mapping[str, Any], x: Any, kind: Any, value: float) -> Any:
    """`C.pooling` over an input padded with `value`."""
    return cntk.pooling(
        padded(cntk, x, attributes["pads"], value),
        kind,
        tuple(attributes["kernel_shape"]),
        strides=tuple(attributes["strides"]),
        auto_padding=[False],
    )


def average_pool(cntk: Any, attributes: Mapping[str, Any], x: Any) -> Any:
    """AveragePool; where ONNX does not count the padding, the share of real entries is divided out."""
    average = pool(cntk, attributes, x, cntk.AVG_POOLING, 0.0)
    if attributes["count_include_pad"] or not any(attributes["pads"]):
        return average
    return average / pool(cntk, attributes, cntk.ones_like(x), cntk.AVG_POOLING, 0.0)


def axis(number: int, x: Any) -> int:
    """The axis of ONNX's layout in CNTK's, which has no batch axis."""
    return number - 1 if number > 0 else number


def joined(cntk: Any, attributes: Mapping[str, Any], *inputs: Any) -> Any:
    """Concat."""
    parts: List[Any] = list(inputs)
    return cntk.splice(*parts, axis=axis(attributes["axis"], parts[0]))


#: Operators other than batch normalization: (cntk, attributes, *inputs) -> output.
FUNCTIONS: Dict[str, Callable[..., Any]] = {
    "Add": lambda cntk, attributes, a, b: a + b,
    "AveragePool": average_pool,
    "Concat": joined,
    "Conv": convolution,
    "Flatten": lambda cntk, attributes, x: cntk.reshape(x, (-1,)),
    "Gemm": lambda cntk, attributes, x, weight, bias: cntk.times_transpose(x, weight) + bias,
    "GlobalAveragePool": lambda cntk, attributes, x: cntk.reduce_mean(x, axis=tuple(range(1, len(x.shape)))),
    "MaxPool": lambda cntk, attributes, x: pool(cntk, attributes, x, cntk.MAX_POOLING, -3e38),
    "Relu": lambda cntk, attributes, x: cntk.relu(x),
    "Softmax": lambda cntk, attributes, x: cntk.softmax(x, axis=axis(attributes["axis"], x)),
}
