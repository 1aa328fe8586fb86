"""The network as expressions over shared variables; Theano's layout is ONNX's."""

from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from crosscheck.probe.adapter import Network
from crosscheck.probe.modes import Call

Updates = List[Tuple[Any, Any]]


class Model:
    """The weights as shared variables, and the functions that were compiled over them, each when first asked for.

    Functions for prediction are compiled first of all, before anybody gives a shared variable a default update.
    """

    def __init__(self, theano: Any, network: Network, shares: Optional["Model"]) -> None:
        self.theano = theano
        self.network = network
        known = shares.shared if shares else {}
        self.shared: Dict[str, Any] = {
            name: known[name] if name in known else theano.shared(value, name=name)
            for name, value in network.weights.items()
        }
        self.calls: Dict[str, Call] = {}
        x = self.input()
        y, _ = self.output(x, training=False)
        self.predict = theano.function([x], y, no_default_updates=True)

    def input(self) -> Any:
        """A variable for inputs."""
        return self.tensor("x", len(self.network.graph["inputs"][0]["shape"]))

    def cotangent(self) -> Any:
        """A variable for cotangents."""
        return self.tensor("cotangent", len(self.network.graph["outputs"][0]["shape"]))

    def tensor(self, name: str, rank: int) -> Any:
        """A variable of that rank, float32."""
        return self.theano.tensor.TensorType("float32", (False,) * rank)(name)

    def output(self, x: Any, training: bool) -> Tuple[Any, Updates]:
        """The network's output, and the new running statistics of training."""
        found, updates = self.values(x, training)
        return found[self.network.graph["outputs"][0]["name"]], updates

    def values(self, x: Any, training: bool) -> Tuple[Dict[str, Any], Updates]:
        """What every node puts out, by tensor name (the input is among it), and the new running statistics."""
        found = {self.network.graph["inputs"][0]["name"]: x}
        updates: Updates = []
        for node in self.network.graph["nodes"]:
            inputs = [found[name] if name in found else self.shared[name] for name in node["inputs"]]
            if node["op"] == "BatchNormalization":
                value, new = batch_norm(self.theano, node["attributes"], training, *inputs)
                updates += zip(inputs[3:], new)
            else:
                value = FUNCTIONS[node["op"]](self.theano, node["attributes"], *inputs)
            found[node["outputs"][0]] = value
        return found, updates


def batch_norm(
    theano: Any, attributes: Mapping[str, Any], training: bool, x: Any, gamma: Any, beta: Any, mean: Any, variance: Any
) -> Tuple[Any, Sequence[Any]]:
    """`bn.batch_normalization_train`, with the running statistics it returns, or `bn.batch_normalization_test`."""
    bn = theano.tensor.nnet.bn
    axes = (0,) + tuple(range(2, x.ndim))
    epsilon = attributes["epsilon"]
    if not training:
        return bn.batch_normalization_test(x, gamma, beta, mean, variance, axes=axes, epsilon=epsilon), ()
    y, _, _, new_mean, new_variance = bn.batch_normalization_train(
        x,
        gamma,
        beta,
        axes=axes,
        epsilon=epsilon,
        running_average_factor=1 - attributes["momentum"],
        running_mean=mean,
        running_var=variance,
    )
    return y, (new_mean, new_variance)


def padded(theano: Any, x: Any, pads: Sequence[int], value: float) -> Tuple[Any, Tuple[int, ...]]:
    """ONNX's pads, all beginnings and then all ends, as one number an axis; uneven ones are put into `x`."""
    half = len(pads) // 2
    begins, ends = tuple(pads[:half]), tuple(pads[half:])
    if begins == ends:
        return x, begins
    tensor = theano.tensor
    sizes = [size + begin + end for size, begin, end in zip([x.shape[axis] for axis in range(2, x.ndim)], begins, ends)]
    inner = (slice(None), slice(None)) + tuple(
        slice(begin, begin + x.shape[2 + axis]) for axis, begin in enumerate(begins)
    )
    whole = tensor.alloc(tensor.constant(value, dtype="float32"), x.shape[0], x.shape[1], *sizes)
    return tensor.set_subtensor(whole[inner], x), (0,) * half


def convolution(theano: Any, attributes: Mapping[str, Any], x: Any, weight: Any, *bias: Any) -> Any:
    """Conv: `nnet.conv2d` with the kernel as it is, not flipped; one axis is two with a first one of length 1."""
    x, pad = padded(theano, x, attributes["pads"], 0.0)
    flat = x.ndim == 3
    before = (0,) if flat else ()
    ones = (1,) if flat else ()
    y = theano.tensor.nnet.conv2d(
        x.dimshuffle(0, 1, "x", 2) if flat else x,
        weight.dimshuffle(0, 1, "x", 2) if flat else weight,
        border_mode=before + pad,
        subsample=ones + tuple(attributes["strides"]),
        filter_flip=False,
        filter_dilation=ones + tuple(attributes["dilations"]),
        num_groups=attributes["group"],
    )
    y = y[:, :, 0] if flat else y
    return y + bias[0].dimshuffle("x", 0, *["x"] * (x.ndim - 2)) if bias else y


def pool(theano: Any, attributes: Mapping[str, Any], x: Any, mode: str, value: float) -> Any:
    """MaxPool and AveragePool: `pool_2d`, which takes one axis for two with a first one of length 1."""
    from theano.tensor.signal.pool import pool_2d

    x, pad = padded(theano, x, attributes["pads"], value)
    flat = x.ndim == 3
    ones = (1,) if flat else ()
    y = pool_2d(
        x.dimshuffle(0, 1, "x", 2) if flat else x,
        ws=ones + tuple(attributes["kernel_shape"]),
        stride=ones + tuple(attributes["strides"]),
        pad=((0,) if flat else ()) + pad,
        mode=mode,
        ignore_border=True,
    )
    return y[:, :, 0] if flat else y


def average_pool(theano: Any, attributes: Mapping[str, Any], x: Any) -> Any:
    """AveragePool; where uneven padding does not count, the share of real entries is divided out."""
    pads = attributes["pads"]
    even = pads[: len(pads) // 2] == pads[len(pads) // 2 :]
    if attributes["count_include_pad"] or not even:
        average = pool(theano, attributes, x, "average_inc_pad", 0.0)
        if attributes["count_include_pad"]:
            return average
        return average / pool(theano, attributes, theano.tensor.ones_like(x), "average_inc_pad", 0.0)
    return pool(theano, attributes, x, "average_exc_pad", 0.0)


def softmax(theano: Any, attributes: Mapping[str, Any], x: Any) -> Any:
    """Softmax over the last axis, which Theano's own takes for matrices."""
    return theano.tensor.nnet.softmax(x.reshape((-1, x.shape[x.ndim - 1]))).reshape(x.shape, ndim=x.ndim)


#: Operators other than batch normalization: (theano, attributes, *inputs) -> output.
FUNCTIONS: Dict[str, Callable[..., Any]] = {
    "Add": lambda theano, attributes, a, b: a + b,
    "AveragePool": average_pool,
    "Concat": lambda theano, attributes, *inputs: theano.tensor.concatenate(list(inputs), axis=attributes["axis"]),
    "Conv": convolution,
    "Flatten": lambda theano, attributes, x: x.flatten(2),
    "Gemm": lambda theano, attributes, x, weight, bias: theano.tensor.dot(x, weight.T) + bias,
    "GlobalAveragePool": lambda theano, attributes, x: x.mean(axis=tuple(range(2, x.ndim)), keepdims=True),
    "MaxPool": lambda theano, attributes, x: pool(theano, attributes, x, "max", float("-inf")),
    "Relu": lambda theano, attributes, x: theano.tensor.nnet.relu(x),
    "Softmax": softmax,
}
