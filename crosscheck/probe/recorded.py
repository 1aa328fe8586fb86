"""The names of what a trial records: a kind and a moment, as in `prediction/after`. `probe/steps.py` says what each is.

Everything that writes or reads a recorded name takes it from here; JavaScript gets moments with the steps, as data.
"""

PREDICTION = "prediction/"
CLASSES = "classes/"
CONFIDENCE = "confidence/"
GRADIENT = "gradient/"
FORWARD = "forward/"
STATE = "state/"
PARAMETERS = "parameters/"
LEFT = "left/"
SWITCHED = "switched/"
LAYER = "layer/"
INPUT = "input/"
PREDICTION_INPUT = "prediction-input/"
IMAGE = "image/"
FILE = "file/"
REUSE = "reuse/"
FLAGS_BEFORE = "flags/before-"
FLAGS_AFTER = "flags/after-"
#: Steps of trials whose pace is not the runtime's own.
HOLD = "hold"
REST = "rest"

#: Moments: predictions around the call under test, that call, the same call again, an inference-mode gradient.
BEFORE = "before"
BEFORE_AGAIN = "before-again"
FIRST = "first"
SECOND = "second"
AFTER = "after"
AFTER_AGAIN = "after-again"
AFTER_SECOND = "after-second"
INFERENCE = "inference"
LAST = "last"
#: Moments of the readings that read tensors early.
BUILT = "built"
PREDICTED = "predicted"
BETWEEN = "between"
ASKED = "asked"
READ = "read"
AT_ONCE = "at-once"
#: The call before the one under test; the second of two networks; what was read back.
OTHER = "other"
SIBLING_BEFORE = "sibling-before"
SIBLING_AFTER = "sibling-after"
EXPORTED = "exported"
#: A network made anew that has read the state of another one.
RESTORED = "restored"
#: Before the first of many calls.
START = "0"
START_AGAIN = "0-again"


PREDICTION_START = PREDICTION + START
PREDICTION_START_AGAIN = PREDICTION + START_AGAIN
PREDICTION_BEFORE = PREDICTION + BEFORE
PREDICTION_BEFORE_AGAIN = PREDICTION + BEFORE_AGAIN
PREDICTION_AFTER = PREDICTION + AFTER
PREDICTION_AFTER_AGAIN = PREDICTION + AFTER_AGAIN
PREDICTION_AFTER_SECOND = PREDICTION + AFTER_SECOND
PREDICTION_LAST = PREDICTION + LAST
PREDICTION_EXPORTED = PREDICTION + EXPORTED
PREDICTION_RESTORED = PREDICTION + RESTORED
GRADIENT_FIRST = GRADIENT + FIRST
GRADIENT_SECOND = GRADIENT + SECOND
GRADIENT_INFERENCE = GRADIENT + INFERENCE
FORWARD_FIRST = FORWARD + FIRST
FORWARD_SECOND = FORWARD + SECOND
CLASSES_START = CLASSES + START
CONFIDENCE_START = CONFIDENCE + START
INPUT_INFERENCE = INPUT + INFERENCE
#: What a user does with a network after the call of a toolkit (`Source.reuse`).
SAVE = "save"
LOAD = "load"
COPY = "copy"
PICKLE = "pickle"
TWICE = "differentiate-twice"


def tensor(kind: str, when: str, name: str = "") -> str:
    """The name of one tensor in a snapshot, or what all begin with; `kind` is STATE, PARAMETERS, LEFT or SWITCHED."""
    return kind + when + "/" + name
