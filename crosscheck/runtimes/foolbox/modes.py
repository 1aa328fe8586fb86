"""Each way of asking for a gradient or an attack, as foolbox's users write it."""

from crosscheck.runtimes.family.toolkits import Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

__all__ = ["MODES"]

FOOLBOX = Toolkit(once="import eagerpy\nimport foolbox\n")
MODEL = 'model = foolbox.PyTorchModel(net, bounds=(-100, 100), device="cpu")\n'
FOOLBOX.call(
    "value-and-grad",
    contracts.WARNED,
    MODEL
    + """\
images, labels = eagerpy.astensors(x, target)
_, gradient = eagerpy.value_and_grad(lambda images: eagerpy.crossentropy(model(images), labels).sum(), images)
dx = gradient.raw
""",
    answers="loss",
)
FOOLBOX.call(
    "linf-pgd",
    contracts.WARNED,
    MODEL + "_, dx, _ = foolbox.attacks.LinfPGD(steps=2, random_start=False)(model, x, target, epsilons=0.1)\n",
    answers="other",
)

MODES = tuple(FOOLBOX)
