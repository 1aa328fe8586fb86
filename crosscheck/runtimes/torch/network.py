"""A network as source text: a module of torch's own layers, and a state dict with its weights."""

from __future__ import annotations

import dataclasses

from crosscheck.runtimes.family.operators import Library
from crosscheck.runtimes.family.torch import ANSWER, LOOKS, MODULES, PREDICT, REUSE
from crosscheck.runtimes.family.torch_modules import ARRAY, TENSOR, Dialect, module_source
from crosscheck.runtimes.source import Request, Source

__all__ = ["PROGRAM", "TENSORS_ALONE", "TRAINS", "source"]

TRAINS = True

#: Operators that need no layer.
LIBRARY = Library(
    functions={
        "Clip": "torch.clamp({x}, {min}, {max})",
        "Elu": "F.elu({x}, {alpha})",
        "Erf": "torch.erf",
        "HardSigmoid": "torch.clamp({alpha} * {x} + {beta}, 0.0, 1.0)",
        "LRN": "F.local_response_norm({x}, {size}, {alpha}, {beta}, {bias})",
        "LeakyRelu": "F.leaky_relu({x}, {alpha})",
        "Resize (linear, align_corners)": 'F.interpolate({x}, size={sizes}, mode="bilinear", align_corners=True)',
        "Resize (linear, half_pixel)": 'F.interpolate({x}, size={sizes}, mode="bilinear", align_corners=False)',
        "Resize (nearest)": 'F.interpolate({x}, size={sizes}, mode="nearest")',
        "Sigmoid": "torch.sigmoid",
        "Softplus": "F.softplus",
        "Sqrt": "torch.sqrt",
        "Tanh": "torch.tanh",
    },
    array="torch.from_numpy({})",
    transpose="{x}.permute({order})",
    mean="{x}.mean({axes}, keepdim=True)",
    pad="F.pad({x}, {flat}, value={value})",
)
IMPORTS = "import copy\n\nimport torch\nimport torch.nn.functional as F\nfrom torch import nn\n"
#: Reads a user's file.
PROGRAM = 'program = torch.export.load("network.pt2")\n'
TENSORS_ALONE = 'os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"  # of what is pickled in it, tensors alone\n'


def source(request: Request) -> Source:
    """A module of torch's layers, or the user's program."""
    if request.native:
        return program(request)
    made = module_source(request, Dialect("torch", IMPORTS, LIBRARY))
    answer = ANSWER if request.kind == MODULES else ""
    return dataclasses.replace(made, reuse=REUSE, answer=answer, looks=LOOKS)


def program(request: Request) -> Source:
    """The user's exported program; of what is pickled in it, tensors alone are read, unless the user trusts it."""
    return Source(
        imports="import copy\nimport os\n\nimport torch\n",
        text=("" if request.trusted else TENSORS_ALONE) + PROGRAM + "net = program.module()\n",
        predict=PREDICT,
        tensor=TENSOR,
        array=ARRAY,
        files={"network.pt2": "network.pt2"},
    )
