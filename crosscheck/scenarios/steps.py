"""The steps of every scenario and reading, as data, executed by `crosscheck.probe` (Python and JavaScript).

A step is a JSON object; `do` names the action:

    build     `model` of `network` ("network" or "readout"), for `mode`; with `shares`, with the layers of that
              model
    predict   the documented prediction of the probe input by `model`, recorded as `prediction/<as>`
    classify  the documented prediction of the held-out images, recorded as `classes/<as>`: arg max per image, and its
            softmax as `confidence/<as>`
    ask       run `mode` on `model`, recorded as `gradient/<as>` or `forward/<as>`; `input`: "x", "noise" (one row
              of it per repetition) or "image"; `cotangent`: "cotangent" or "ones"; `read`: whether to read the result;
              `between`: steps between forward and backward; `started`: whether `start` has executed what precedes the
              call
    start     what precedes the call in a toolkit's mode: its user puts `model` into a state
    train     one training step of `model` on the probe input, in whatever state it is
    reuse     what users do with `model` later: `what` is "save" its state, "load" what was saved, "copy" or "pickle"
            it, or "differentiate-twice", recorded as `reuse/<what>`; a trial goes on if that raises
    read      read the unread result of the last `ask`
    snapshot  every persistent tensor as `state/<as>/<name>`, the public parameter view as `parameters/<as>/<name>`,
              what else calls left on the network as `left/<as>/<name>`, and mode flags that differ from what the user's
              lines set as `switched/<as>/<name>`
    settle    wait for all asynchronous work
    hold      let the runtime's other threads run only while this one blocks, until `release`
    rest      wait until the runtime's other threads sleep, without a call of the runtime
    layers    the output of every node, as `layer/<tensor>`
    ascend    image = rescale(image + rescale(last gradient) / 10), rescale mapping onto [0, 1]
    image     record the image as `image/<as>`
    export    run the export; its ONNX files are recorded as `file/<name>`; the imported network is model `as`
    repeat    `steps`, `times` times; "#" in their `as` becomes the repetition, from 1

`mode` is a role: "tested" is the cell's mode, "inference" and "training" are the modes it names for comparison. A step
with `needs` is skipped if the cell's mode names no mode for that role, one with `pace` in trials of another pace.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crosscheck.cells import Scenario
from crosscheck.probe import recorded
from crosscheck.scenarios.facts import LAYERS, SAVED, UNASKED, UNEXPLAINED

__all__ = [
    "AS_IT_COMES",
    "CALLS",
    "EXAMPLE",
    "HELD_BACK",
    "PACES",
    "RESTED",
    "REUSED",
    "SCRIPT",
    "STEPS",
    "Step",
    "steps",
]

Step = dict[str, Any]

#: The number of calls of `twenty` and `ascent`.
CALLS = 20

#: The paces of trials that do not wait for the call, by turns. A race that shows in a few of many trials shows in
#: almost every one whose other threads are held back, and in none of those that give them time. A single trial is held
#: back: what it shows is compared with trials that wait, and read early it has trials of the other paces beside it.
HELD_BACK, RESTED, AS_IT_COMES = PACES = ("held-back", "rested", "as-it-comes")


def _build(model: str = "model", mode: str = "tested", network: str = "network", shares: str | None = None) -> Step:
    return {"do": "build", "model": model, "mode": mode, "network": network, "shares": shares}


def _predict(when: str, model: str = "model") -> Step:
    return {"do": "predict", "model": model, "as": when}


def _classify(when: str) -> Step:
    return {"do": "classify", "model": "model", "as": when}


def _ask(
    when: str,
    model: str = "model",
    mode: str = "tested",
    source: str = "x",
    cotangent: str = "cotangent",
    read: bool = True,
    between: Sequence[Step] = (),
    needs: str | None = None,
    started: bool = False,
) -> Step:
    return {
        "do": "ask",
        "model": model,
        "mode": mode,
        "as": when,
        "input": source,
        "cotangent": cotangent,
        "read": read,
        "between": list(between),
        "needs": needs,
        "started": started,
    }


def _read(when: str) -> Step:
    return {"do": "read", "as": when}


def _snapshot(when: str, model: str = "model", needs: str | None = None) -> Step:
    return {"do": "snapshot", "model": model, "as": when, "needs": needs}


def _settle(when: str, model: str = "model") -> Step:
    return {"do": "settle", "model": model, "as": when}


def _reuse(what: str, model: str = "model") -> Step:
    return {"do": "reuse", "model": model, "what": what}


def _paced(pace: str, do: str) -> Step:
    return {"do": do, "pace": pace}


def _repeat(*steps: Step) -> Step:
    return {"do": "repeat", "times": CALLS, "steps": list(steps)}


#: Reads only predictions and gradients until the predictions after the call are recorded.
_UNDISTURBED = (
    _build(),
    _predict(recorded.BEFORE),
    _predict(recorded.BEFORE_AGAIN),
    _ask(recorded.FIRST),
    _predict(recorded.AFTER),
    _predict(recorded.AFTER_AGAIN),
    _settle(recorded.AFTER),
    _snapshot(recorded.AFTER),
    _ask(recorded.SECOND),
    _predict(recorded.AFTER_SECOND),
    _snapshot(recorded.AFTER_SECOND),
    _ask(recorded.INFERENCE, mode="inference", needs="inference"),
    _predict(recorded.LAST),
    _snapshot(recorded.LAST),
)
#: Reads every persistent tensor after every step, and between forward and backward if they are separate calls.
_TIMED = (
    _build(),
    _snapshot(recorded.BUILT),
    _predict(recorded.BEFORE),
    _snapshot(recorded.PREDICTED),
    _ask(recorded.FIRST, between=[_settle(recorded.BETWEEN), _snapshot(recorded.BETWEEN)]),
    _settle(recorded.ASKED),
    _snapshot(recorded.ASKED),
    _snapshot(recorded.READ),
    _predict(recorded.AFTER),
    _snapshot(recorded.AFTER),
    _ask(recorded.SECOND),
    _settle(recorded.SECOND),
    _snapshot(recorded.SECOND),
)
#: Reads the tensors directly after the call, without waiting and before its result.
_UNSETTLED = (
    _build(),
    _predict(recorded.BEFORE),
    _paced(HELD_BACK, "hold"),
    _ask(recorded.FIRST, read=False),
    _paced(RESTED, "rest"),
    _snapshot(recorded.AT_ONCE),
    _paced(HELD_BACK, "release"),
    _read(recorded.FIRST),
    _settle(recorded.AFTER),
    _snapshot(recorded.AFTER),
    _predict(recorded.AFTER),
)
#: Predicts directly after the call, without waiting and before reading its result.
_IMMEDIATE = (
    _build(),
    _predict(recorded.BEFORE),
    _paced(HELD_BACK, "hold"),
    _ask(recorded.FIRST, read=False),
    _paced(RESTED, "rest"),
    _predict(recorded.AFTER),
    _paced(HELD_BACK, "release"),
    _read(recorded.FIRST),
    _settle(recorded.AFTER),
    _snapshot(recorded.AFTER),
    _predict(recorded.LAST),
)
#: The state is saved before anything else is done with the network, and loaded when nothing else is.
REUSED = (
    *map(_reuse, (recorded.SAVE, recorded.COPY, recorded.PICKLE, recorded.TWICE)),
    _build(recorded.RESTORED),
    _reuse(recorded.LOAD, recorded.RESTORED),
    _predict(recorded.RESTORED, recorded.RESTORED),
)
_START: Step = {"do": "start", "model": "model", "mode": "tested"}
_TRAIN: Step = {"do": "train", "model": "model"}
#: As a user looks at what the network has learnt after each step.
_INTERLEAVED = (
    _build(),
    _START,
    _ask(recorded.FIRST, started=True),
    _TRAIN,
    _ask(recorded.SECOND, started=True),
    _TRAIN,
    _predict(recorded.LAST),
    _snapshot(recorded.LAST),
)
_FIRST_ALONE = (_ask(recorded.FIRST), _settle(recorded.AFTER), _snapshot(recorded.AFTER))

#: (scenario, reading) -> steps.
STEPS: dict[tuple[Scenario, str], tuple[Step, ...]] = {
    (Scenario.GRADIENT, "undisturbed"): _UNDISTURBED,
    (Scenario.GRADIENT, "timed"): _TIMED,
    (Scenario.GRADIENT, "unsettled"): _UNSETTLED,
    (Scenario.GRADIENT, "immediate"): _IMMEDIATE,
    (Scenario.GRADIENT, SAVED): (_build(), _START, _ask(recorded.FIRST, started=True), *REUSED),
    (Scenario.GRADIENT, UNEXPLAINED): (_build(), _START, *REUSED),
    (Scenario.PREDICT_ONLY, "undisturbed"): _UNDISTURBED,
    (Scenario.PREDICT_ONLY, "timed"): _TIMED,
    (Scenario.PREDICT_ONLY, "unsettled"): _UNSETTLED,
    (Scenario.PREDICT_ONLY, "immediate"): _IMMEDIATE,
    (Scenario.PREDICT_ONLY, LAYERS): (_build(), {"do": "layers", "model": "model"}),
    (Scenario.ORDER, "alone"): (_build(), *_FIRST_ALONE),
    # A separate model: only the process is shared.
    (Scenario.ORDER, "after-other"): (
        _build("other", mode="training"),
        _ask(recorded.OTHER, "other", mode="training"),
        _settle(recorded.OTHER, "other"),
        _build(),
        *_FIRST_ALONE,
    ),
    # The same model; the first call may have moved its statistics.
    (Scenario.ORDER, "after-same"): (
        _build(),
        _ask(recorded.OTHER, mode="training"),
        _settle(recorded.OTHER),
        _snapshot(recorded.BEFORE),
        *_FIRST_ALONE,
    ),
    (Scenario.TWENTY, "undisturbed"): (
        _build(),
        _predict(recorded.START),
        _predict(recorded.START_AGAIN),
        _classify(recorded.START),
        _repeat(_ask("#", source="noise"), _predict("#"), _classify("#")),
        _settle(recorded.LAST),
        _snapshot(recorded.LAST),
    ),
    (Scenario.TWENTY, UNASKED): (_build(), _predict(recorded.START), _snapshot(recorded.PREDICTED)),
    # As in the thread of 2017: gradient ascent on one class, through layers shared with the observed network.
    (Scenario.ASCENT, "undisturbed"): (
        _build(),
        _build("readout", network="readout", shares="model"),
        _predict(recorded.START),
        _predict(recorded.START_AGAIN),
        _classify(recorded.START),
        _repeat(
            _ask("#", "readout", source="image", cotangent="ones"), {"do": "ascend"}, _predict("#"), _classify("#")
        ),
        {"do": "image", "as": recorded.LAST},
        _settle(recorded.LAST),
        _snapshot(recorded.LAST),
    ),
    (Scenario.ASCENT, UNASKED): (
        _build(),
        _build("readout", network="readout", shares="model"),
        _predict(recorded.START),
        _snapshot(recorded.PREDICTED),
    ),
    (Scenario.SIBLING, "undisturbed"): (
        _build("first"),
        _build("second", shares="first"),
        _predict(recorded.BEFORE, "first"),
        _predict(recorded.SIBLING_BEFORE, "second"),
        _ask(recorded.FIRST, "second"),
        _predict(recorded.AFTER, "first"),
        _predict(recorded.SIBLING_AFTER, "second"),
        _settle(recorded.AFTER, "first"),
        _snapshot(recorded.AFTER, "first"),
    ),
    (Scenario.SIBLING, UNASKED): (
        _build("first"),
        _build("second", shares="first"),
        _predict(recorded.BEFORE, "first"),
        _predict(recorded.SIBLING_BEFORE, "second"),
        _snapshot(recorded.PREDICTED, "first"),
    ),
    (Scenario.EXPORT, "undisturbed"): (
        _build(),
        _predict(recorded.BEFORE),
        _snapshot(recorded.BEFORE),
        {"do": "export", "model": "model", "as": recorded.EXPORTED},
        _predict(recorded.AFTER),
        _snapshot(recorded.AFTER),
        _predict(recorded.EXPORTED, recorded.EXPORTED),
    ),
    (Scenario.INTERLEAVED, "undisturbed"): _INTERLEAVED,
    (Scenario.INTERLEAVED, UNEXPLAINED): tuple(step for step in _INTERLEAVED if step["do"] != "ask"),
}


#: The steps of a scenario in a script.
SCRIPT: dict[Scenario, tuple[Step, ...]] = {
    Scenario.GRADIENT: (
        _build(),
        _predict(recorded.BEFORE),
        _ask(recorded.FIRST),
        _predict(recorded.AFTER),
        _snapshot(recorded.AFTER),
    ),
    Scenario.PREDICT_ONLY: (
        _build(),
        _predict(recorded.BEFORE),
        _ask(recorded.FIRST),
        _predict(recorded.AFTER),
        _snapshot(recorded.AFTER),
    ),
    Scenario.ORDER: (
        _build("other", mode="training"),
        _ask(recorded.OTHER, "other", mode="training"),
        _build(),
        _ask(recorded.FIRST),
    ),
    Scenario.TWENTY: STEPS[Scenario.TWENTY, "undisturbed"],
    Scenario.ASCENT: STEPS[Scenario.ASCENT, "undisturbed"],
    Scenario.SIBLING: STEPS[Scenario.SIBLING, "undisturbed"],
    Scenario.EXPORT: STEPS[Scenario.EXPORT, "undisturbed"],
    Scenario.INTERLEAVED: _INTERLEAVED,
}


#: The steps of a recipe's program.
EXAMPLE: tuple[Step, ...] = (_build(), _ask(recorded.FIRST))


def steps(scenario: Scenario, reading: str, roles: Sequence[str], pace: str = AS_IT_COMES) -> list[Step]:
    """The steps of one reading of a cell at one pace; `roles` ("inference", "training") are those its mode names."""
    return [
        step
        for step in STEPS[scenario, reading]
        if step.get("needs") in (None, *roles) and step.get("pace") in (None, pace)
    ]
