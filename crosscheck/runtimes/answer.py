"""What the gradient modes of toolkits answer: plain gradients, or attributions that are formulas of the network."""

from __future__ import annotations

import functools
from collections.abc import Collection
from dataclasses import dataclass

__all__ = ["COMPLETENESS", "FORMULAS", "LOSS", "OTHER", "RULES", "SCORE", "THEN", "Answer"]

#: The gradient of sum(scores of the asked classes), of the summed cross-entropy, and what has no closed form here.
SCORE, LOSS, OTHER = "score", "loss", "other"
#: The same for a reader.
SAID = {
    "": "the gradient of the output, weighted",
    SCORE: "the gradient of the scores of the classes that are asked about",
    LOSS: "the gradient of the summed cross-entropy",
    OTHER: "something without a closed form here, which is not judged",
}
#: Attributions whose entries add up to a difference of scores; the sums of rows are compared.
COMPLETENESS = "completeness"
#: Attributions that are formulas (`crosscheck.oracle.attributions`).
FORMULAS = (
    "gradient",
    "input-x-gradient",
    "guided-backprop",
    "deconvolution",
    "integrated-gradients",
    "smooth-grad",
    "grad-cam",
    COMPLETENESS,
)
#: How points and weights of integrated gradients are chosen, and how the noise of SmoothGrad is drawn and averaged.
RULES = ("gauss-legendre", "trapezoid", "ends", "row-by-row", "all-rows")
#: Which rows and classes are asked about, if not all rows, each about the class that the cotangent names; whether the
#: backward pass begins with the score in place of one; whether the baseline is the rows' mean in place of zeros.
ASKED = ("of-first-row", "of-first-class", "of-top-class", "from-score", "against-mean")
#: What is done with the result, in this order of the words in the text; some of it with pictures alone.
THEN = (
    *("absolute", "relu", "scaled", "reversed", "resized"),
    *("max-channel", "max-last", "no-channel", "no-last", "no-row"),
    *("picture-sum-channel", "picture-max-last", "picture-mean-last"),
)


@dataclass(frozen=True)
class Answer:
    """A text such as "grad-cam of-top-class relu scaled resized", or "integrated-gradients gauss-legendre/50".

    method: `SCORE`, `LOSS`, `OTHER`, one of `FORMULAS`, or "" for sum(output * cotangent). rule: one of `RULES`, and
    points: the number behind it. asked: of `ASKED`. then: of `THEN`, in their order.
    """

    method: str
    rule: str = ""
    points: int = 0
    asked: frozenset[str] = frozenset()
    then: tuple[str, ...] = ()

    @classmethod
    @functools.lru_cache(maxsize=256)
    def of(cls, text: str) -> Answer:
        """Read a text. Raises ValueError for an unknown word."""
        method, *words = text.split() or [""]
        rule, points, asked, then = "", 0, set(), []
        for word in words:
            name, _, number = word.partition("/")
            if name in RULES and number.isdecimal():
                rule, points = name, int(number)
            elif word in ASKED:
                asked.add(word)
            elif word in THEN:
                then.append(word)
            else:
                raise ValueError(
                    f"'{word}' in '{text}' says nothing of an answer: {', '.join((*RULES, *ASKED, *THEN))}"
                )
        if method not in ("", SCORE, LOSS, OTHER, *FORMULAS):
            raise ValueError(f"'{method}' is no answer: {', '.join((SCORE, LOSS, OTHER, *FORMULAS))}")
        return cls(method, rule, points, frozenset(asked), tuple(then))

    @property
    def said(self) -> str:
        """The answer for a reader."""
        rule = f"{self.rule}/{self.points}" if self.rule else ""
        words = " ".join(filter(None, (self.method, rule, *sorted(self.asked), *self.then)))
        return SAID.get(self.method) or f"{words}, held against its formula in float64"

    @property
    def formula(self) -> bool:
        """Whether it is an attribution."""
        return self.method in FORMULAS

    def applies(self, operators: Collection[str]) -> bool:
        """Whether a network of these operators has a closed form of it: Grad-CAM asks the last convolution."""
        return self.method != OTHER and (self.method != "grad-cam" or "Conv" in operators)

    @property
    def of_the_input(self) -> bool:
        """Whether the network is asked about the input alone, and not about points, noise or rows of the toolkit's."""
        own = (OTHER, COMPLETENESS, "integrated-gradients", "smooth-grad")
        return self.method not in own and "of-first-row" not in self.asked

    def shown(self, operators: Collection[str]) -> bool:
        """Whether there is a closed form of its entries, not of their sums alone."""
        return self.method != COMPLETENESS and self.applies(operators)
