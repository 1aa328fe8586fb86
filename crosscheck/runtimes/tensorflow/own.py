"""Each way of asking about a user's Keras network or SavedModel as it is."""

from __future__ import annotations

from crosscheck.runtimes.family.keras_texts import CALLS, INTENT, TAPE, taped
from crosscheck.runtimes.mode import Contracts, Modes

contracts = Contracts(__file__)

__all__ = ["KERAS", "OWN", "SAVED_MODEL", "SERVED"]

#: The formats' names.
KERAS, SAVED_MODEL = "keras", "saved-model"
#: The documented prediction of a SavedModel.
SERVED = "y, = serve(**{name: x}).values()\n"

NETWORK = Modes("own.keras.tape.eval", "own.keras.tape.train", kind="eager", since="2.13")
PROGRAM = Modes("own.saved.tape.serve", "own.saved.tape.train", kind="served", since="2.0")

NETWORK.prediction(
    "own.keras.predict", "inference", contracts.INFERENCE, f"y = {CALLS['eval']}\n", default=True, native=KERAS
)
for half, contract in (("train", contracts.TRAINING), ("eval", contracts.INFERENCE), ("unset", contracts.UNSET)):
    NETWORK.gradient(f"own.keras.tape.{half}", INTENT[half], contract, taped(CALLS[half]), default=True, native=KERAS)

PROGRAM.prediction("own.saved.predict", "inference", contracts.SAVED_MODEL, SERVED, default=True, native=SAVED_MODEL)
for name, intent, lines in (("serve", "inference", SERVED), ("train", "training", f"y = {CALLS['train']}\n")):
    PROGRAM.gradient(
        f"own.saved.tape.{name}",
        intent,
        contracts.SAVED_MODEL,
        TAPE.format(lines.rstrip()),
        default=True,
        native=SAVED_MODEL,
    )

OWN = (*NETWORK, *PROGRAM)
