"""The facts of every scenario: purpose, suitable modes and networks, and readings.

A reading is one variant of a scenario's steps; each of its trials is a fresh process:

    undisturbed  reads only predictions and gradients, as a user does
    timed        reads every persistent tensor after every step, and between forward and backward
    unsettled    reads the tensors directly after the call, without waiting for asynchronous work
    immediate    predicts directly after the call, before its gradient is read
                 (these two, in asynchronous runtimes, by turns with the runtime's other threads held back, after these
                 have come to rest by themselves, and as it comes)
    unasked      (twenty, ascent, sibling) reads the tensors after the first predictions, before any call: what these
                 write is not the call's
    saved        (gradient, of toolkits) after the call saves the network's state, copies and pickles the network,
                 differentiates it twice, and predicts by a network made anew that loads the state
    unexplained  (gradient, interleaved, of toolkits) what the user alone does, without the toolkit's calls
    layers       (predict-only) reads the output of every node, in runtimes that expose it
    alone        (order) the inference-mode call in a separate process
    after-other  (order) the same call after a training-mode gradient of another network, built separately
    after-same   (order) the same call after a training-mode gradient of the same network
"""

from __future__ import annotations

from dataclasses import dataclass

from crosscheck.cells import Asks, Intent, Scenario

__all__ = ["LAYERS", "OF_TOOLKITS", "SAVED", "SCENARIOS", "UNASKED", "UNEXPLAINED", "ScenarioFacts"]

#: The reading of runtimes that expose the outputs of layers.
LAYERS = "layers"
#: The reading of what predictions write by themselves, where the primary reading has no snapshot before the call.
UNASKED = "unasked"
#: The reading of what becomes of a network that is saved, copied and differentiated twice after a toolkit's call.
SAVED = "saved"
#: The reading of what the user alone does, without the toolkit's call.
UNEXPLAINED = "unexplained"
#: The readings of toolkits' modes alone.
OF_TOOLKITS = (SAVED, UNEXPLAINED)


@dataclass(frozen=True)
class ScenarioFacts:
    """The question and steps of a scenario, its modes, networks and readings."""

    question: str
    steps: str
    asks: frozenset[Asks]
    readings: tuple[str, ...]
    #: The networks of the default matrix.
    default_networks: frozenset[str]
    #: With `--all`, the networks of older releases in non-default modes and in variants: enough to date a change. Empty
    #: for scenarios that measure the effect of a leak, not its presence: they run only in the newest release and those
    #: of the default matrix.
    further_networks: frozenset[str] = frozenset()
    #: With `--all`, the networks of the newest release in its default modes; None: all of them.
    all_networks: frozenset[str] | None = None
    #: Whether the scenario needs held-out images and labels.
    needs_labels: bool = False
    #: The intent of suitable modes; None: both.
    intent: Intent | None = None
    #: The networks of variants, which test whether a switch changes the result; empty: no variants.
    variant_networks: frozenset[str] = frozenset()


_GRADIENT = frozenset({Asks.GRADIENT})
_PREDICTION = frozenset({Asks.PREDICTION})

#: What the newest release is asked about one gradient that follows another, with `--all`: two ranks of batch
#: normalization, channels that are and are not multiples of 8, their control, and a maximum pool.
_DISTURBED = frozenset({"seed-batch", "conv", "conv-norm", "conv-norm-odd", "conv-norm-plain"})

SCENARIOS: dict[Scenario, ScenarioFacts] = {
    Scenario.GRADIENT: ScenarioFacts(
        question="Does one gradient change what the network predicts afterwards, when, and by which law?",
        steps="predict, predict, gradient, predict, predict, gradient again, inference gradient, predict",
        asks=_GRADIENT,
        readings=("undisturbed", "timed", "unsettled", "immediate", *OF_TOOLKITS),
        # `conv-norm-plain` is the control, since `conv-plain` is wrong wherever a maximum pool is.
        default_networks=frozenset({"seed", "seed-batch", "conv", "conv-norm", "conv-norm-plain", "dense"}),
        further_networks=frozenset({"seed-batch"}),
        variant_networks=frozenset({"seed", "conv", "conv-norm"}),
    ),
    Scenario.PREDICT_ONLY: ScenarioFacts(
        question="Does predicting in this mode, as often, change anything? (the control)",
        steps="predict, predict, call the mode, predict, predict, call it again, predict",
        asks=_PREDICTION,
        readings=("undisturbed", "timed", "unsettled", "immediate", LAYERS),
        default_networks=frozenset({"seed", "conv", "digits"}),
        further_networks=frozenset({"seed-batch"}),
        all_networks=frozenset({"seed", "seed-batch", "conv", "conv-norm", "dense", "inception", "digits"}),
        variant_networks=frozenset({"seed", "conv", "digits"}),
    ),
    Scenario.ORDER: ScenarioFacts(
        question="Is a correct inference-mode gradient still right after a training-mode one in the same process?",
        steps="training-mode gradient, inference-mode gradient; compared with the latter in a separate process",
        asks=_GRADIENT,
        readings=("alone", "after-other", "after-same"),
        default_networks=frozenset({"seed-batch", "conv-norm"}),
        further_networks=frozenset({"seed-batch", "conv-norm"}),
        all_networks=_DISTURBED,
        intent=Intent.INFERENCE,
        variant_networks=frozenset({"conv-norm"}),
    ),
    Scenario.TWENTY: ScenarioFacts(
        question="How do twenty calls on image plus uniform noise change the image's class and the accuracy?",
        steps="predict; twenty times: call the mode on image + noise, predict the image, predict all held-out images",
        asks=_GRADIENT | _PREDICTION,
        readings=("undisturbed", UNASKED),
        default_networks=frozenset({"digits", "digits-plain"}),
        needs_labels=True,
    ),
    Scenario.ASCENT: ScenarioFacts(
        question="Does gradient ascent on a second network built from the first one's layers change the first one?",
        steps="predict; twenty times: gradient of one class's score, image + rescaled gradient / 10, predict",
        asks=_GRADIENT,
        readings=("undisturbed", UNASKED),
        default_networks=frozenset({"digits"}),
        all_networks=frozenset({"digits"}),
        needs_labels=True,
    ),
    Scenario.SIBLING: ScenarioFacts(
        question="When two networks share parameters, does a call on the second change the first?",
        steps="predict with both, gradient of the second, predict with both",
        asks=_GRADIENT,
        readings=("undisturbed", UNASKED),
        default_networks=frozenset({"seed-batch", "conv-norm"}),
        further_networks=frozenset({"seed-batch"}),
        all_networks=_DISTURBED,
    ),
    Scenario.EXPORT: ScenarioFacts(
        question="Does exporting the network change it, or its predictions after import?",
        steps="predict, export, predict, import, predict",
        asks=frozenset({Asks.EXPORT}),
        readings=("undisturbed",),
        default_networks=frozenset({"conv"}),
        further_networks=frozenset({"conv"}),
        variant_networks=frozenset({"conv"}),
    ),
    Scenario.INTERLEAVED: ScenarioFacts(
        question="Does a training between whose steps a toolkit is called end where it ends without these calls?",
        steps="the state, then twice the toolkit's call and a training step, predict; compared with the steps alone",
        asks=_GRADIENT,
        readings=("undisturbed", UNEXPLAINED),
        default_networks=frozenset({"conv-norm"}),
        further_networks=frozenset({"conv-norm"}),
    ),
}
