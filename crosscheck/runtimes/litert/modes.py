"""Each way of asking LiteRT: a signature of the file, by an interpreter or by a compiled model.

The first part of each text is a comment: what the signature is in TensorFlow.
"""

from textwrap import indent

from crosscheck.runtimes.litert.network import APART, COMPILED
from crosscheck.runtimes.litert.signatures import FILE, SIGNATURES
from crosscheck.runtimes.mode import Contract, Contracts, Modes

contracts = Contracts(__file__)

#: Compiled models of releases before keep the shapes of the file, or load none from a file (2.1.4).
RESIZED = "2.1.5"
INTERPRETER = Modes(inference="gradient", training="train.gradient")
MODEL = Modes(inference="compiled.gradient", training="compiled.train.gradient", kind=COMPILED, since=RESIZED)

GRADIENT = 'dx = {}(x=x, cotangent=cotangent)["dx"]\n'
TRAIN = GRADIENT.format("train_gradient")


def shown(signature: str) -> str:
    """What a signature is, as a comment."""
    about = f"{FILE} was made with TensorFlow of a Keras model `net`, and has the signature\n"
    return indent(about + SIGNATURES[signature], "# ")


def gradient(modes: Modes, name: str, intent: str, contract: Contract, signature: str, text: str = "") -> None:
    """A way to ask for a gradient that calls this signature; `text` is the call, unless it is the plain one."""
    text = text or GRADIENT.format(signature)
    modes.gradient(name, intent, contract, text, once=shown(signature), default=True)


for modes, prefix, trained, told in (
    (INTERPRETER, "", contracts.TRAIN, contracts.SIGNATURE),
    (MODEL, "compiled.", contracts.COMPILED, contracts.COMPILED),
):
    gradient(modes, f"{prefix}train.gradient", "training", trained, "train_gradient")
    gradient(modes, f"{prefix}gradient", "inference", told, "gradient")
    for name, intent, contract in (("train.predict", "training", trained), ("predict", "inference", told)):
        signature = name.replace(".", "_")
        call = f'y = {signature}(x=x)["y"]\n'
        modes.prediction(f"{prefix}{name}", intent, contract, call, once=shown(signature), default=True)

gradient(
    INTERPRETER,
    "train.gradient-reset",
    "training",
    contracts.RESET,
    "train_gradient",
    f"{TRAIN}net.reset_all_variables()\n",
)
gradient(
    INTERPRETER,
    "train.gradient-restored",
    "training",
    contracts.RESTORE,
    "train_gradient",
    f"kept = state()\n{TRAIN}restore(**kept)\n",
)
INTERPRETER.gradient(
    "train.gradient-apart",
    "training",
    contracts.APART,
    TRAIN,
    once=shown("train_gradient"),
    default=True,
    kind=APART,
)

MODES = (*INTERPRETER, *MODEL)
