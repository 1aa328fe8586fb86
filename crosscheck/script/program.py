"""A scenario's steps as the statements of a program, in Python; `javascript.py` has what differs on Node."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from crosscheck.networks.graph import Array
from crosscheck.scenarios.steps import Step
from crosscheck.script.packed import literal

__all__ = ["Beside", "Language", "Statements"]

#: Numbers of an array that a script prints, and prints beside it.
PRINTED = 8


@dataclass(frozen=True)
class Beside:
    """What stands beside a number: the report's, and the float64 truth; None where there is none."""

    report: Any = None
    truth: Any = None


class Language:
    """How Python says what the texts of a runtime do not: arrays, loops, output."""

    comment = "#"
    #: The names that a copy of the namespace needs, for scenarios with two networks.
    switch = textwrap.dedent(
        """
        names = {}  # two networks: the names of each


        def switch(away, to):
            names[away] = dict(globals())
            globals().update(names.get(to, {}))
        """
    )

    def shown(self, what: str, expression: str, beside: Beside) -> str:
        """A statement that prints a tensor's first numbers beside others."""
        value = beside.report if beside.report is not None else beside.truth
        few = value is not None and np.size(np.array(value, dtype=object)) <= PRINTED
        words = [f'"{what}"', f"np.ravel({expression})" + ("" if few else f"[:{PRINTED}]")]
        for name, value in (("report", beside.report), ("float64", beside.truth)):
            if value is not None:
                words.append(f'"| {name} {numbers(value)}"')
        return f"print({', '.join(words)})\n"

    def repeated(self, times: int, body: str) -> str:
        """A loop; `step` counts from 1."""
        return f"for step in range(1, {times + 1}):\n{textwrap.indent(body, '    ')}"

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        #: The inputs that are literals, by name; the others are in `data`.
        self.arrays = arrays

    def data(self, name: str) -> str:
        """The numpy array of that name."""
        return f"np.float32({literal(self.arrays[name])})" if name in self.arrays else f'data["{name}"]'

    def assigned(self, name: str, expression: str) -> str:
        """An assignment."""
        return f"{name} = {expression}\n"

    def accuracy(self, array: str) -> str:
        """A statement that collects the accuracy on the held-out images whose logits are `array`."""
        return f'accuracy.append(float(np.mean(np.argmax({array}, axis=1) == data["labels"])))\n'

    def ascended(self, gradient: str) -> str:
        """A statement that moves the image by the rescaled gradient."""
        return f"image = rescale(image + rescale({gradient}) / np.float32(10))\n"

    rescale = textwrap.dedent(
        """
        def rescale(image):
            low, high = image.min(), image.max()
            return (image - low) / (high - low) if high > low else np.zeros_like(image)
        """
    )


def numbers(value: Any) -> str:
    """The first numbers of nested lists or an array, in six digits."""
    return " ".join(f"{float(number):.6g}" for number in np.ravel(np.array(value, dtype=object))[:PRINTED])


@dataclass
class Statements:
    """Turns steps into statements.

    program: what `crosscheck.runtimes.program.compose` made. roles: role -> {"name", "asks"}. beside: what is printed
    -> the numbers beside it. statistics: names of the tensors that are printed at a snapshot.
    """

    language: Language
    program: Mapping[str, Any]
    roles: Mapping[str, Mapping[str, str]]
    beside: Mapping[str, Beside]
    statistics: Sequence[str]
    _model: str = ""
    _sources: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _once: set[str] = field(default_factory=set)
    _fresh: bool = False

    def of(self, steps: Sequence[Step]) -> str:
        """The statements of these steps."""
        return "".join(getattr(self, "_" + step["do"])(step) for step in steps)

    @property
    def _source(self) -> Mapping[str, Any]:
        return self._sources[self._model]

    def _to(self, model: str) -> str:
        """Go over to the names of another model, where a script has two."""
        if model == self._model:
            return ""
        away, self._model, self._fresh = self._model, model, False
        return f'switch("{away}", "{model}")\n'

    def _build(self, step: Step) -> str:
        use = "/".join([step["network"], step["mode"], *(["shared"] if step["shares"] else [])])
        source = self.program["sources"][use]
        two = f'\nswitch("{self._model}", "{step["model"]}")\n' if step["shares"] else ""
        self._model = step["model"]
        self._sources[self._model] = source
        self._once = set()
        self._fresh = False
        return f"{two}\n{source['text']}"

    def _input(self, name: str = "x") -> str:
        """`x` anew: a call may have written to the old one."""
        if name == "x" and self._fresh:
            return ""
        self._fresh = name == "x"
        array = {"noise": f"{self.language.data('noise')}[step - 1]", "image": "image"}.get(
            name, self.language.data(name)
        )
        return self.language.assigned("x", self._source["tensor"].format(array))

    def _array(self, name: str) -> str:
        return str(self._source["array"].format(name))

    def _predict(self, step: Step) -> str:
        what = f"prediction {step['as']}"
        if step["as"] == "#":
            return ""
        goes = self._read_back() if step["model"] == "exported" else self._to(step["model"])
        if goes is None:
            return ""
        predict = goes + self._input() + str(self._source["predict"])
        return f"\n{predict}" + self.language.shown(what, self._array("y"), self.beside.get(what, Beside()))

    def _classify(self, step: Step) -> str:
        goes, self._fresh = self._to(step["model"]), False
        images = self.language.assigned("x", self._source["tensor"].format(self.language.data("images")))
        text = str(self._source["classify"] or self._source["predict"])
        begin = "accuracy = []\n" if step["as"] == "0" else ""
        return begin + goes + images + text + self.language.accuracy(self._array("y"))

    def _ask(self, step: Step) -> str:
        mode = self.roles[step["mode"]]
        texts, gradient = self.program["texts"][mode["name"]], mode["asks"] == "gradient"
        lines = self._to(step["model"]) + self._input(step["input"])
        if gradient:
            cotangent = "ones" if step["cotangent"] == "ones" else "cotangent"
            lines += self.language.assigned("cotangent", self._source["tensor"].format(self.language.data(cotangent)))
        self._once.add(mode["name"])
        self._fresh = False
        lines += str(texts["forward"]) + str(texts["backward"])
        if step["as"] == "#":
            return lines
        what = ("gradient " if gradient else "forward ") + step["as"]
        array = self._array("dx" if gradient else "y")
        return f"\n{lines}" + self.language.shown(what, array, self.beside.get(what, Beside()))

    def _snapshot(self, step: Step) -> str:
        lines = self._to(step["model"])
        if step["as"] in ("before", "0"):
            return lines
        for name in self.statistics:
            if name in self._source["tensors"]:
                expression = self._source["tensors"][name][0]
                lines += self.language.shown(name, self._array(expression), self.beside.get(name, Beside()))
        return lines

    def _settle(self, step: Step) -> str:
        return ""

    def _image(self, step: Step) -> str:
        return ""

    def _ascend(self, step: Step) -> str:
        return self.language.ascended(self._array("dx"))

    def _repeat(self, step: Step) -> str:
        asked = next(one for one in step["steps"] if one["do"] == "ask")
        once = self.program["texts"][self.roles[asked["mode"]]["name"]]["once"]
        begin = self._to(asked["model"]) + (f"\n{once}" if once else "")
        model = self._model
        body = self.of(step["steps"]) + self._to(model)
        image = self.language.assigned("image", self.language.data("x")) if asked["input"] == "image" else ""
        shown = self.language.shown("accuracy", "accuracy", self.beside.get("accuracy", Beside()))
        return f"\n{begin}{image}\n" + self.language.repeated(step["times"], body) + shown

    def _export(self, step: Step) -> str:
        texts = self.program["texts"][self.roles["tested"]["name"]]
        lines = f"\n{self._input()}{texts['once']}{texts['forward']}"
        self._fresh = False
        return lines

    def _read_back(self) -> str | None:
        """What reads an export's files, if anything does."""
        texts = self.program["texts"][self.roles["tested"]["name"]]
        if not texts["backward"]:
            return None
        self._sources[self._model] = {**self._source, "predict": texts["predict"] or self._source["predict"]}
        return str(texts["backward"])
