"""A network as source text: a module of OneFlow's layers, which have torch's names."""

from __future__ import annotations

from crosscheck.runtimes.family.operators import Library
from crosscheck.runtimes.family.torch_modules import Dialect, module_source
from crosscheck.runtimes.source import Request, Source

__all__ = ["source"]

#: Operators that need no layer.
LIBRARY = Library(
    functions={
        "Clip": "flow.clamp({x}, {min}, {max})",
        "Elu": "F.elu({x}, {alpha})",
        "Erf": "flow.erf",
        "HardSigmoid": "flow.clamp({alpha} * {x} + {beta}, 0.0, 1.0)",
        "LeakyRelu": "F.leaky_relu({x}, {alpha})",
        "Resize (linear, align_corners)": 'F.interpolate({x}, size={sizes}, mode="bilinear", align_corners=True)',
        "Resize (linear, half_pixel)": 'F.interpolate({x}, size={sizes}, mode="bilinear", align_corners=False)',
        "Resize (nearest)": 'F.interpolate({x}, size={sizes}, mode="nearest")',
        "Sigmoid": "flow.sigmoid",
        "Softplus": "F.softplus",
        "Sqrt": "flow.sqrt",
        "Tanh": "flow.tanh",
    },
    array="flow.from_numpy({})",
    transpose="{x}.permute({order})",
    mean="{x}.mean({axes}, keepdim=True)",
    pad="F.pad({x}, {flat}, value={value})",
    matmul="flow.matmul({x}, {other})",
)
IMPORTS = "import oneflow as flow\nimport oneflow.nn.functional as F\nfrom oneflow import nn\n"


def source(request: Request) -> Source:
    """A module of OneFlow's layers."""
    return module_source(request, Dialect("flow", IMPORTS, LIBRARY))
