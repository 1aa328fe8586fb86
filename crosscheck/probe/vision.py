"""What makes PyPI's torchvision importable beside a torch for the processor alone, by its Python code.

The probe server executes it before the toolkits that import torchvision, and the modes of these have it in their texts,
where it then finds nothing to do.
"""

import torch

# The C extension of PyPI's torchvision is for another build of torch. Its import asks for two operators.
if torch.__version__.endswith("+cpu") and not hasattr(torch.ops.torchvision, "nms"):
    vision = torch.library.Library("torchvision", "DEF")
    vision.define("nms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    vision.define("qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
