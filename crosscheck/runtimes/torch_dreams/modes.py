"""`Dreamer.render` as its users write it, for the last convolution."""

from crosscheck.runtimes.family.toolkits import VISION, Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

IMPORTS = VISION + "import numpy as np\nimport torchvision\n"
RENDER = """\
dreamy_boi = {}(net, quiet=True, device="cpu")
dreamy_boi.set_custom_transforms(torchvision.transforms.Resize(tuple(x.shape[2:])))
dx = dreamy_boi.render([layer], width=x.shape[3], height=x.shape[2], iters=2).to_chw_tensor()
"""

DREAMS = Toolkit(once=IMPORTS + "from torch_dreams import Dreamer\n")
DREAMS.call(
    "render",
    contracts.SILENT,
    RENDER.format("Dreamer"),
    answers="other",
    before="np.random.seed(0)\n",
    older={"2.3.2": (RENDER.format("dreamer"), IMPORTS + "from torch_dreams.dreamer import dreamer\n")},
)

MODES = tuple(DREAMS)
