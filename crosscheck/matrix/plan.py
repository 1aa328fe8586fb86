"""Expands targets x modes x networks x scenarios into cells, and each cell into trials."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from crosscheck.cells import PLAIN, UNWRITTEN, Asks, Cell, Scenario, Trial
from crosscheck.errors import UsageError
from crosscheck.matrix.selection import Target, matching
from crosscheck.networks import DIALECTS, FORMS, Network, exposed_name
from crosscheck.networks.dialects import unwritable
from crosscheck.networks.onnx_files import EXPORTED_FORMS, missing_forms
from crosscheck.networks.readout import readout
from crosscheck.repeatability import NOT_WAITING
from crosscheck.runtimes.catalog import variant_has
from crosscheck.runtimes.mode import Mode
from crosscheck.runtimes.program import Subject, compose, fingerprint, shown, source_of
from crosscheck.runtimes.source import Unwritten
from crosscheck.scenarios.facts import LAYERS, OF_TOOLKITS, SCENARIOS, ScenarioFacts
from crosscheck.scenarios.steps import AS_IT_COMES, PACES, Step, steps

__all__ = [
    "RACE_NETWORKS",
    "RACE_TRIALS",
    "Planned",
    "Wanted",
    "expand",
    "forms_for",
    "mode_wanted",
    "planned_cell",
    "readings_of",
    "spared",
]

#: Every ONNX form and dialect of a network.
WRITTEN = FORMS.keys() | DIALECTS.keys()

#: Number of trials of each reading that does not wait, one of each pace, in asynchronous runtimes, and their networks.
RACE_TRIALS = len(PACES)
RACE_NETWORKS = frozenset({"seed-batch", "conv"})


#: The scenarios of a user's file as it is; all others need networks made of its layers, or a gradient that ascends.
FILE_SCENARIOS = frozenset({Scenario.GRADIENT, Scenario.PREDICT_ONLY})
#: The scenarios of toolkits, whose users show them the network that they train.
TOOLKIT_SCENARIOS = frozenset({Scenario.GRADIENT, Scenario.TWENTY, Scenario.ORDER, Scenario.INTERLEAVED})
#: Readings that a large network of a user is not asked in: they tell races.
FURTHER = ("unsettled", "immediate")


@dataclass(frozen=True)
class Wanted:
    """Selection of the matrix: globs for modes, networks and scenarios; empty selects the defaults."""

    modes: Sequence[str] = ()
    scenarios: Sequence[str] = ()
    networks: Sequence[str] = ()
    everything: bool = False
    trials: int = 2


@dataclass(frozen=True)
class Planned:
    """A planned cell and its inputs.

    lacking: why the release does not have the mode. refused: why crosscheck has no program for the network in it.
    """

    cell: Cell
    target: Target = field(repr=False)
    mode: Mode = field(repr=False)
    network: Network = field(repr=False)
    lacking: str | None = None
    refused: str | None = None
    trials: tuple[Trial, ...] = ()

    @functools.cached_property
    def roles(self) -> Mapping[str, Mode]:
        """The mode under test, and its modes for comparison."""
        named = {"tested": self.mode.name, "inference": self.mode.inference, "training": self.mode.training}
        modes = {mode.name: mode for mode in self.target.runtime.modes}
        return {role: modes[name] for role, name in named.items() if name is not None}

    def work(self, trial: Trial) -> Mapping[str, Any]:
        """The probe's input for a trial: steps, modes by role, and the program."""
        paced = self.target.variant.asynchronous and trial.reading in NOT_WAITING
        asked = trial.reading, PACES[trial.repeat % len(PACES)] if paced else AS_IT_COMES
        return _RECENT.of(self, asked, lambda: self._of(*asked))

    def _of(self, reading: str, pace: str) -> Mapping[str, Any]:
        todo = steps(self.cell.scenario, reading, list(self.roles), pace)
        return {
            "steps": todo,
            "modes": {
                role: {"name": mode.name, "asks": mode.asks, "answers": mode.answers}
                for role, mode in self.roles.items()
            },
            "program": self._program(todo),
        }

    @property
    def call(self) -> str:
        """The displayed call: setup of the network, if crosscheck writes it, and the mode's text."""
        target = self.target
        if self.refused is not None:
            return self.mode.in_release(target.release.version).call
        return shown(target.runtime, target.release, target.variant, self.mode, _subject(self.network))

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) of the measured texts; "" where there are none."""
        target = self.target
        if self.refused is not None:
            return ""
        return fingerprint(target.runtime, target.release, target.variant, self.mode, _subject(self.network))

    def _program(self, todo: Sequence[Step]) -> Mapping[str, Any]:
        target = self.target
        networks = {"network": _subject(self.network)}
        if any(step.get("network") == "readout" for step in todo):
            networks["readout"] = _readout(self.network)
        # All that a program depends on, of the steps.
        done = frozenset(step["do"] for step in todo), *(repr(step) for step in todo if step["do"] == "build")
        return _RECENT.of(
            self,
            done,
            lambda: compose(target.runtime, target.release, target.variant, self.roles, networks, todo),
        )


class _Recent:
    """What was composed last, which trials of a reading, and readings of a cell, share: all would fill the memory."""

    def __init__(self, most: int) -> None:
        self.most = most
        #: The cell is kept, too, since its id belongs to it only as long as it exists.
        self._kept: OrderedDict[tuple[int, Any], tuple[Planned, Mapping[str, Any]]] = OrderedDict()

    def of(self, planned: Planned, what: Any, compose: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """What `compose` returns for a part of a cell."""
        key = id(planned), what
        if key not in self._kept:
            made = compose()
            if len(self._kept) >= self.most:
                self._kept.popitem(last=False)
            self._kept[key] = planned, made
        return self._kept[key][1]


#: More than the readings of the cells whose trials are under way at a time, on most machines.
_RECENT = _Recent(256)


def expand(targets: Sequence[Target], networks: Sequence[Network], wanted: Wanted) -> list[Planned]:
    """Every cell, in the order of runtime, release, variant, mode, network, scenario.

    Raises UsageError if a glob matches nothing or the plan is empty.
    """
    scenarios = matching(wanted.scenarios or ["*"], list(SCENARIOS), "scenario")
    if wanted.modes:
        matching(wanted.modes, [mode.name for target in targets for mode in target.runtime.modes], "mode")
    planned = [
        cell
        for target in targets
        for mode in target.runtime.modes
        if mode_wanted(mode, target, wanted)
        for network in filter(None, (_read_by(mode, network) for network in networks))
        for scenario in scenarios
        if _suits(SCENARIOS[Scenario(scenario)], Scenario(scenario), mode, network, wanted, target)
        for readings in [readings_of(Scenario(scenario), mode, network)]
        for times, at_once in [(_times(target, wanted, network), _at_once(target, network, wanted))]
        for cell in [planned_cell(target, mode, network, Scenario(scenario), readings, times, at_once)]
    ]
    if not planned:
        raise UsageError(
            "nothing is left to run: no selected scenario suits the selected modes and networks. "
            "`crosscheck list scenarios` shows which suits which."
        )
    return planned


def _read_by(mode: Mode, network: Network) -> Network | None:
    """What a mode is asked about: the user's file as it is, or the lowered network; None where there is none."""
    if mode.native:
        foreign = network.own.foreign if network.own else None
        return network if foreign and foreign.format.name == mode.native else None
    if mode.reads_files:
        return network.as_it_is
    return network if network.file is None else None


def readings_of(scenario: Scenario, mode: Mode, network: Network) -> tuple[str, ...]:
    """The readings in which a cell is measured, the primary one first.

    Fewer of a large network; a file in another form, or with many numbers in its layers, does not show these. Some are
    of toolkits alone.
    """
    left_out = set(FURTHER) if network.large else set()
    if mode.native or (mode.reads_files and mode.form not in EXPORTED_FORMS) or not network.shows_layers:
        left_out.add(LAYERS)
    if not mode.starts:
        left_out |= set(OF_TOOLKITS)
    return tuple(reading for reading in SCENARIOS[scenario].readings if reading not in left_out)


@functools.cache
def forms_for(target: Target) -> tuple[str, ...]:
    """The ONNX forms read by the target's modes, and the exposed forms with every node's output."""
    read = [mode.form for mode in target.runtime.modes if not _among(target.variant.lacks, mode)]
    read += [exposed_name(form) for form in read if exposed_name(form) in FORMS]
    return tuple(dict.fromkeys(form for form in read if form in WRITTEN))


def _among(patterns: Iterable[str], mode: Mode) -> bool:
    return any(fnmatchcase(mode.name, pattern) for pattern in patterns)


def mode_wanted(mode: Mode, target: Target, wanted: Wanted) -> bool:
    """Whether the mode is selected for the target."""
    if not variant_has(target.variant, mode):
        return False
    if wanted.modes:
        return _among(wanted.modes, mode)
    # Variants test a switch with the default modes, unless they name other modes.
    return mode.default or (wanted.everything and (target.variant.name == PLAIN or target.variant.modes != ("*",)))


def spared(target: Target, network: str, wanted: Wanted) -> bool:
    """Whether the network is too slow in this runtime and neither networks nor scenarios are named."""
    return network in target.runtime.only_when_named and not (wanted.scenarios or wanted.networks)


def _suits(
    facts: ScenarioFacts, scenario: Scenario, mode: Mode, network: Network, wanted: Wanted, target: Target
) -> bool:
    if Asks(mode.asks) not in facts.asks or (facts.needs_labels and network.labels is None):
        return False
    if Asks(mode.asks) is Asks.GRADIENT and not network.differentiable:
        return False
    if (mode.reads_files or mode.native) and scenario not in FILE_SCENARIOS:
        return False
    if mode.starts and scenario not in TOOLKIT_SCENARIOS:
        return False
    if mode.starts and network.classes_asked is None and network.own is None:
        return False  # of a user's file, such cells are refused, with the reason
    if scenario is Scenario.INTERLEAVED and not (mode.starts and target.runtime.trains):
        return False
    if network.large and scenario not in FILE_SCENARIOS and not wanted.scenarios:
        return False
    if facts.intent is not None and (mode.intent != facts.intent or mode.training is None):
        return False
    if scenario in target.runtime.only_when_named and not wanted.scenarios:
        return False
    if wanted.scenarios or wanted.networks:
        return True
    if spared(target, network.name, wanted):
        return False
    if not wanted.everything:
        own = target.runtime.default_networks
        return network.name in _usual(facts, target) and (not own or network.name in own)
    networks = _networks_of_all(facts, mode, target)
    return networks is None or network.name in networks


def _usual(facts: ScenarioFacts, target: Target) -> frozenset[str]:
    return facts.default_networks if target.variant.name == PLAIN else facts.variant_networks


def _networks_of_all(facts: ScenarioFacts, mode: Mode, target: Target) -> frozenset[str] | None:
    """The networks of `--all`; None: every network.

    Varies releases, modes and networks one at a time from the default matrix; the full product is many times as long
    with little further information.
    """
    usual, plain = _usual(facts, target), target.variant.name == PLAIN
    if _newest(target):
        return facts.all_networks if plain and mode.default else usual
    if mode.default and (target.variant.default or (plain and facts.further_networks)):
        return usual
    return facts.further_networks if usual else usual


def _newest(target: Target) -> bool:
    return target.release == target.runtime.releases[-1]


def _times(target: Target, wanted: Wanted, network: Network) -> int:
    """The number of trials of the first reading, one less for a large network.

    With `--all`, more than one only in the newest release and the default matrix.
    Nondeterminism also appears in the other readings and causes repetition.
    """
    if wanted.everything and not (_newest(target) or target.variant.default):
        return 1
    return max(1, wanted.trials - network.large)


def _at_once(target: Target, network: Network, wanted: Wanted) -> int:
    """The number of trials of each reading that does not wait: more where a race is likeliest and a trial is cheap."""
    looked_for = target.variant.asynchronous and network.name in RACE_NETWORKS
    return RACE_TRIALS if looked_for and _times(target, wanted, network) > 1 else 1


def planned_cell(
    target: Target,
    mode: Mode,
    network: Network,
    scenario: Scenario,
    readings: Sequence[str],
    trials: int,
    at_once: int = 1,
) -> Planned:
    """One cell with its trials: the `readings` supported by its runtime.

    The first is taken `trials` times, those that do not wait `at_once` times, others once.
    """
    cell = Cell(target.runtime.name, target.release.version, target.variant.name, mode.name, network.name, scenario)
    if not target.release.has(mode):
        bounds = [f"since {mode.since}" if mode.since else "", f"until {mode.until}" if mode.until else ""]
        lacking = f"{mode.name} is there {' and '.join(filter(None, bounds))}"
        return Planned(cell, target, mode, network, lacking=lacking, refused=_unwritten(target, mode, network))
    if reason := _unwritten(target, mode, network):
        return Planned(cell, target, mode, network, refused=reason)
    shows_layers = target.runtime.shows_layers
    taken = [reading for reading in readings if shows_layers or reading != LAYERS]
    return Planned(cell, target, mode, network, trials=tuple(_trials(cell, taken, trials, at_once)))


def inference_cell(planned: Planned) -> Planned | None:
    """The cell of the mode's inference-mode counterpart, with as many trials; None if the mode has no other one."""
    other = planned.roles.get("inference", planned.mode)
    if other.name == planned.mode.name:
        return None
    readings = list(dict.fromkeys(trial.reading for trial in planned.trials))
    count = sum(trial.reading == readings[0] for trial in planned.trials) if readings else 0
    return planned_cell(planned.target, other, planned.network, planned.cell.scenario, readings, count)


def _unwritten(target: Target, mode: Mode, network: Network) -> str | None:
    """Why crosscheck writes no program or file of the network for a mode; None if it does."""
    if mode.starts and network.classes_asked is None:
        return f"{target.runtime.title} is asked about classes; a row of this network's output is no vector of them"
    if mode.of_a_convolution and not network.convolves_pictures:
        return f"{target.runtime.title} is asked about a convolution of pictures, and the network has none"
    if target.runtime.reads and target.runtime.reads not in network.shipped:
        return f"{UNWRITTEN}{target.runtime.missing}"
    if mode.reads_files:
        reason = missing_forms(network).get(mode.form)
    elif mode.form:
        reason = unwritable(network.graph, mode.form)
    elif network.own is None:
        return None  # all shipped networks are written for every runtime
    else:
        try:
            source_of(target.runtime, target.release, target.variant, mode, _subject(network))
        except Unwritten as lack:
            return f"{UNWRITTEN}{lack} for {target.runtime.title} in this way"
        return None
    return f"{UNWRITTEN}this form: {reason}" if reason else None


@functools.cache
def _readout(network: Network) -> Subject:
    assert network.target is not None, "the plan pairs `ascent` only with classifiers"
    return _subject(readout(network, network.target))


@functools.cache
def _subject(network: Network) -> Subject:
    foreign = network.own.foreign if network.own else None
    trusted = foreign is not None and foreign.trusted
    return Subject(network.graph, network.weights, len(network.x), trusted)


def _trials(cell: Cell, readings: Sequence[str], trials: int, at_once: int) -> Iterable[Trial]:
    """The trials of each reading; disagreeing ones are repeated later."""
    for index, reading in enumerate(readings):
        for repeat in range(trials if index == 0 else at_once if reading in NOT_WAITING else 1):
            yield Trial(cell, reading, repeat)
