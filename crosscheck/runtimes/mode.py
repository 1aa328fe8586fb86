"""A mode: one way in which users of a runtime ask for a gradient, a prediction or an export, as the text they write."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from string import Template
from typing import Any

from packaging.version import Version

from crosscheck.cells import Asks, Intent
from crosscheck.records import Contract
from crosscheck.records.run import ModeFacts
from crosscheck.runtimes.answer import Answer

__all__ = ["CUT", "TOLD", "Contract", "Edition", "Mode", "Modes", "named"]

#: Between the forward part of a text and the backward part.
CUT = "---\n"
#: The fields of a mode that say that its layers are told to answer otherwise than the network's say.
TOLD = ("unit_scale", "zero_bias", "batch_prediction", "renormalized")


class Contracts:
    """The contracts of a runtime, one a table of the `contracts.toml` beside the module at `path`, as attributes."""

    def __init__(self, path: str) -> None:
        self._file = Path(path).with_name("contracts.toml")
        self._tables = tomllib.loads(self._file.read_text(encoding="utf-8"))

    def __getattr__(self, name: str) -> Contract:
        if name not in self._tables:
            raise AttributeError(f"{self._file} has no table [{name}]")
        return Contract(**self._tables[name])


@dataclass(frozen=True)
class Edition:
    """The texts of a mode in releases up to and including `until`, which do not have the newer call."""

    until: str
    text: str
    once: str = ""


@dataclass(frozen=True)
class Mode:
    """One way of asking, as the text that is executed, shown, and written into scripts.

    name: short and typable, API first: "executor.train.eval".
    intent: "inference" or "training": which statistics the author of such a call wants.
    asks: "gradient", "prediction" or "export".
    text: what is executed at every call. It reads `net`, `x` and `cotangent` and sets `dx` or `y`. A line `---` parts
        forward from backward; a trial may read tensors there. For an export it writes files into the working folder,
        and what follows `---` reads them back into `net`.
    once: what a user writes once: definitions, compiling. Executed before the first call.
    predict: for an export, the prediction of what was read back, where it is not the source's.
    since, until: the first and the last release that has the mode (None: all).
    inference: the mode that asks for the inference-mode gradient of a network built for this mode, if there is one.
    training: for a gradient with inference intent, the training-intent mode that `order` executes before it.
    leaves: what the text itself puts the layers' mode flags into: "train", "eval", "frozen" (train, but for the batch
        normalizations), or "" where it does not touch them. Two such words, "train eval", where the flags at `---` are
        others than at the end. Adapters compare, so that only the runtime's doing shows.
    default: whether the default matrix asks in this way.
    kind: which of the runtime's APIs the network is written in; the runtime's `source` knows the kinds.
    norm: what the batch normalization layers are told, beyond epsilon and momentum; `source` knows the keys.
    form: for runtimes that read ONNX, the form of the file under test (`crosscheck.networks.forms`).
    fed: whether the statistics are inputs of that file.
    adopts: whether the text itself replaces the network's statistics by those that a call returned.
    unit_scale, zero_bias: whether the layers are told to take 1 for their scale, and 0 for their bias, whatever the
        network's are.
    batch_prediction: whether the layers are told to normalize by the batch in predictions, too.
    renormalized: whether they renormalize in training: by the batch, corrected by the moving statistics.
    file: for an export, whether it writes an ONNX file; else whether the mode reads such a file of another runtime.
    starts: of a toolkit, the state in which its call finds the network: the text before `---` is its user's, what
        follows is the toolkit's. "train", "eval", "frozen", or "gradients": evaluation, with gradients on the
        parameters.
    answers: what a gradient is of: "" for sum(output * cotangent); "score" for the sum of the outputs that the classes
        of `cotangent` (one-hot) name; "loss" for the summed cross-entropy of the outputs as logits and these classes;
        an attribution that is a formula of these (`crosscheck.runtimes.answer`); "other" for an answer without a closed
        form here, which is not judged.
    native: the format of users' files that the mode reads as they are (`crosscheck.runtimes.format`); "" for none.
    editions: the texts of older releases, the oldest first.
    """

    name: str
    intent: str
    asks: str
    text: str
    contract: Contract
    once: str = ""
    predict: str = ""
    since: str | None = None
    until: str | None = None
    inference: str | None = None
    training: str | None = None
    leaves: str = ""
    default: bool = False
    kind: str = ""
    norm: Mapping[str, Any] = field(default_factory=dict)
    form: str = ""
    fed: bool = False
    adopts: bool = False
    unit_scale: bool = False
    zero_bias: bool = False
    batch_prediction: bool = False
    renormalized: bool = False
    file: bool = False
    starts: str = ""
    answers: str = ""
    native: str = ""
    editions: tuple[Edition, ...] = ()

    def __post_init__(self) -> None:
        Answer.of(self.answers)  # raises ValueError for words that nobody knows

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) of all fields."""
        text = json.dumps(dataclasses.asdict(self), default=repr, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def answered(self) -> Answer:
        """What `answers` says."""
        return Answer.of(self.answers)

    @property
    def reads_files(self) -> bool:
        """Whether the mode reads only files written by runtimes."""
        return self.file and self.asks != "export"

    @property
    def call(self) -> str:
        """The text as a reader gets it: all parts, one after the other."""
        return self.call_on()

    def call_on(self, inputs: Sequence[str] = ("x",), output: str = "y") -> str:
        """The same for a network whose inputs and output have these names."""
        return self.named((self.once + self.text.replace(CUT, "")).rstrip("\n"), inputs, output)

    def named(self, text: str, inputs: Sequence[str] = ("x",), output: str = "y") -> str:
        """A text with a network's own names, which modes that read ONNX files use (`named`)."""
        return named(text, inputs, output) if self.form else text

    @property
    def parts(self) -> tuple[str, str]:
        """The text before `---`, and the text after it ("" without one)."""
        before, _, after = self.text.partition(CUT)
        return before, after

    @property
    def of_a_convolution(self) -> bool:
        """Whether a toolkit's user looks a convolution of pictures up in the network, which the call is asked of."""
        return bool(self.starts) and re.search(r"\.Conv2[dD]\b", self.parts[0]) is not None

    def in_release(self, release: str) -> Mode:
        """The mode with the texts of that release."""
        for edition in self.editions:
            if Version(release) <= Version(edition.until):
                return dataclasses.replace(self, text=edition.text, once=edition.once, editions=())
        return self

    def facts(self, summary: str) -> ModeFacts:
        """What a run says of the mode."""
        told = {item.name: getattr(self, item.name) for item in fields(ModeFacts) if item.name != "summary"}
        told |= {"intent": Intent(self.intent), "asks": Asks(self.asks), "summary": summary}
        return ModeFacts(**{**told, "answers": self.answered.said if self.starts else ""})


def named(text: str, inputs: Sequence[str], output: str) -> str:
    """A text with names for `$input` and `$output`.

    `$held` and `$more` stand for the further inputs of a file: entries of a literal, and values in their order.
    """
    held = [f'held["{name}"]' for name in inputs[1:]]
    entries = [f', "{name}": {value}' for name, value in zip(inputs[1:], held, strict=True)]
    more = "".join(f", {value}" for value in held)
    return Template(text).safe_substitute(input=inputs[0], output=output, held="".join(entries), more=more)


class Modes:
    """Collects the modes of one API in the order of the report; the arguments hold for all that do not say otherwise.

    inference, training: the plain ways to the two gradients.
    adopting: a regular expression (multi-line) for lines that replace the network's statistics by returned ones.
    """

    def __init__(
        self,
        inference: str | None = None,
        training: str | None = None,
        kind: str = "",
        since: str | None = None,
        until: str | None = None,
        adopting: str = "",
    ) -> None:
        self.inference, self.training, self.kind, self.since, self.until = inference, training, kind, since, until
        self.adopting = adopting
        self.modes: list[Mode] = []

    def __iter__(self) -> Iterator[Mode]:
        return iter(self.modes)

    def gradient(self, name: str, intent: str, contract: Contract, text: str, **more: Any) -> None:
        """Add a mode that asks for an input gradient; `more` are fields of `Mode`."""
        plain = {"inference": self.inference, "training": self.training if intent == "inference" else None}
        self._add(name, intent, "gradient", contract, text, plain | more)

    def prediction(self, name: str, intent: str, contract: Contract, text: str, **more: Any) -> None:
        """Add a mode that asks for a prediction."""
        self._add(name, intent, "prediction", contract, text, more)

    def export(self, name: str, intent: str, contract: Contract, text: str, **more: Any) -> None:
        """Add a mode that writes the network to files."""
        self._add(name, intent, "export", contract, text, more)

    def _add(self, name: str, intent: str, asks: str, contract: Contract, text: str, more: Mapping[str, Any]) -> None:
        adopts = bool(self.adopting and re.search(self.adopting, text, re.MULTILINE))
        given = {"kind": self.kind, "since": self.since, "until": self.until, "adopts": adopts, **more}
        self.modes.append(Mode(name, intent, asks, text, contract, **given))
