"""A network as source text: a function of a symbolic input over shared variables. Theano's layout is ONNX's."""

from __future__ import annotations

from crosscheck.runtimes.family.graph import Graph, Node, indented
from crosscheck.runtimes.family.pools import average
from crosscheck.runtimes.source import Request, Source

__all__ = ["SHOWS_LAYERS", "source"]

SHOWS_LAYERS = True
#: Theano's names for variables of each rank, of the type that `floatX` says.
VARIABLES = {1: "vector", 2: "matrix", 3: "tensor3", 4: "tensor4", 5: "tensor5"}
#: From so many nodes on, Python's own limit of recursion is too low.
DEEP = 8

RECURSION = "sys.setrecursionlimit(20000)  # deep graphs are walked and pickled by recursion\n\n"
NORMALIZATION = """\
def batch_norm(x, gamma, beta, mean, var, epsilon, momentum, train, updates):
    if not train:
        return bn.batch_normalization_test(x, gamma, beta, mean, var, axes="spatial", epsilon=epsilon)
    x, _, _, new_mean, new_var = bn.batch_normalization_train(
        x, gamma, beta, axes="spatial", epsilon=epsilon,
        running_average_factor=1 - momentum, running_mean=mean, running_var=var)
    updates += [(mean, new_mean), (var, new_var)]
    return x

"""
#: The same by the older function, which takes the statistics that it is to normalize by; `{mode}` is one of its two.
OLD = """\
def batch_norm(x, gamma, beta, mean, var, epsilon, momentum, train, updates):
    if train:
        axes = (0,) + tuple(range(2, x.ndim))
        batch_mean, batch_var = x.mean(axes), x.var(axes)
        updates += [(mean, momentum * mean + (1 - momentum) * batch_mean),
                    (var, momentum * var + (1 - momentum) * batch_var)]
        mean, var = batch_mean, batch_var
    order = ["x", 0] + ["x"] * (x.ndim - 2)
    gamma, beta, mean, std = [value.dimshuffle(*order) for value in (gamma, beta, mean, T.sqrt(var + epsilon))]
    return bn.batch_normalization(x, gamma, beta, mean, std, mode="{mode}")

"""
#: The same without running averages.
ALONE = """\
def batch_norm(x, gamma, beta, mean, var, epsilon, momentum, train, updates):
    if not train:
        return bn.batch_normalization_test(x, gamma, beta, mean, var, axes="spatial", epsilon=epsilon)
    x, _, _ = bn.batch_normalization_train(x, gamma, beta, axes="spatial", epsilon=epsilon)
    return x

"""
PAD = """\
def pad(x, pads, value=0):
    axes = [(x.shape[axis], low, high) for axis, (low, high) in enumerate(pads, 2)]
    shape = [x.shape[0], x.shape[1]] + [low + size + high for size, low, high in axes]
    inside = [slice(None), slice(None)] + [slice(low, low + size) for size, low, high in axes]
    return T.set_subtensor(T.alloc(T.constant(value, dtype="float32"), *shape)[tuple(inside)], x)

"""
CONVOLUTION_1D = """\
def conv1d(x, weight, **options):
    return T.nnet.conv2d(x.dimshuffle(0, 1, "x", 2), weight.dimshuffle(0, 1, "x", 2), **options)[:, :, 0]

"""
POOL_1D = """\
def pool_1d(x, **options):
    return pool_2d(x.dimshuffle(0, 1, "x", 2), **options)[:, :, 0]

"""
#: Functions of the text by the name that it calls them by.
FUNCTIONS = {"batch_norm": NORMALIZATION, "pad": PAD, "conv1d": CONVOLUTION_1D, "pool_1d": POOL_1D}


def source(request: Request) -> Source:
    """Shared variables, a function that builds the network's output over them, and the compiled prediction."""
    graph = Graph.of(request, ("T", "bn", "net", "params", "updates", *FUNCTIONS))
    lines, output = graph.statements(expression)
    body = "\n".join(lines)
    known = "" if request.first is None else "params[name] if name in params else "
    train = request.intent == "training"
    functions = FUNCTIONS | {"batch_norm": normalization(request)}
    return Source(
        imports="import pickle\nimport sys\n\nimport theano\nimport theano.tensor as T\n"
        "from theano.tensor.nnet import bn\nfrom theano.tensor.signal.pool import pool_2d\n",
        text=(RECURSION if len(graph.nodes) >= DEEP else "")
        + f"params = {{name: {known}theano.shared(value, name=name) for name, value in weights.items()}}\n\n\n"
        + "".join(text + "\n" for name, text in functions.items() if f"{name}(" in body)
        + "def net(x, train):\n"
        + indented(["updates = []", *lines, f"return {output}, updates"])
        + f'\n\nfeatures = T.{VARIABLES[len(request.input_shape)]}("features")\n'
        "output, _ = net(features, train=False)\n"
        "predict = theano.function([features], output, no_default_updates=True)\n",
        predict="y = predict(x)\n",
        tensor="{}",
        array="{}",
        layers="def values_of(x, train):\n"
        + indented(["updates = []", *graph.shown(expression), "return layers"])
        + "\n\n"
        + f'inputs = features.type("inputs")\nvalues = values_of(inputs, train={train})\n'
        "function = theano.function([inputs], list(values.values()), no_default_updates=True)\n"
        "layers = dict(zip(values, function(x)))\n",
        tensors={name: (f'params["{name}"].get_value()', None) for name in request.weights},
        public=tuple(request.weights),
    )


def normalization(request: Request) -> str:
    """The text's function of that name, as the mode has it."""
    if "old" in request.norm:
        return OLD.format(mode=request.norm["old"])
    return ALONE if request.norm.get("alone") else NORMALIZATION


def expression(node: Node, inputs: list[str]) -> str:
    """One node over its inputs and the shared variables."""
    x, attributes = inputs[0], node.attributes
    weights = [f'params["{name}"]' for name in node.weights]
    match node.op:
        case "BatchNormalization":
            told = f"epsilon={attributes['epsilon']}, momentum={attributes['momentum']}, train=train, updates=updates"
            return f"batch_norm({x}, {', '.join(weights)},\n        {told})"
        case "Conv":
            return convolution(node, x, weights)
        case "Gemm":
            return f"T.dot({x}, {weights[0]}.T) + {weights[1]}"
        case "Add":
            return " + ".join(inputs)
        case "Concat":
            return f"T.concatenate([{', '.join(inputs)}], axis={attributes['axis']})"
        case "Flatten":
            return f"{x}.flatten(2)"
        case "Softmax":  # Theano's own is for matrices
            if node.rank == 2:
                return f"T.nnet.softmax({x})"
            return f"T.nnet.softmax({x}.reshape((-1, {x}.shape[-1]))).reshape({x}.shape, ndim={node.rank})"
        case "AveragePool":
            if node.even and not attributes["count_include_pad"]:
                return pool(node, x, "average_exc_pad", "")
            return average(node, x, lambda x: pool(node, x, "average_inc_pad", ""), "T.ones_like({})")
        case "GlobalAveragePool":
            return f"{x}.mean(axis={tuple(range(2, node.rank))}, keepdims=True)"
        case "MaxPool":
            return pool(node, x, "max", 'float("-inf")')
    return f"T.nnet.relu({x})"


def convolution(node: Node, x: str, weights: list[str]) -> str:
    """`nnet.conv2d` with the kernel as it is, not flipped; in one dimension by way of two."""
    group = node.attributes["group"]
    x, border = padded(node, x, "")
    words = [f"border_mode={border}", f"subsample={flat(node, node.strides)}", "filter_flip=False"]
    words += [f"filter_dilation={flat(node, node.dilations)}"] * node.dilated + [f"num_groups={group}"] * (group != 1)
    name = "conv1d" if node.rank == 3 else "T.nnet.conv2d"
    value = f"{name}({x}, {weights[0]}, {', '.join(words)})"
    axes = ", ".join(['"x"'] * (node.rank - 2))
    return f'{value} + {weights[1]}.dimshuffle("x", 0, {axes})' if len(weights) > 1 else value


def pool(node: Node, x: str, mode: str, value: str) -> str:
    """`pool_2d` over an input that is padded with `value` where the padding is uneven."""
    x, border = padded(node, x, value)
    return (
        f"{'pool_1d' if node.rank == 3 else 'pool_2d'}({x}, ws={flat(node, node.kernel)}, "
        f'stride={flat(node, node.strides)}, pad={border}, mode="{mode}", ignore_border=True)'
    )


def padded(node: Node, x: str, value: str) -> tuple[str, tuple[int, ...]]:
    """The input, and what it is still to be padded by on both sides of each axis; uneven pads are put into it."""
    border = flat(node, node.padding, 0)
    if node.even:
        return x, border
    entries = f", {value}" if value else ""
    return f"pad({x}, {list(node.pads)}{entries})", border


def flat(node: Node, numbers: tuple[int, ...], first: int = 1) -> tuple[int, ...]:
    """Sizes, steps or pads; one dimension is two with a first one of length 1."""
    return (first, *numbers) if node.rank == 3 else numbers
