"""Each way of asking for a gradient or an attack, as foolbox's users on TensorFlow write it."""

from crosscheck.runtimes.family.toolkits import KERAS, TENSORFLOW_TARGET, Toolkit
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

MADE = "model = foolbox.TensorFlowModel(net, bounds=(-100, 100))\n"
FOOLBOX = Toolkit(once="import eagerpy\nimport foolbox\n", states=KERAS, target=TENSORFLOW_TARGET, kind="eager")
FOOLBOX.call(
    "value-and-grad",
    contracts.SILENT,
    MADE
    + """\
attack = foolbox.attacks.LinfPGD()
loss = attack.get_loss_fn(model, eagerpy.astensor(target))
dx = attack.value_and_grad(loss, eagerpy.astensor(x))[1].raw
""",
    answers="loss",
)
for name, attack, epsilon in (
    ("pgd", "LinfPGD(steps=5)", 0.1),
    ("deepfool", "L2DeepFoolAttack(steps=5)", None),
    ("carlini-wagner", "L2CarliniWagnerAttack(binary_search_steps=1, steps=5)", None),
):
    seed = "tf.random.set_seed(0)\n" if name == "pgd" else ""
    text = f"{MADE}dx = foolbox.attacks.{attack}(model, x, target, epsilons={epsilon})[1]\n"
    FOOLBOX.call(name, contracts.SILENT, text, answers="other", before=seed)

MODES = tuple(FOOLBOX)
