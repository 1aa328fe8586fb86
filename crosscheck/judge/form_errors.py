"""The errors of an answer relative to the two closed forms, and which of them it matches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from crosscheck.cells import Array, Asks, Intent
from crosscheck.judge.compare import relative_error, scale_of
from crosscheck.judge.reference import Truth
from crosscheck.judge.thresholds import CLOSED_FORM, DECIDABLE, Threshold, closed_form
from crosscheck.oracle.sides import Explained
from crosscheck.records import Errors
from crosscheck.repeatability import size

__all__ = ["FormErrors", "other_intent"]


@dataclass(frozen=True, eq=False)
class FormErrors:
    """The errors of an answer relative to the two closed forms, at `weights` if not None.

    Rounding and kinks are looked at only where something is decided by them: they cost some evaluations of the network.
    """

    truth: Truth = field(repr=False)
    value: Array
    asks: Asks
    weights: Mapping[str, Array] | None = field(default=None, repr=False)

    @cached_property
    def _forms(self) -> dict[Intent, Array]:
        return {intent: self.truth.answer(self.asks, intent is Intent.TRAINING, self.weights) for intent in Intent}

    @property
    def _value(self) -> Array:
        return self.truth.compared(self.value) if self.asks is Asks.GRADIENT else self.value

    @cached_property
    def _errors(self) -> dict[Intent, float]:
        forms, value = self._forms, self._value
        return {intent: relative_error(value, forms[intent], forms[other_intent(intent)]) for intent in Intent}

    @cached_property
    def _scales(self) -> dict[Intent, float]:
        return {intent: scale_of(self._forms[intent], self._forms[other_intent(intent)]) for intent in Intent}

    def of(self, intent: Intent) -> float:
        """The error relative to the form of that mode."""
        return self._errors[intent]

    @cached_property
    def zero(self) -> frozenset[Intent]:
        """The modes whose closed form is zero, but for the cotangent's rounding: a match with it proves nothing."""
        largest = max(map(size, self._forms.values()))
        return frozenset(intent for intent in Intent if size(self._forms[intent]) <= CLOSED_FORM.value * largest)

    @cached_property
    def _plain(self) -> frozenset[Intent]:
        """The modes that match at other weights than the network's whatever float32 can do there."""
        if self.weights is None:
            return frozenset()
        return frozenset(intent for intent in Intent if self.of(intent) <= CLOSED_FORM.value)

    def threshold(self, intent: Intent) -> Threshold:
        """The threshold of the error relative to the form of that mode."""
        return CLOSED_FORM if self._plain else self._thresholds[intent]

    @cached_property
    def _thresholds(self) -> dict[Intent, Threshold]:
        roundings = {
            intent: self.truth.rounding(self.asks, intent is Intent.TRAINING, self.weights) for intent in Intent
        }
        return {intent: closed_form(roundings[intent], scale) for intent, scale in self._scales.items()}

    @cached_property
    def _near(self) -> frozenset[Intent]:
        return frozenset(intent for intent in Intent if self.of(intent) <= self.threshold(intent).value)

    @cached_property
    def _explained(self) -> Mapping[Intent, Explained]:
        """Whether a gradient that matches neither form is the nearer one with other sides of kinks; else empty."""
        if self.asks is not Asks.GRADIENT or self._near:
            return {}
        nearest = min(Intent, key=self.of)
        tolerance = self._thresholds[nearest].value * self._scales[nearest]
        return {nearest: self.truth.explained(self.value, nearest is Intent.TRAINING, tolerance, self.weights)}

    @property
    def sides(self) -> frozenset[Intent]:
        """The mode whose closed form it is with other sides of kinks that are within rounding."""
        return frozenset(intent for intent, explained in self._explained.items() if explained == "sides")

    @cached_property
    def undecided(self) -> Mapping[Intent, str]:
        """The modes whose closed form it may be, which cannot be decided at this input, and why."""
        kinks = {
            intent: f"its error against the closed form of {intent} mode, {self.of(intent):.3g}, may be the effect of "
            "kinks that are within rounding"
            for intent, explained in self._explained.items()
            if explained == "unknown"
        }
        return kinks | {
            intent: f"the closed form of {intent} mode, {size(self._forms[intent]):.3g} at most, is zero to rounding"
            for intent in self._near
            if self.threshold(intent).value > DECIDABLE.value or not self._scales[intent]
        }

    @property
    def matches(self) -> frozenset[Intent]:
        """The modes whose closed form matches."""
        return self._plain or (self._near | self.sides) - self.undecided.keys()

    @property
    def line(self) -> Errors:
        """The value in cells.jsonl; none for a form that is zero, of an answer that is not: it has no scale."""
        far = {intent for intent in self.zero if self.of(intent) > CLOSED_FORM.value}
        return Errors(**{intent.value: None if intent in far else self.of(intent) for intent in Intent})

    @property
    def both(self) -> str:
        """The errors against both forms, for a sentence."""
        return ", ".join(f"{intent} {self.of(intent):.3g}" for intent in Intent)


def other_intent(intent: Intent) -> Intent:
    """The other of the two."""
    return Intent.TRAINING if intent is Intent.INFERENCE else Intent.INFERENCE
