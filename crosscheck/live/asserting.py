"""`assert_gradient_is_pure`: predicts, asks for a gradient, predicts again, and compares everything that persists."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from crosscheck.live.kinds import live
from crosscheck.live.observed import Observed
from crosscheck.live.snapshot import Snapshot, arrays

__all__ = ["assert_gradient_is_pure"]

#: A function of a model and its input.
Function = Callable[[Any, Any], Any]


def assert_gradient_is_pure(model: Any, x: Any, call: Function | None = None, predict: Function | None = None) -> None:
    """Fail if a gradient changes the model, its predictions or the input.

    model: a torch module, a Keras model, a `tf.Module`, a flax nnx module, an equinox module (with its state: the pair
        `(module, state)`), or an MXNet Gluon block, with weights.
    x: an array of the framework, a tuple of positional inputs, or a dict of named ones.
    call: `call(model, x)` asks for the gradient, and may be any function, such as an attack; by default the plain
        gradient of the sum of all outputs, of the model in the mode that it is in.
    predict: `predict(model, x)` predicts, by default in inference mode. Modules of torch and nnx are copied for it.

    Raises AssertionError with the findings, TypeError for another kind of model, ValueError for a model without weights
    and for one that predicting alone changes. What `call` raises is passed on.
    """
    __tracebackhide__ = True
    subject = live(model)

    kept = subject.copied(x)

    def predicted() -> Any:
        return arrays(subject, subject.predict(subject.copied(kept), predict), "prediction")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what frameworks say about reading; the caller's own lines are not among these
        start = Snapshot.of(subject, x)
        first, again = predicted(), predicted()
        before = Snapshot.of(subject, x)
    if disturbed := start.differences(before):
        raise ValueError(
            f"predicting alone changes {', '.join(disturbed[:4])}: pass `predict`, a function of model and input that "
            "predicts without changing the model"
        )
    with subject.watched() as batches:
        if call is None:
            subject.gradient(x)
        else:
            call(model, x)
    observed = Observed(subject, kept, before, first, again, batches)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            observed.after = Snapshot.of(subject, x)
            observed.last = predicted()
        except Exception as problem:  # of any framework: what worked before the call has to work after it
            observed.problem = problem
        if observed.unchanged:
            return
        from crosscheck.live.message import message  # the judge's code takes a second to import

        text = message(observed)
    if text:
        raise AssertionError(text)
