"""Each attack, as the toolkit's users write it."""

from crosscheck.runtimes.family.toolkits import Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

__all__ = ["MODES"]

SECML = Toolkit(
    once="""\
from secmlt.adv.backends import Backends
from secmlt.adv.evasion.pgd import PGD
from secmlt.models.pytorch.base_pytorch_nn import BasePyTorchClassifier
from torch.utils.data import DataLoader, TensorDataset
"""
)
SECML.call(
    "pgd",
    contracts.SILENT,
    """\
attack = PGD("linf", epsilon=0.1, num_steps=2, step_size=0.05, lb=-100.0, ub=100.0, backend=Backends.NATIVE)
rows = DataLoader(TensorDataset(x, target), batch_size=len(x), generator=torch.Generator())
dx, _ = attack(BasePyTorchClassifier(net), rows).dataset[:]
""",
    answers="other",
)

MODES = tuple(SECML)
