"""Libraries whose arrays have numpy's functions (JAX, MLX): operators that need no layer, and channels last."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from crosscheck.runtimes.family import operators
from crosscheck.runtimes.family.graph import Graph, Node, last_axis
from crosscheck.runtimes.family.operators import Library

__all__ = ["JAX", "JAX_EXAMPLE", "MLX", "body", "entry", "function"]

#: Which channels an LRN adds: a matrix with ones around the diagonal.
BAND = "(jnp.tri({channels}, {channels}, {reach}) - jnp.tri({channels}, {channels}, -{reach} - 1))"
RESIZED = "({x}.shape[0], {sizes[0]}, {sizes[1]}, {channels})"
#: JAX's functions, with channels last.
JAX = Library(
    functions={
        "Clip": "jnp.clip({x}, {min}, {max})",
        "Elu": "jax.nn.elu({x}, {alpha})",
        "Erf": "jax.lax.erf",
        "HardSigmoid": "jnp.clip({alpha} * {x} + {beta}, 0.0, 1.0)",
        "LRN": f"{{x}} / ({{bias}} + {{alpha}} / {{size}} * ({{x}} ** 2 @ {BAND})) ** {{beta}}",
        "LeakyRelu": "jax.nn.leaky_relu({x}, {alpha})",
        "Resize (linear, half_pixel)": f'jax.image.resize({{x}}, {RESIZED}, "linear", antialias=False)',
        "Resize (nearest)": f'jax.image.resize({{x}}, {RESIZED}, "nearest")',
        "Sigmoid": "jax.nn.sigmoid",
        "Softplus": "jax.nn.softplus",
        "Sqrt": "jnp.sqrt",
        "Tanh": "jnp.tanh",
    },
    pad="jnp.pad({x}, {widths}, constant_values={value})",
    last=True,
)
#: The same for one example, channels first, around which `vmap` puts the batch axis.
JAX_EXAMPLE = dataclasses.replace(
    JAX,
    functions={
        **{name: way.replace(RESIZED, "({channels}, {sizes[0]}, {sizes[1]})") for name, way in JAX.functions.items()},
        "LRN": f"{{x}} / ({{bias}} + {{alpha}} / {{size}} * jnp.tensordot({BAND}, {{x}} ** 2, 1)) ** {{beta}}",
    },
    last=False,
    rows=False,
)
#: MLX's functions, with channels last.
MLX = Library(
    functions={
        "Clip": "mx.clip({x}, {min}, {max})",
        "Elu": "nn.elu({x}, {alpha})",
        "Erf": "mx.erf",
        "HardSigmoid": "mx.clip({alpha} * {x} + {beta}, 0.0, 1.0)",
        "LeakyRelu": "nn.leaky_relu({x}, {alpha})",
        "Sigmoid": "mx.sigmoid",
        "Softplus": "nn.softplus",
        "Sqrt": "mx.sqrt",
        "Tanh": "mx.tanh",
    },
    array="mx.array({})",
    pad="mx.pad({x}, {widths}, constant_values={value})",
    last=True,
)


def function(
    node: Node, inputs: Sequence[str], module: str = "jax.nn", arrays: str = "jnp", library: Library = JAX
) -> str:
    """An operator without a layer or window.

    module: what has `relu` and `softmax`. arrays: what has numpy's functions. library: the operators of both, and where
    tensors have their channels.
    """
    x, rank = inputs[0], node.rank
    match node.op:
        case "Relu":
            return f"{module}.relu({x})"
        case "Concat":
            return f"{arrays}.concatenate([{', '.join(inputs)}], axis={_axis(node, library)})"
        case "Flatten":
            if not library.rows:
                return f"{x}.reshape(-1)"
            first = f"{arrays}.moveaxis({x}, -1, 1)" if rank > 2 else x
            return f"{first}.reshape({x}.shape[0], -1)"
        case "GlobalAveragePool":
            return f"{x}.mean(axis={tuple(range(1, rank - 1))}, keepdims=True)"
        case "Softmax":
            return f"{module}.softmax({x}, axis={_axis(node, library)})"
    return operators.expression(node, inputs, library)


def _axis(node: Node, library: Library) -> int:
    axis = int(node.attributes["axis"])
    return last_axis(axis, node.rank) if library.rows else axis - 1


def entry(graph: Graph, arrays: str = "jnp") -> list[str]:
    """The library has channels last, the probe input has them first."""
    return [f"x = {arrays}.moveaxis(x, 1, -1)"] if len(graph.request.input_shape) > 2 else []


def body(graph: Graph, expression: Callable[[Node, list[str]], str], arrays: str = "jnp") -> tuple[list[str], str]:
    """`Graph.statements` with channels last, after `entry`; and the output in ONNX's layout."""
    lines, variable = graph.statements(expression)
    result = f"{arrays}.moveaxis({variable}, -1, 1)" if len(graph.output_shape) > 2 else variable
    return entry(graph, arrays) + lines, result
