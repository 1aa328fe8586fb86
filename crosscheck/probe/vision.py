"""What makes PyPI's torchvision importable beside a torch for the processor alone, by its Python code.

Its C extension is for another build of torch; the import asks for two of its operators. The probe server executes the
lines before it imports toolkits that import torchvision, and the modes of these have them in their texts, where they
then find nothing to do.
"""

import torch

if torch.__version__.endswith("+cpu") and not hasattr(torch.ops.torchvision, "nms"):  # torchvision asks for these two
    vision = torch.library.Library("torchvision", "DEF")
    vision.define("nms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    vision.define("qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
