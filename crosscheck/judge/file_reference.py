"""Reference answers for an ONNX file, float64: the oracle if it can be lowered, else onnx's evaluator."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property

import numpy as np
import onnx

from crosscheck import oracle
from crosscheck.cells import Array, Asks
from crosscheck.errors import NetworkError
from crosscheck.judge.evaluator import Evaluator, evaluate
from crosscheck.judge.reference import Truth
from crosscheck.networks import Network
from crosscheck.networks.graph import Graph
from crosscheck.networks.lowering import lower
from crosscheck.networks.onnx_files import file_forms, file_gradient, file_training
from crosscheck.onnx_models.double_precision import float_types, in_float64
from crosscheck.onnx_models.failures import FAILURES
from crosscheck.onnx_models.memory import ANSWERING, limited
from crosscheck.onnx_models.plain import every_node
from crosscheck.onnx_models.read import check_onnx
from crosscheck.oracle.rounding import Question
from crosscheck.oracle.sides import Explained
from crosscheck.repeatability import distance

__all__ = ["FileTruth"]

#: Directions along which a gradient is checked, the step, and the relative difference of slopes that is none.
DIRECTIONS, DIFFERENCE, AGREEMENT = 3, 1e-6, 1e-4


class FileTruth(Truth):
    """Answers of a file for its probe input and cotangent.

    Computed by the float64 oracle at the file's own weights. Files that cannot be lowered are evaluated in float64 by
    onnx's evaluator, batch normalizations by the oracle, the gradient by crosscheck's pass; what training mode has no
    answer for has that of inference mode. If that also fails, `known` is false and answers are those of the exported
    network; a user's file has none then.

    source: the reference of the network that was exported, or of the user's file as it was lowered; None without one.
        By default a new one.
    """

    def __init__(self, network: Network, source: Truth | None = None) -> None:
        super().__init__(network)
        assert network.file is not None, "the network has no file"
        self._content = network.file.content
        if source is None and network.file.source is not None:
            source = Truth.of(network.file.source)
        self.source = source
        self._of_file: dict[tuple[Asks, bool], Array] = {}
        self._own: dict[tuple[Asks, bool], Array | None] = {}
        self._own_roundings: dict[tuple[Asks, bool], float] = {}
        #: Why a file has no answer of its own, by what is asked.
        self.failures: dict[Asks, str] = {}

    @property
    def _as_lowered(self) -> Truth | None:
        """The reference that answers for a user's file, which was lowered when it was read; None if it was not."""
        return None if self.network.own is None else self.source

    @cached_property
    def lowered(self) -> tuple[Graph, Mapping[str, Array]] | None:
        """The lowered exported file, ignoring `spatial`; None if it cannot be lowered."""
        if self.network.own is not None:
            return None
        try:
            lowered = self._lower(_without_spatial(self.network.model))
            # An exported file may have weights that do not fit its input.
            with self._limited(), np.errstate(all="ignore"):
                oracle.predict(*lowered, self.network.x, False)
        except (NetworkError, *FAILURES):
            return None
        return lowered

    @cached_property
    def refusal(self) -> str | None:
        """The reason why crosscheck's checks or lowering reject the file; None if they accept it."""
        try:
            self._lower(self.network.model)
        except NetworkError as problem:
            return str(problem)
        return None

    def _lower(self, model: onnx.ModelProto) -> tuple[Graph, Mapping[str, Array]]:
        with self._limited():
            check_onnx(model, self.network.name)
            return lower(model, self.network.name, self.network.name)

    def _limited(self) -> AbstractContextManager[None]:
        """Bounds the memory of what is computed from a file that a runtime exported; a user's takes what it needs."""
        if self.network.own is not None:
            return nullcontext()
        return limited(self.network.name, len(self._content), ANSWERING)

    def known(self, asks: Asks) -> bool:
        """Whether the answer is the file's own. `failures` then has the reason, if it could not be computed."""
        lowered = self._as_lowered is not None or self.lowered is not None
        return lowered or self._evaluated(asks, training=False) is not None

    def answer(self, asks: Asks, training: bool, weights: Mapping[str, Array] | None = None) -> Array:
        """The closed form of a mode's answer, at the file's weights."""
        training = training and self._has_norms
        key = asks, training
        if key not in self._of_file:
            self._of_file[key] = self._answer(asks, training)
        return self._of_file[key]

    def _answer(self, asks: Asks, training: bool) -> Array:
        network = self.network
        if self._as_lowered is not None:
            shape = network.x.shape if asks is Asks.GRADIENT else network.cotangent.shape
            return self._as_lowered.answer(asks, training).reshape(shape)
        if self.lowered is None:
            value = self._evaluated(asks, training)
            if value is None and training:
                value = self._evaluated(asks, training=False)
            if value is None:
                assert self.source is not None, f"{network.name}: callers look at `known` first"
                value = self.source.answer(asks, training)
            return value
        with np.errstate(all="ignore"):
            if asks is Asks.GRADIENT:
                return oracle.gradient(*self.lowered, network.x, network.cotangent, training)
            return oracle.predict(*self.lowered, network.x, training)

    def rounding(self, asks: Asks, training: bool, weights: Mapping[str, Array] | None = None) -> float:
        """The largest difference of an evaluation in the file's own types from the closed form, absolute."""
        if self._in_float32:
            if self._as_lowered is not None:
                return self._as_lowered.rounding(asks, training)
            if self.lowered is not None:
                return super().rounding(asks, training)
        key = asks, training = (asks, training and self._has_norms)
        if key not in self._own_roundings:
            narrow = self._answer_of(self.network, asks, training)
            expected = self.answer(asks, training)
            self._own_roundings[key] = 0.0 if narrow is None else distance(narrow.reshape(expected.shape), expected)
        return self._own_roundings[key]

    def explained(
        self, value: Array, training: bool, tolerance: float, weights: Mapping[str, Array] | None = None
    ) -> Explained:
        """See `Truth.explained`; kinks are known of lowered files alone, and without other types in them."""
        if not self._in_float32:
            return "no"
        if self._as_lowered is not None:
            return self._as_lowered.explained(value.reshape(self._as_lowered.network.x.shape), training, tolerance)
        return "no" if self.lowered is None else super().explained(value, training, tolerance)

    def _question(self, training: bool, weights: Mapping[str, Array] | None) -> Question:
        assert self.lowered is not None, f"{self.network.name}: callers look at `lowered` first"
        return Question(*self.lowered, self.network.x, self.network.cotangent, training)

    @cached_property
    def _in_float32(self) -> bool:
        """Whether the file computes in float32 alone."""
        return float_types(self.network.model) <= {onnx.TensorProto.FLOAT}

    def _answer_of(self, network: Network, asks: Asks, training: bool) -> Array | None:
        """The answer of onnx's evaluator in a file's own types; None if it has none."""
        x, y = network.graph["inputs"][0]["name"], network.graph["outputs"][0]["name"]
        feeds = {x: network.x, **network.weights}
        try:
            with self._limited():
                if asks is Asks.PREDICTION:
                    return evaluate(file_training(network) if training else network.model, feeds)[0]
                feeds[f"{y}.cotangent"] = network.cotangent
                return evaluate(file_gradient(network, training), feeds)[1]
        except Exception:  # as below
            return None

    def _evaluated(self, asks: Asks, training: bool) -> Array | None:
        key = asks, training
        if key not in self._own:
            self._own[key] = self._evaluate(asks, training)
        return self._own[key]

    def _evaluate(self, asks: Asks, training: bool) -> Array | None:
        x, y = self.network.graph["inputs"][0]["name"], self.network.graph["outputs"][0]["name"]
        feeds = _in_float64({x: self.network.x, **self.network.weights})
        try:
            with self._limited():
                if asks is Asks.PREDICTION:
                    return evaluate(self._predicting(training), feeds)[0]
                cotangent = np.asarray(self.network.cotangent, np.float64)
                gradient = evaluate(file_gradient(self._double, training), {**feeds, f"{y}.cotangent": cotangent})[1]
                _check_slope(Evaluator(self._predicting(training)), feeds, x, cotangent, gradient)
                return gradient
        except Exception as problem:  # evaluators raise any exception for arbitrary files
            self.failures[asks] = " ".join(str(problem).split())
            return None

    @cached_property
    def _has_norms(self) -> bool:
        """Whether the modes may differ: a user's file without batch normalizations is evaluated once for both."""
        nodes = every_node(self.network.model.graph)
        return self.network.own is None or any(node.op_type == "BatchNormalization" for node in nodes)

    def _predicting(self, training: bool) -> onnx.ModelProto:
        """The model in float64 that predicts in a mode. Raises NetworkError without a training form."""
        return file_training(self._double) if training else self._double.model

    @cached_property
    def _double(self) -> Network:
        return replace(self.network, model=in_float64(self.network.model))

    def layers(self, training: bool) -> Mapping[str, Array]:
        """The output of every node, float32, by the file's names, in order of execution; empty if unknown."""
        if training not in self._layers:
            graph = self.network.graph
            *inner, last = [node["outputs"][0] for node in graph["nodes"]]
            try:
                feeds = {graph["inputs"][0]["name"]: self.network.x, **self.network.weights}
                with self._limited():
                    outputs = evaluate(file_forms(self.network)["file-exposed"], feeds)
            except Exception:  # as above
                self._layers[training] = {}
            else:
                layer_values = outputs[len(outputs) - len(inner) :]
                self._layers[training] = dict(zip((*inner, last), (*layer_values, outputs[0]), strict=True))
        return self._layers[training]


def _in_float64(values: Mapping[str, Array]) -> dict[str, Array]:
    """The same with floats as float64."""
    return {name: value.astype(np.float64) if value.dtype.kind == "f" else value for name, value in values.items()}


def _check_slope(
    evaluator: Evaluator, feeds: Mapping[str, Array], name: str, cotangent: Array, gradient: Array
) -> None:
    """Raise ArithmeticError unless a gradient agrees with differences of predictions along one of three directions.

    More than one, since a step may cross a kink. evaluator: predicts. name: of the input.
    """
    x, random = feeds[name], np.random.default_rng(0)
    for _ in range(DIRECTIONS):
        direction = random.standard_normal(x.shape)
        step = DIFFERENCE * direction
        above, below = (evaluator.answers({**feeds, name: value})[0] for value in (x + step, x - step))
        slope = np.sum((above - below) * cotangent) / (2 * DIFFERENCE)
        expected = np.sum(gradient * direction)
        largest = np.linalg.norm(gradient) * np.linalg.norm(direction) / np.sqrt(x.size)
        rounding = np.finfo(np.float64).eps * np.sum(np.abs(above * cotangent)) / DIFFERENCE
        if abs(slope - expected) <= AGREEMENT * max(abs(expected), largest) + rounding:
            return
    raise ArithmeticError(
        f"its gradient in float64 gives a slope of {expected:.6g}, differences of predictions give {slope:.6g}"
    )


def _without_spatial(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy without `spatial = 0`. What has statistics for every entry cannot be lowered then, by their shapes."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        if node.op_type == "BatchNormalization":
            for item in [item for item in node.attribute if item.name == "spatial"]:
                node.attribute.remove(item)
    return copy
