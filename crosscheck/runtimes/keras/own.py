"""Each way of asking about a user's Keras network as it is, on TensorFlow."""

from crosscheck.runtimes.family.keras_texts import CALLS, INTENT, taped
from crosscheck.runtimes.mode import Contracts, Modes

contracts = Contracts(__file__)

#: The format's name.
NATIVE = "keras"
OWN = Modes("own.tf.tape.eval", "own.tf.tape.train", since="3.0")

OWN.prediction(
    "own.tf.predict", "inference", contracts.INFERENCE, f"y = {CALLS['eval']}\n", default=True, native=NATIVE
)
for half, contract in (("train", contracts.TRAINING), ("eval", contracts.INFERENCE), ("unset", contracts.UNSET)):
    OWN.gradient(f"own.tf.tape.{half}", INTENT[half], contract, taped(CALLS[half]), default=True, native=NATIVE)
