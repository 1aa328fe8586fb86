"""`Dreamer.render` as its users write it, for the last convolution."""

from crosscheck.runtimes.family.toolkits import VISION, Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

DREAMS = Toolkit(once=VISION + "import numpy as np\nimport torchvision\nfrom torch_dreams import Dreamer\n")
DREAMS.call(
    "render",
    contracts.SILENT,
    """\
dreamer = Dreamer(net, quiet=True, device="cpu")
dreamer.set_custom_transforms(torchvision.transforms.Resize(tuple(x.shape[2:])))
dx = dreamer.render([layer], width=x.shape[3], height=x.shape[2], iters=2).to_chw_tensor()
""",
    answers="other",
    before="np.random.seed(0)\n",
)

MODES = tuple(DREAMS)
