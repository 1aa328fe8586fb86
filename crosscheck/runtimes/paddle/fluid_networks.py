"""The network in the layers of `paddle.fluid`, which releases before 2.0 have."""

from typing import Any, Callable, Dict, List, Mapping, Sequence

from crosscheck.probe.modes import Norm
from crosscheck.runtimes.paddle.networks import Kit, padding


def flat(attributes: Mapping[str, Any], op: str) -> None:
    """Refuse what is not over two axes."""
    if len(attributes["kernel_shape"]) != 2:
        raise NotImplementedError("{} over one axis is not among fluid's layers".format(op))


def window(attributes: Mapping[str, Any]) -> Dict[str, Any]:
    """How a convolution moves, beside its padding."""
    return {
        "filter_size": list(attributes["kernel_shape"]),
        "stride": list(attributes["strides"]),
        "dilation": list(attributes["dilations"]),
        "groups": attributes["group"],
    }


def convolution(fluid: Any, attributes: Mapping[str, Any], weights: Sequence[Any], rank: int, norm: Norm) -> Any:
    """`dygraph.Conv2D`, which pads both ends of an axis alike."""
    flat(attributes, "Conv")
    top, left, bottom, right = attributes["pads"]
    if (top, left) != (bottom, right):
        raise NotImplementedError("fluid.dygraph.Conv2D pads both ends of an axis alike")
    out, inside = weights[0].shape[:2]
    return fluid.dygraph.Conv2D(
        inside * attributes["group"],
        out,
        padding=[top, left],
        bias_attr=None if len(weights) > 1 else False,
        **window(attributes),
    )


def dense(fluid: Any, attributes: Mapping[str, Any], weights: Sequence[Any], rank: int, norm: Norm) -> Any:
    """`dygraph.Linear`, whose weight is (in, out)."""
    return fluid.dygraph.Linear(weights[0].shape[1], weights[0].shape[0])


def batch_norm(fluid: Any, attributes: Mapping[str, Any], weights: Sequence[Any], rank: int, norm: Norm) -> Any:
    """`dygraph.BatchNorm`, whose momentum is ONNX's. With use_global_stats it can't do without the two attributes."""
    return fluid.dygraph.BatchNorm(
        len(weights[0]),
        momentum=attributes["momentum"],
        epsilon=attributes["epsilon"],
        param_attr=fluid.ParamAttr(),
        bias_attr=fluid.ParamAttr(),
        **norm,
    )


def pool(op: str, kind: str) -> Callable[..., Any]:
    """`layers.pool2d`."""

    def call(fluid: Any, attributes: Mapping[str, Any], x: Any) -> Any:
        flat(attributes, op)
        return fluid.layers.pool2d(
            x,
            pool_size=list(attributes["kernel_shape"]),
            pool_type=kind,
            pool_stride=list(attributes["strides"]),
            pool_padding=padding(attributes["pads"]),
            exclusive=not attributes.get("count_include_pad"),
        )

    return call


def global_average(fluid: Any, attributes: Mapping[str, Any], x: Any) -> Any:
    """GlobalAveragePool."""
    return fluid.layers.pool2d(x, pool_type="avg", global_pooling=True)


def concat(fluid: Any, attributes: Mapping[str, Any], *inputs: Any) -> Any:
    """Concat."""
    tensors: List[Any] = list(inputs)
    return fluid.layers.concat(tensors, axis=attributes["axis"])


KIT = Kit(
    base=lambda fluid: fluid.dygraph.Layer,
    layers={"BatchNormalization": batch_norm, "Conv": convolution, "Gemm": dense},
    functions={
        "Add": lambda fluid, attributes, a, b: a + b,
        "AveragePool": pool("AveragePool", "avg"),
        "Concat": concat,
        "Flatten": lambda fluid, attributes, x: fluid.layers.flatten(x, axis=1),
        "GlobalAveragePool": global_average,
        "MaxPool": pool("MaxPool", "max"),
        "Relu": lambda fluid, attributes, x: fluid.layers.relu(x),
        "Softmax": lambda fluid, attributes, x: fluid.layers.softmax(x, axis=attributes["axis"]),
    },
)
