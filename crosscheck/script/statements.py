"""A scenario's steps as the statements of a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crosscheck.probe import recorded
from crosscheck.runtimes.answer import OTHER
from crosscheck.runtimes.mode import Mode
from crosscheck.scenarios.steps import Step
from crosscheck.script.languages import Beside, Language

__all__ = ["Statements"]


@dataclass
class Statements:
    """Turns steps into statements.

    program: what `crosscheck.runtimes.program.compose` made. roles: role -> mode. beside: what is printed -> the
    numbers beside it. statistics: names of the tensors that are printed at a snapshot.
    """

    language: Language
    program: Mapping[str, Any]
    roles: Mapping[str, Mode]
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
        return self.language.switched(away, model)

    def _build(self, step: Step) -> str:
        use = "/".join([step["network"], step["mode"], *(["shared"] if step["shares"] else [])])
        source = self.program["sources"][use]
        two = f"\n{self.language.switched(self._model, step['model'])}" if step["shares"] else ""
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
        array = "image" if name == "image" else self.language.data(name)
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
        begin = self.language.begun("accuracy") if step["as"] == "0" else ""
        return begin + goes + images + text + self.language.accuracy(self._array("y"))

    def _ask(self, step: Step) -> str:
        mode = self.roles[step["mode"]]
        texts, gradient = self.program["texts"][mode.name], mode.asks == "gradient"
        lines: str = self._to(step["model"]) + self._input(step["input"])
        if gradient:
            lines += self._cotangent("ones" if step["cotangent"] == "ones" else "cotangent")
        once = step["as"] != "#" and mode.name not in self._once and texts["once"]
        if once:
            block = texts["once"].rstrip().rpartition("\n")[2].startswith(" ")
            lines += f"\n{texts['once']}" + "\n" * block
        self._once.add(mode.name)
        self._fresh = False
        forward, backward = "" if step["started"] else str(texts["forward"]), str(texts["backward"])
        looks = str(self._source["looks"]) if step.get("looks") else ""
        lines += forward + (self.language.looked(looks, backward) if looks else backward)
        if step["as"] == "#":
            return lines
        what = ("gradient " if gradient else "forward ") + step["as"]
        answer = self._source["answer"]
        array = answer.format("dx") if gradient and answer else self._array("dx" if gradient else "y")
        begin = "" if once else "\n"  # the first part stands apart already
        shown = f"answer {step['as']}" if mode.answers == OTHER else what  # a toolkit's, which is no gradient
        return begin + lines + self.language.shown(shown, array, self.beside.get(what, Beside()))

    def _cotangent(self, name: str = "cotangent") -> str:
        return self.language.assigned("cotangent", self._source["tensor"].format(self.language.data(name)))

    def _start(self, step: Step) -> str:
        mode = self.roles[step["mode"]].name
        self._once.add(mode)
        self._fresh = False
        texts = self.program["texts"][mode]
        return f"\n{self._input()}{self._cotangent()}\n{texts['once']}{texts['forward']}"

    def _reuse(self, step: Step) -> str:
        """What needs no input, or computes numbers of one."""
        what = step["what"]
        text = str(self._source["reuse"].get(what, ""))
        if what == recorded.TWICE:
            text = self._input() + self._cotangent() + text
            self._fresh = False
        if step.get("raises"):
            return "\n" + self.language.raising(what, text)
        shown = self.language.shown(what, self._array("dx"), Beside()) if what == recorded.TWICE else ""
        return f"\n{text}{shown}"

    def _train(self, step: Step) -> str:
        lines = f"\n{self._input()}{self._cotangent()}{self._source['train']}"
        self._fresh = False
        return lines

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
        once = self.program["texts"][self.roles[asked["mode"]].name]["once"]
        begin = self._to(asked["model"]) + (f"\n{once}" if once else "")
        model = self._model
        body = self.of(step["steps"]) + self._to(model)
        image = self.language.assigned("image", self.language.data("x")) if asked["input"] == "image" else ""
        shown = self.language.listed("accuracy", self.beside.get("accuracy", Beside()))
        return f"\n{begin}{image}\n" + self.language.repeated(step["times"], body) + shown

    def _export(self, step: Step) -> str:
        texts = self.program["texts"][self.roles["tested"].name]
        lines = f"\n{self._input()}{texts['once']}{texts['forward']}"
        self._fresh = False
        return lines

    def _read_back(self) -> str | None:
        """What reads an export's files, if anything does."""
        texts = self.program["texts"][self.roles["tested"].name]
        if not texts["backward"]:
            return None
        self._sources[self._model] = {**self._source, "predict": texts["predict"] or self._source["predict"]}
        return str(texts["backward"])
