"""Which scenario suits which mode and network, what it is for, and which readings it takes. Data, in one place.

Readings are ways of running a scenario's steps, each in fresh processes:

    undisturbed  nothing is read but what a user reads: predictions and gradients
    timed        every persistent tensor is read after every step, and between forward and backward
    unsettled    the tensors are read right after the call, without waiting for asynchronous work
    immediate    the next prediction is asked for right after the call, its gradient unread
    layers       (predict-only) what every node puts out, in runtimes that can be asked for it
    alone        (order) the inference-mode call in a process of its own
    after-other  (order) the same call after a training-mode gradient of another network, built separately
    after-same   (order) the same call after a training-mode gradient of the same network
"""

from __future__ import annotations

from dataclasses import dataclass

from crosscheck.cells import Asks, Intent, Scenario

__all__ = ["LAYERS", "SCENARIOS", "ScenarioFacts"]

#: The reading that only runtimes take which show their layers.
LAYERS = "layers"


@dataclass(frozen=True)
class ScenarioFacts:
    """What a scenario does, for which modes and networks, and in which readings."""

    question: str
    steps: str
    asks: frozenset[Asks]
    readings: tuple[str, ...]
    #: The networks of the default matrix.
    default_networks: frozenset[str]
    #: With `--all`, the networks that older releases are asked about in modes which are not their default ones, and in
    #: variants: enough to tell since when and until when. Empty: the scenario tells what a leak does, not whether there
    #: is one, and only the newest release and those of the default matrix are asked. `--network` takes what suits.
    further_networks: frozenset[str] = frozenset()
    #: With `--all`, the networks that the newest release is asked about in its default modes; None: all of them.
    all_networks: frozenset[str] | None = None
    #: Only networks that come with held-out images and labels.
    needs_labels: bool = False
    #: Only modes with this intent; None: both.
    intent: Intent | None = None
    #: The networks with which variants are asked, to see whether a switch changes the answer; none: they are not.
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
        readings=("undisturbed", "timed", "unsettled", "immediate"),
        # `conv-norm-plain` is the control, since `conv-plain` is wrong wherever a maximum pool is.
        default_networks=frozenset({"seed", "seed-batch", "conv", "conv-norm", "conv-norm-plain", "dense"}),
        further_networks=frozenset({"seed-batch"}),
        variant_networks=frozenset({"seed", "conv", "conv-norm"}),
    ),
    Scenario.PREDICT_ONLY: ScenarioFacts(
        question="Does predicting, in this way and as often, change anything? (the control)",
        steps="predict, predict, ask in this mode, predict, predict, ask again, predict",
        asks=_PREDICTION,
        readings=("undisturbed", "timed", "unsettled", "immediate", LAYERS),
        default_networks=frozenset({"seed", "conv", "digits"}),
        further_networks=frozenset({"seed-batch"}),
        all_networks=frozenset({"seed", "seed-batch", "conv", "conv-norm", "dense", "inception", "digits"}),
        variant_networks=frozenset({"seed", "conv", "digits"}),
    ),
    Scenario.ORDER: ScenarioFacts(
        question="Is a correct inference-mode gradient still right after a training-mode one in the same process?",
        steps="training-mode gradient, inference-mode gradient; against the latter in a process of its own",
        asks=_GRADIENT,
        readings=("alone", "after-other", "after-same"),
        default_networks=frozenset({"seed-batch", "conv-norm"}),
        further_networks=frozenset({"seed-batch", "conv-norm"}),
        all_networks=_DISTURBED,
        intent=Intent.INFERENCE,
        variant_networks=frozenset({"conv-norm"}),
    ),
    Scenario.TWENTY: ScenarioFacts(
        question="What do twenty calls on image plus uniform noise do to the image's class and to the accuracy?",
        steps="predict; twenty times: ask about image + noise, predict the image, predict all held-out images",
        asks=_GRADIENT | _PREDICTION,
        readings=("undisturbed",),
        default_networks=frozenset({"digits", "digits-plain"}),
        needs_labels=True,
    ),
    Scenario.ASCENT: ScenarioFacts(
        question="Does gradient ascent on a second network built from the first one's layers change the first one?",
        steps="predict; twenty times: gradient of one class's read-out, image + rescaled gradient / 10, predict",
        asks=_GRADIENT,
        readings=("undisturbed",),
        default_networks=frozenset({"digits"}),
        all_networks=frozenset({"digits"}),
        needs_labels=True,
    ),
    Scenario.SIBLING: ScenarioFacts(
        question="When two networks share parameters, does the first see what was done to the second?",
        steps="predict with both, gradient of the second, predict with both",
        asks=_GRADIENT,
        readings=("undisturbed",),
        default_networks=frozenset({"seed-batch", "conv-norm"}),
        further_networks=frozenset({"seed-batch"}),
        all_networks=_DISTURBED,
    ),
    Scenario.EXPORT: ScenarioFacts(
        question="Does writing the network to the runtime's own files change it, or what it predicts when read back?",
        steps="predict, export, predict, predict with what was read back",
        asks=frozenset({Asks.EXPORT}),
        readings=("undisturbed",),
        default_networks=frozenset({"conv"}),
        further_networks=frozenset({"conv"}),
        variant_networks=frozenset({"conv"}),
    ),
}
