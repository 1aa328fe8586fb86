"""Attributions of sequences, which the network reads as its pictures."""

from crosscheck.runtimes.family.toolkits import Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

#: The network in the state that its user has put it into, behind a layer that makes pictures of sequences.
BEFORE = """\
letters = x.reshape(len(x), -1, 4).argmax(2)
sequences = F.one_hot(letters, 4).movedim(2, 1).float()
model = nn.Sequential(Pictures(x.shape), net)
model.training = net.training
"""
PICTURES = """\
class Pictures(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape[1:]

    def forward(self, sequences):
        return sequences.reshape(-1, *self.shape)

"""
TANGERMEME = Toolkit()
TANGERMEME.call(
    "saliency",
    contracts.RESTORES,
    'dx = saliency(model, sequences, device="cpu")\n',
    answers="other",
    once="from tangermeme.saliency import saliency\n\n\n" + PICTURES,
    before=BEFORE,
    evaluates=True,
    since="1.6.0",
)
TANGERMEME.call(
    "deep-lift-shap",
    contracts.SILENT,
    'dx = deep_lift_shap(model, sequences, n_shuffles=2, random_state=0, device="cpu")\n',
    answers="other",
    once="from tangermeme.deep_lift_shap import deep_lift_shap\n\n\n" + PICTURES,
    before=BEFORE,
    evaluates=True,
)

MODES = tuple(TANGERMEME)
