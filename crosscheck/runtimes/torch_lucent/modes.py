"""`render_vis` as Lucent's users write it, for a channel of the last convolution."""

from crosscheck.runtimes.family.toolkits import VISION, Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

LUCENT = Toolkit(once=VISION + "from lucent.optvis import param, render\n")
LUCENT.call(
    "render-vis",
    contracts.MODE,
    """\
dx = render.render_vis(
    net, f"{name}:0", image, transforms=[], preprocess=False, fixed_image_size=size, thresholds=(2,), show_image=False
)[0]
""",
    answers="other",
    before="""\
torch.manual_seed(0)
name = {layer: name for name, layer in net.named_modules()}[layer].replace(".", "_")
size = tuple(x.shape[2:])
image = lambda: param.image(size[1], size[0], fft=False, channels=x.shape[1])
""",
)

MODES = tuple(LUCENT)
