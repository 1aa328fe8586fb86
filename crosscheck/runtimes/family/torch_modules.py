"""A network as a module of torch's layers, of torch's own and of libraries that took over its names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from crosscheck.runtimes.family import operators
from crosscheck.runtimes.family.graph import GROUPED, Graph, Node, indented
from crosscheck.runtimes.family.layers import NAMES_OF_TORCH, class_with_layers
from crosscheck.runtimes.family.operators import Library
from crosscheck.runtimes.family.torch import EVALUATE, MODULES, TRAIN
from crosscheck.runtimes.source import Request, Source, Stored

__all__ = ["ARRAY", "TENSOR", "Dialect", "module_source"]

#: Activations as modules, which is what hooks are put on (`MODULES`).
ACTIVATIONS = {
    "Elu": "nn.ELU({alpha})",
    "LeakyRelu": "nn.LeakyReLU({alpha})",
    "Relu": "nn.ReLU()",
    "Sigmoid": "nn.Sigmoid()",
    "Softmax": "nn.Softmax(dim={axis})",
    "Softplus": "nn.Softplus()",
    "Tanh": "nn.Tanh()",
}
#: What the batch normalizations are told.
Norm = Mapping[str, Any]
TENSOR, ARRAY = "torch.from_numpy({})", "{}.detach().numpy()"
STATISTICS = ("running_mean", "running_var")
AFFINE = ("weight", "bias")
#: What `nn.Module` itself has under names without an underscore, in one release or another.
TAKEN = """\
T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches eval
extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict modules mtia
named_buffers named_children named_modules named_parameters parameters register_backward_hook register_buffer
register_forward_hook register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook
register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module register_parameter
register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule share_memory
state_dict to to_empty train training type xpu zero_grad"""
#: A batch normalization that is written as a function.
FUNCTIONAL = """\
class BatchNorm(nn.Module):
    def __init__(self, channels, eps, momentum):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x):
{call}

"""
OWN = "self.running_mean, self.running_var"
CALL = """\
        mean, var = {}
        return F.batch_norm(
            x, mean, var, self.weight, self.bias, training=self.training, momentum=self.momentum, eps=self.eps
        )
"""
CALLS = {
    "with-statistics": CALL.format(OWN),
    "without-statistics": CALL.format(f"(None, None) if self.training else ({OWN})"),
    "fixed": f"        return F.batch_norm(x, {OWN}, self.weight, self.bias, eps=self.eps)\n",
}


@dataclass(frozen=True)
class Dialect:
    """A library with torch's names.

    package: the name under which it is imported. imports: what a script begins with. library: operators that need no
    layer.
    """

    package: str
    imports: str
    library: Library

    @property
    def operators(self) -> frozenset[str]:
        """All operators that it has."""
        return self.library.operators | {"ConvTranspose", GROUPED}

    def words(self, text: str) -> str:
        """A text for torch, for this library."""
        return text.replace("torch.", f"{self.package}.")


def module_source(request: Request, dialect: Dialect) -> Source:
    """A module whose `forward` has a line for each node; the layers that `request.first` has are that network's."""
    graph = Graph.of(request, TAKEN.split(), operators=dialect.operators)
    layers = unique(graph)
    own = [node for node in layers.values() if node not in graph.shared]
    norm = request.norm
    further = [node for node in graph if request.kind == MODULES and node.op in (*ACTIVATIONS, "MaxPool")]

    def called(node: Node, inputs: list[str]) -> str:
        if node in further:
            return f"self.{node.id}({padded(node, inputs[0], '-inf') if node.op == 'MaxPool' else inputs[0]})"
        layer = layers[node.op, node.weights].id if node in graph.layers else ""
        return expression(node, inputs, layer, dialect)

    body, output = graph.statements(called)
    first = request.first is not None
    modules = sorted((*layers.values(), *further), key=graph.nodes.index)
    made = [f"self.{n.id} = {f'first.{n.id}' if n in graph.shared else layer(n, norm)}" for n in modules]
    text = dialect.words(FUNCTIONAL.format(call=CALLS[norm["functional"]])) if "functional" in norm else ""
    text += class_with_layers(
        "Net(nn.Module)",
        ["super().__init__()", *made],
        [*body, f"return {output}"],
        method="forward(self, x)",
        arguments="self, first" if first else "self",
    )
    text += "first = net\nnet = Net(first)\n" if first else "net = Net()\n"
    text += "".join(
        f"net.{node.id}.load_state_dict({{\n{indented(entries(node, norm, '', dialect))}}})\n" for node in own if first
    )
    if not first:
        text += (
            f"net.load_state_dict({{\n{indented(e for n in own for e in entries(n, norm, n.id + '.', dialect))}}})\n"
        )
    if norm.get("sync"):
        text += "net = nn.SyncBatchNorm.convert_sync_batchnorm(net)\n"
    tensors = {name: place for node in layers.values() for name, place in places(node, norm).items()}
    return Source(
        imports=dialect.imports,
        text=text,
        predict=dialect.words(EVALUATE),
        train=dialect.words(TRAIN),
        tensor=dialect.words(TENSOR),
        array=ARRAY,
        tensors=tensors,
        public=tuple(name for node in layers.values() for name, key in keys(node, norm) if key not in STATISTICS),
        leaves=("" if first else "train", "eval"),
    )


def unique(graph: Graph) -> dict[tuple[str, tuple[str, ...]], Node]:
    """Operator and weights -> the first node that has them, which is the layer of all others, too."""
    found: dict[tuple[str, tuple[str, ...]], Node] = {}
    for node in graph.layers:
        found.setdefault((node.op, node.weights), node)
    return found


def keys(node: Node, norm: Norm) -> list[tuple[str, str]]:
    """(name in the graph, name in the layer) of each weight that the layer has."""
    missing = () if norm.get("track_running_stats", True) else STATISTICS
    if node.op == "BatchNormalization" and not norm.get("affine", True):
        missing = AFFINE
    return [pair for pair in zip(node.weights, NAMES_OF_TORCH[node.op], strict=False) if pair[1] not in missing]


def counts(node: Node, norm: Norm) -> bool:
    """Whether the layer counts the batches that it has tracked."""
    return node.op == "BatchNormalization" and "functional" not in norm and "track_running_stats" not in norm


def entries(node: Node, norm: Norm, prefix: str, dialect: Dialect) -> list[str]:
    """The layer's entries in a state dict."""
    package = dialect.package
    found = [f'"{prefix}{key}": {package}.from_numpy(weights["{name}"]),' for name, key in keys(node, norm)]
    if counts(node, norm) and "counted" in norm:
        found.append(f'"{prefix}num_batches_tracked": {package}.tensor({norm["counted"]}),')
    return found


def places(node: Node, norm: Norm) -> dict[str, Stored]:
    """Where the layer keeps its tensors."""
    found: dict[str, Stored] = {name: (f"net.{node.id}.{key}", None) for name, key in keys(node, norm)}
    if counts(node, norm):
        found[f"{node.name}.num_batches_tracked"] = f"net.{node.id}.num_batches_tracked", None
    return found


def layer(node: Node, norm: Norm) -> str:
    """The constructor's call. Torch calls the part that is taken momentum; rounded as a user would write it."""
    attributes = node.attributes
    match node.op:
        case "BatchNormalization":
            taken = norm.get("momentum", round(1 - attributes["momentum"], 7))
            channels = "" if norm.get("lazy") else f"{node.filters}, "
            said = f"{channels}eps={attributes['epsilon']}, momentum={taken}"
            if "functional" in norm:
                return f"BatchNorm({said})"
            for word in ("affine", "track_running_stats"):
                if word in norm:
                    said += f", {word}={norm[word]}"
            return f"nn.{'Lazy' if norm.get('lazy') else ''}BatchNorm{2 if node.rank == 4 else 1}d({said})"
        case "Conv" | "ConvTranspose":
            return f"nn.{node.op}{node.rank - 2}d({convolution(node)})"
        case "MaxPool":
            return f"nn.MaxPool{node.rank - 2}d({window(node)})"
        case op if op in ACTIVATIONS:
            return ACTIVATIONS[op].format(**attributes)
    return f"nn.Linear({node.channels}, {node.filters})"


def convolution(node: Node) -> str:
    """The arguments of a convolution, without keywords that have their usual values."""
    ones, zeros = (1,) * (node.rank - 2), (0,) * (node.rank - 2)
    keywords: dict[str, tuple[Any, Any]] = {
        "stride": (node.strides, ones),
        "padding": (node.padding, zeros),
        **({"output_padding": (node.further, zeros)} if node.op == "ConvTranspose" else {}),
        "dilation": (node.dilations, ones),
        "groups": (node.attributes["group"], 1),
        "bias": (node.biased, True),
    }
    said = [f"{word}={value}" for word, (value, usual) in keywords.items() if value != usual]
    sizes = node.channels, node.filters, node.kernel
    return ", ".join([*map(str, sizes), *said])


def expression(node: Node, inputs: list[str], layer: str, dialect: Dialect) -> str:
    """A call of a layer, or a function."""
    attributes, x = node.attributes, inputs[0]
    match node.op:
        case "Conv":
            return f"self.{layer}({padded(node, x)})"
        case "ConvTranspose":
            return operators.cut(node, f"self.{layer}({x})", dialect.library)
        case "BatchNormalization" | "Gemm":
            return f"self.{layer}({x})"
        case "Concat":
            return f"{dialect.package}.cat([{', '.join(inputs)}], dim={attributes['axis']})"
        case "Flatten":
            return f"{dialect.package}.flatten({x}, {attributes['axis']})"
        case "GlobalAveragePool":
            return f"F.adaptive_avg_pool{node.rank - 2}d({x}, {[1] * (node.rank - 2)})"
        case "MaxPool":
            return f"F.max_pool{node.rank - 2}d({padded(node, x, '-inf')}, {window(node)})"
        case "AveragePool":
            return average_pool(node, x, dialect.package)
        case "Softmax":
            return f"F.softmax({x}, dim={attributes['axis']})"
        case "Relu":
            return f"F.relu({x})"
    return operators.expression(node, inputs, dialect.library)


def average_pool(node: Node, x: str, package: str) -> str:
    """`F.avg_pool1d` or `F.avg_pool2d`; where pads are uneven and do not count, their share is divided out."""
    counted = bool(node.attributes["count_include_pad"])

    def pool(of: str) -> str:
        return f"F.avg_pool{node.rank - 2}d({padded(node, of)}, {window(node)}, count_include_pad={counted})"

    return pool(x) if counted or node.even else f"{pool(x)} / {pool(f'{package}.ones_like({x})')}"


def window(node: Node) -> str:
    """How a pool's window moves."""
    return f"{list(node.kernel)}, stride={list(node.strides)}, padding={list(node.padding)}"


def padded(node: Node, x: str, value: str = "") -> str:
    """`x`, or where pads are uneven `F.pad` of it, which takes beginning and end of the last axis first."""
    if node.even:
        return x
    widths = [*chain(*reversed(node.pads))]
    return f'F.pad({x}, {widths}, value=float("{value}"))' if value else f"F.pad({x}, {widths})"
