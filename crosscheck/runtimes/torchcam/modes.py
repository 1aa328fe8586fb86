"""Each way of asking for a map, as TorchCAM's users write it: an extractor watches the user's own forward."""

from crosscheck.runtimes.family.toolkits import Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

CAM = Toolkit(once="from torchcam.methods import GradCAM, ScoreCAM, SmoothGradCAMpp\n")
SEED = "torch.manual_seed(0)\n"
for name, made, answers, before in (
    ("grad-cam", "GradCAM(net, layer)", "grad-cam of-first-class relu scaled no-channel", ""),
    ("grad-cam-found-layer", "GradCAM(net, input_shape=tuple(x.shape[1:]))", "other", ""),
    ("smooth-grad-cam", "SmoothGradCAMpp(net, layer, num_samples=2)", "other", SEED),
    ("score-cam", "ScoreCAM(net, layer)", "other", ""),
):
    asks = "dx = extractor(int(target[0]), net(x))[0]\n"
    CAM.call(
        name,
        contracts.EVALUATION,
        f"with {made} as extractor:\n    {asks}",
        answers=answers,
        before=before,
        older={"0.3.2": (f"extractor = {made}\n{asks}", CAM.once)},
    )

MODES = tuple(CAM)
