"""A network in each of MXNet's APIs: executor, module, imperative operators, Gluon blocks.

Every model answers `predict(x)`, `state()` and `parameters()`. With `shares`, parameters and statistics of the same
name are the other model's own; `source` says what the model is made of.
"""

import os
from typing import Any, Callable, Dict, Optional, Sequence

from crosscheck.probe.adapter import Network
from crosscheck.runtimes.mxnet.operators import (
    Node,
    apply,
    input_name,
    input_shape,
    nodes,
    output_name,
    run,
    symbol,
    weights,
)
from crosscheck.runtimes.mxnet.sources import Source, symbol_and_arrays

#: What a mode's name calls the mode that backward is given -> that mode; by default it is none.
BACKWARD = {"default": None, "train": True, "eval": False}

Arrays = Dict[str, Any]  # initialiser name -> mx.nd.NDArray


class Bound:
    """A symbol and the arrays it is bound to (`mx.sym.Symbol.bind`), which are the parameters."""

    def __init__(self, mx: Any, sym: Any, data: str, arrays: Arrays, batch_shape: Sequence[int]) -> None:
        self.mx = mx
        self.symbol = sym
        self.data = data
        self.arrays = arrays
        self.executor = self.bind(tuple(batch_shape), "write")
        self.executors = {tuple(batch_shape): self.executor}

    def bind(self, shape: Sequence[int], grad_req: str) -> Any:
        """An executor for inputs of `shape`; only the input's gradient is asked for."""
        zeros = self.mx.nd.zeros
        auxiliary = set(self.symbol.list_auxiliary_states())
        args = {name: array for name, array in self.arrays.items() if name not in auxiliary}
        args[self.data] = zeros(shape)
        return self.symbol.bind(
            self.mx.cpu(),
            args=args,
            args_grad={self.data: zeros(shape)},
            grad_req={name: grad_req if name == self.data else "null" for name in self.symbol.list_arguments()},
            aux_states={name: self.arrays[name] for name in auxiliary},
        )

    def predict(self, x: Any) -> Any:
        """`forward(is_train=False)`; for another batch size on a second executor over the same arrays."""
        if x.shape not in self.executors:
            self.executors[x.shape] = self.bind(x.shape, "null")
        return self.executors[x.shape].forward(is_train=False, **{self.data: x})[0]

    def state(self) -> Arrays:
        """The bound arrays."""
        return self.arrays

    def parameters(self) -> Arrays:
        """What the executor shows."""
        shown = dict(self.executor.arg_dict)
        shown.update(self.executor.aux_dict)
        del shown[self.data]
        return shown


def executor(mx: Any, network: Network, shares: Optional[Bound], source: Source) -> Bound:
    """The network bound to arrays of its own, or to those of `shares`."""
    sym, arrays = symbol_and_arrays(mx, network, source)
    arrays.update({name: array for name, array in (shares.arrays if shares else {}).items() if name in arrays})
    return Bound(mx, sym, input_name(network), arrays, input_shape(network, network.batch))


class Moduled:
    """A `mx.mod.Module`, or, where it chains a second network to a first, a `mx.mod.SequentialModule`.

    `entry` is the module that takes the input: a SequentialModule keeps no note of `inputs_need_grad`, so that its own
    `get_input_grads` fails.
    """

    def __init__(self, mx: Any, module: Any, data: str, network: Optional[Network], entry: Any = None) -> None:
        self.mx = mx
        self.module = module
        self.entry = entry or module
        self.data = data
        self.network = network
        self.others: Dict[Any, Any] = {}

    def batch(self, x: Any) -> Any:
        """What `forward` takes."""
        return self.mx.io.DataBatch([x], [])

    def predict(self, x: Any) -> Any:
        """`forward(is_train=False)`; for another batch size by a second module that shares the first one's memory."""
        module = self.module
        if tuple(module.data_shapes[0][1]) != x.shape:
            if x.shape not in self.others:
                other = self.mx.mod.Module(self.module.symbol, data_names=[self.data], label_names=[])
                other.bind([(self.data, x.shape)], for_training=False, shared_module=self.module)
                self.others[x.shape] = other
            module = self.others[x.shape]
        module.forward(self.batch(x), is_train=False)
        return module.get_outputs()[0]

    def state(self) -> Arrays:
        """The arrays inside the module's executor, which `get_params` copies at times of its own choosing."""
        bound = self.module._exec_group.execs[0]
        arrays = dict(bound.arg_dict)
        arrays.update(bound.aux_dict)
        del arrays[self.data]
        return arrays

    def parameters(self) -> Arrays:
        """What `get_params` says."""
        arg_params, aux_params = self.module.get_params()
        shown = dict(arg_params)
        shown.update(aux_params)
        return shown


def module(mx: Any, network: Network, shares: Optional[Moduled], source: Source) -> Moduled:
    """The network as a module bound for training, with input gradients.

    A module shares all its parameters or none. So a second network with the same parameters is bound to the first one's
    memory, and one that has more is chained: the first one's module, then a module of what the second has in addition.
    """
    data = input_name(network)
    if shares is not None and shares.network is not None and set(network.weights) != set(shares.network.weights):
        return chained(mx, network, shares, shares.network)
    sym, arrays = symbol_and_arrays(mx, network, source)
    made = mx.mod.Module(sym, data_names=[data], label_names=[])
    shape = input_shape(network, network.batch)
    if shares is not None:
        made.bind([(data, shape)], for_training=True, inputs_need_grad=True, shared_module=shares.module)
        return Moduled(mx, made, data, network)
    made.bind([(data, shape)], for_training=True, inputs_need_grad=True)
    set_params(made, arrays)
    return Moduled(mx, made, data, network)


def set_params(made: Any, arrays: Arrays) -> None:
    """Give a bound module its parameters."""
    auxiliary = set(made.symbol.list_auxiliary_states())
    made.set_params(
        {name: array for name, array in arrays.items() if name not in auxiliary},
        {name: array for name, array in arrays.items() if name in auxiliary},
    )


def chained(mx: Any, network: Network, first: Moduled, first_network: Network) -> Moduled:
    """The first network's own module, followed by one of the nodes that it lacks."""
    has = {node["name"] for node in first_network.graph["nodes"]}
    rest = [node for node in network.graph["nodes"] if node["name"] not in has]
    middle = first_network.graph["outputs"][0]
    tail = network._replace(
        graph=dict(network.graph, inputs=[middle], nodes=rest),
        weights={name: value for name, value in network.weights.items() if name not in first_network.weights},
    )
    last = mx.mod.Module(symbol(mx, tail, {}), data_names=[middle["name"]], label_names=[])
    both = mx.mod.SequentialModule()
    both.add(first.module).add(last, auto_wiring=True)
    both.bind([(first.data, input_shape(network, network.batch))], for_training=True, inputs_need_grad=True)
    both.init_params(arg_params=weights(mx, tail), aux_params={})
    return Moduled(mx, both, first.data, network, entry=first.module)


class Imperative:
    """The network as a function of operators `mx.nd.*` over arrays that the user keeps."""

    def __init__(self, mx: Any, network: Network, shares: Optional["Imperative"], source: Source) -> None:
        self.mx = mx
        self.program = nodes(network, source.norm)
        self.data, self.output = input_name(network), output_name(network)
        self.arrays = weights(mx, network)
        if shares is not None:
            self.arrays.update({name: array for name, array in shares.arrays.items() if name in self.arrays})

    def __call__(self, x: Any) -> Any:
        """The output as the mode that is in force has it."""
        return run(self.mx.nd, self.program, dict(self.arrays, **{self.data: x}), self.output)

    predict = __call__

    def state(self) -> Arrays:
        """The user's arrays."""
        return self.arrays

    parameters = state


class Block:
    """A Gluon block and, under the initialisers' names, its parameters; `layers` are those of its nodes."""

    def __init__(self, block: Any, parameters: Dict[str, Any], layers: Dict[str, Any], network: Network) -> None:
        self.block = block
        self.named = parameters
        self.layers = layers
        self.network = network

    def __call__(self, x: Any) -> Any:
        """The block's output as the mode that is in force has it."""
        output = self.block(x)
        # A SymbolBlock of 0.11 answers with the list of its outputs.
        return output[0] if isinstance(output, list) else output

    predict = __call__

    def state(self) -> Arrays:
        """The parameters' arrays."""
        return {name: parameter.data() for name, parameter in self.named.items()}

    def parameters(self) -> Arrays:
        """What `collect_params` shows."""
        shown = self.block.collect_params()
        return {name: shown[parameter.name].data() for name, parameter in self.named.items()}


def gluon(mx: Any, network: Network, shares: Optional[Block], source: Source) -> Block:
    """The network as a HybridBlock of Gluon layers; layers of the same name are the other block's own."""
    program = nodes(network, source.norm)
    block = hybrid_block(mx)(program, input_name(network), output_name(network))
    layers: Dict[str, Any] = {}
    named: Dict[str, Any] = {}
    for node in program:
        if node.op in LAYERS:
            layer = shares.layers.get(node.name) if shares else None
            if layer is None:
                with block.name_scope():
                    layer = LAYERS[node.op](mx.gluon.nn, node, network.weights[node.inputs[1]].shape)
            layers[node.name] = layer
            setattr(block, layer_name(node), layer)
            named.update({name: getattr(layer, role) for name, role in zip(node.inputs[1:], ROLES[node.op])})
    old = set(shares.named) if shares else set()
    initialize(mx, {name: parameter for name, parameter in named.items() if name not in old}, weights(mx, network))
    return Block(block, named, layers, network)


def hybrid(mx: Any, network: Network, shares: Optional[Block], source: Source) -> Block:
    """The same, compiled into a cached graph at its first call."""
    made = gluon(mx, network, shares, source)
    made.block.hybridize()
    return made


def static(mx: Any, network: Network, shares: Optional[Block], source: Source) -> Block:
    """The same with memory and shapes fixed at the first call, from 1.3 on."""
    made = gluon(mx, network, shares, source)
    made.block.hybridize(static_alloc=True, static_shape=True)
    return made


def initialize(mx: Any, named: Dict[str, Any], arrays: Arrays) -> None:
    """Give parameters their values."""
    for name, parameter in named.items():
        parameter.shape = arrays[name].shape
        parameter.initialize(init=mx.init.Zero(), ctx=mx.cpu())
        parameter.set_data(arrays[name])


def hybrid_block(mx: Any) -> Any:
    """The class of blocks that run a graph, made when MXNet is there."""

    class Graph(mx.gluon.HybridBlock):  # type: ignore[misc]
        """Layers where there are parameters, operators elsewhere."""

        def __init__(self, program: Sequence[Node], data: str, output: str) -> None:
            super(Graph, self).__init__()
            self.program, self.data, self.output = program, data, output

        def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803 - MXNet's own name
            """Node by node."""
            values = {self.data: x}
            for node in self.program:
                if node.op in LAYERS:
                    values[node.output] = getattr(self, layer_name(node))(values[node.inputs[0]])
                else:
                    values[node.output] = apply(F, node, [values[name] for name in node.inputs])
            return values[self.output]

    return Graph


def layer_name(node: Node) -> str:
    """The attribute under which a block has the node's layer."""
    return "layer_" + node.name


def convolution_layer(nn: Any, node: Node, shape: Sequence[int]) -> Any:
    """Conv as `nn.Conv1D` or `nn.Conv2D`."""
    attributes = node.attributes
    dimensions = len(attributes["kernel_shape"])
    begins, ends = attributes["pads"][:dimensions], attributes["pads"][dimensions:]
    if begins != ends:
        raise NotImplementedError("Gluon's convolutions pad both ends alike; {} does not".format(node.name))
    return (nn.Conv1D if dimensions == 1 else nn.Conv2D)(
        channels=node.units,
        kernel_size=tuple(attributes["kernel_shape"]),
        strides=tuple(attributes["strides"]),
        padding=tuple(begins),
        dilation=tuple(attributes["dilations"]),
        groups=attributes["group"],
        use_bias=len(node.inputs) == 3,
        in_channels=shape[1] * attributes["group"],
    )


def batch_norm_layer(nn: Any, node: Node, shape: Sequence[int]) -> Any:
    """BatchNormalization as `nn.BatchNorm`."""
    return nn.BatchNorm(
        epsilon=node.attributes["epsilon"],
        momentum=node.attributes["momentum"],
        scale=True,
        in_channels=shape[0],
        **node.norm,
    )


def dense_layer(nn: Any, node: Node, shape: Sequence[int]) -> Any:
    """Gemm as `nn.Dense`."""
    return nn.Dense(node.units, in_units=shape[1])


LAYERS: Dict[str, Callable[..., Any]] = {
    "BatchNormalization": batch_norm_layer,
    "Conv": convolution_layer,
    "Gemm": dense_layer,
}
#: The parameters of those layers, in the order of the node's inputs.
ROLES = {
    "BatchNormalization": ("gamma", "beta", "running_mean", "running_var"),
    "Conv": ("weight", "bias"),
    "Gemm": ("weight", "bias"),
}


def symbol_block(mx: Any, network: Network, shares: Optional[Block], source: Source) -> Block:
    """The network's symbol as a Gluon block; parameters of the same name are the other block's own."""
    known = shares.block.collect_params() if shares else None
    sym, arrays = symbol_and_arrays(mx, network, source)
    block = mx.gluon.SymbolBlock(sym, mx.sym.var(input_name(network)), params=known)
    shown = block.collect_params()
    named = {name: shown[name] for name in arrays}
    old = set(shares.named) if shares else set()
    initialize(mx, {name: parameter for name, parameter in named.items() if name not in old}, arrays)
    return Block(block, named, {}, network)


def checkpoint(mx: Any, prefix: str, shape: Sequence[int]) -> Bound:
    """A checkpoint of epoch 0, `<prefix>-symbol.json` and `<prefix>-0000.params`, read back and bound."""
    sym, arg_params, aux_params = mx.model.load_checkpoint(prefix, 0)
    arrays = dict(arg_params)
    arrays.update(aux_params)
    data = next(name for name in sym.list_arguments() if name not in arrays)
    return Bound(mx, sym, data, arrays, shape)


def imported(mx: Any, prefix: str, network: Network) -> Block:
    """An exported block read back; export names the input `data`, or `data0`."""
    files = [prefix + ending for ending in ("-symbol.json", "-0000.params")]
    data = next(name for name in mx.sym.load(files[0]).list_arguments() if name.startswith("data"))
    block = mx.gluon.SymbolBlock.imports(files[0], [data], files[1], ctx=mx.cpu())
    return Block(block, {}, {}, network)


def prefix(folder: str) -> str:
    """The common beginning of an export's files."""
    return os.path.join(folder, "network")
