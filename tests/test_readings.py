"""What each reading asks of an adapter, in which order, and under which names it records that."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crosscheck.cells import Observation, Scenario, Status
from crosscheck.matrix.journal import Journal, Record
from crosscheck.networks import load
from crosscheck.networks.prepare import noise
from crosscheck.probe import pace as other_threads
from crosscheck.probe import trial
from crosscheck.probe.adapter import Adapter, Array, Model, Network, Tensor
from crosscheck.probe.recorder import Recorder, StepFailed
from crosscheck.probe.steps import Trial, rescale
from crosscheck.scenarios.steps import steps

DIGITS = load("digits")
assert DIGITS.images is not None
IMAGES = DIGITS.images[:4]


class Unread:
    """A result that says when it is read."""

    def __init__(self, array: Array) -> None:
        self.array = array


class Diary(Adapter):
    """Writes down what it is asked for; models are "a", "b" ... in the order of their making."""

    def __init__(self, breaks: bool = False) -> None:
        self.lines: list[str] = []
        self.asked: list[Array] = []
        self.cotangents: list[Array] = []
        self.models = 0
        self.breaks = breaks

    def build(self, network: Network, mode: str, shares: Model | None = None) -> Model:
        self.models += 1
        name = "-abc"[self.models]
        self.lines.append(f"build {name} for {mode}" + ("" if shares is None else f" on {shares}"))
        return name

    def predict(self, model: Model, x: Tensor) -> Tensor:
        if self.breaks and self.asked:
            raise RuntimeError("broken")
        self.lines.append(f"predict {model}" if len(x) == 1 else f"classify {model}")
        return np.zeros((len(x), 10), np.float32)

    def forward(self, model: Model, x: Tensor, mode: str) -> Tensor:
        self.lines.append(f"forward {model} {mode}")
        self.asked.append(x)
        return Unread(np.zeros((len(x), 10), np.float32))

    def gradient(self, model: Model, x: Tensor, cotangent: Tensor, mode: str, between: Callable[[], None]) -> Tensor:
        self.forward(model, x, mode)
        self.cotangents.append(cotangent)
        between()
        self.lines.append(f"backward {model} {mode}")
        self.write(x)
        return Unread(slope(x))

    def start(self, model: Model, x: Tensor, cotangent: Tensor, mode: str) -> None:
        self.lines.append(f"start {model} {mode}")

    def explain(self, model: Model, x: Tensor, cotangent: Tensor, mode: str) -> Tensor:
        self.lines.append(f"explain {model} {mode}")
        return Unread(slope(x))

    def reuse(self, model: Model, what: str, x: Tensor, cotangent: Tensor) -> Tensor | None:
        self.lines.append(f"{what} {model}")
        return slope(x) if what == "differentiate-twice" else None

    def write(self, x: Array) -> None:
        """What a call does to its input."""

    def numpy(self, value: Tensor) -> Array:
        if isinstance(value, Unread):
            self.lines.append("read")
            return value.array
        return np.array(value)

    def export(self, model: Model, mode: str, folder: str) -> Model:
        self.lines.append(f"export {model} {mode}")
        Path(folder, "exported.onnx").write_bytes(b"onnx")
        Path(folder, "linked.onnx").symlink_to("exported.onnx")
        Path(folder, "exported.json").write_bytes(b"{}")
        return "copy"

    def state(self, model: Model) -> dict[str, Tensor]:
        self.lines.append(f"state {model}")
        return {"mean": np.zeros(2, np.float32)}

    def parameters(self, model: Model) -> dict[str, Tensor]:
        return {"scale": np.ones(2, np.float32)}

    def layers(self, model: Model, x: Tensor, mode: str) -> dict[str, Tensor]:
        self.lines.append(f"layers {model} {mode}")
        return {"bn1": slope(x)}

    def left(self, model: Model) -> dict[str, Tensor]:
        return {"scale.grad": np.ones(2, np.float32)} if self.asked else {}

    def switched(self, model: Model) -> dict[str, bool]:
        return {"bn": True} if self.asked else {}

    def settle(self, model: Model) -> None:
        self.lines.append(f"settle {model}")

    def flags(self) -> dict[str, bool]:
        return {"training": bool(self.asked)}


def slope(x: Array) -> Array:
    """A gradient: larger from entry to entry."""
    return np.arange(x.size, dtype=np.float32).reshape(x.shape)


def carried_out(
    folder: Path,
    scenario: str,
    reading: str = "undisturbed",
    asks: str = "gradient",
    kind: type[Diary] = Diary,
    pace: str = "as-it-comes",
) -> tuple[Diary, Observation]:
    """The steps of a reading, on the digits, and what they recorded."""
    network = Network(DIGITS.graph, DIGITS.weights, {}, 1, str(folder), str(folder))
    inputs = {"x": DIGITS.x, "cotangent": DIGITS.cotangent, "images": IMAGES, "noise": noise(DIGITS)}
    modes = {"tested": {"name": "tested", "asks": asks}} | {
        role: {"name": role, "asks": "gradient"} for role in ("inference", "training")
    }
    diary, recorder = kind(), Recorder(str(folder))
    networks = {"network": network, "readout": network}
    todo: list[Mapping[str, Any]] = [*steps(Scenario(scenario), reading, list(modes), pace)]
    Trial(diary, recorder, modes, networks, inputs).run(todo)
    recorder.close()
    taken, keys = ((folder / name).read_text() for name in ("steps.jsonl", "keys.jsonl"))
    arrays = (folder / "arrays.bin").read_bytes()
    with Journal(folder / "journal") as journal:
        journal.append("key", "cell", 0, Record(reading, Status.OK, None, taken, keys, arrays, 0.0, 0.0, 0, 0, ""))
        (row,) = journal.observations(["key"])
    return diary, row


ASK = "forward a tested, backward a tested"
LOOKING = "forward a tested, settle a, state a, backward a tested"
TRAINING = "forward a training, backward a training, read, settle a"
REUSED = "save a, copy a, pickle a, differentiate-twice a, build b for tested, load b, predict b"
EXPECTED = {
    (
        "gradient",
        "undisturbed",
    ): f"build a for tested, predict a, predict a, {ASK}, read, predict a, predict a, settle a, "
    f"state a, {ASK}, read, predict a, state a, forward a inference, backward a inference, read, predict a, state a",
    (
        "gradient",
        "timed",
    ): f"build a for tested, state a, predict a, state a, {LOOKING}, read, settle a, state a, state a, "
    f"predict a, state a, {ASK}, read, settle a, state a",
    ("gradient", "unsettled"): f"build a for tested, predict a, {ASK}, state a, read, settle a, state a, predict a",
    ("gradient", "immediate"): f"build a for tested, predict a, {ASK}, predict a, read, settle a, state a, predict a",
    ("gradient", "saved"): f"build a for tested, start a tested, explain a tested, read, {REUSED}",
    ("gradient", "unexplained"): f"build a for tested, start a tested, {REUSED}",
    ("order", "alone"): f"build a for tested, {ASK}, read, settle a, state a",
    (
        "order",
        "after-other",
    ): f"build a for training, {TRAINING}, build b for tested, forward b tested, backward b tested, "
    "read, settle b, state b",
    ("order", "after-same"): f"build a for tested, {TRAINING}, state a, {ASK}, read, settle a, state a",
    ("sibling", "undisturbed"): "build a for tested, build b for tested on a, predict a, predict b, forward b tested, "
    "backward b tested, read, predict a, predict b, settle a, state a",
    ("sibling", "unasked"): "build a for tested, build b for tested on a, predict a, predict b, state a",
}


@pytest.mark.parametrize(("scenario", "reading"), EXPECTED)
def test_what_a_reading_asks_for_in_which_order(tmp_path: Path, scenario: str, reading: str) -> None:
    assert EXPECTED[scenario, reading].split(", ") == carried_out(tmp_path, scenario, reading)[0].lines


@pytest.mark.parametrize("reading", ["unsettled", "immediate"])
def test_threads_are_held_back_during_the_call_and_the_next_look_or_rest_between_these(reading: str) -> None:
    def todo(pace: str) -> list[str]:
        return [step["do"] for step in steps(Scenario.GRADIENT, reading, ["tested"], pace)]

    as_it_comes, look = todo("as-it-comes"), {"unsettled": "snapshot", "immediate": "predict"}[reading]
    assert ["build", "predict", "ask", look] == as_it_comes[:4]
    assert ["build", "predict", "hold", "ask", look, "release", *as_it_comes[4:]] == todo("held-back")
    assert ["build", "predict", "ask", "rest", look, *as_it_comes[4:]] == todo("rested")


def test_the_pace_of_a_trial_is_on_record_and_ends_with_it(tmp_path: Path) -> None:
    before = os.sched_getscheduler(0), os.sched_getaffinity(0)
    for pace in ("hold", "rest"):
        folder = tmp_path / pace
        folder.mkdir()
        wanted = {"hold": "held-back", "rest": "rested"}[pace]
        labels = [step.label for step in carried_out(folder, "gradient", "unsettled", pace=wanted)[1].steps]
        assert pace in labels[: labels.index("state/at-once")]
        assert before == (os.sched_getscheduler(0), os.sched_getaffinity(0))


def test_a_rest_lasts_until_the_last_thread_sleeps() -> None:
    work = threading.Thread(target=hashlib.pbkdf2_hmac, args=("sha256", b"", b"", 30_000))
    over = threading.Event()
    sleeper = threading.Thread(target=over.wait)
    sleeper.start()
    work.start()
    other_threads.rest()
    assert not work.is_alive()
    over.set()
    sleeper.join()


def test_a_step_that_raises_is_on_record_with_the_time_it_took(tmp_path: Path) -> None:
    def fail() -> None:
        raise ValueError("no")

    recorder, start = Recorder(str(tmp_path)), time.perf_counter()
    with pytest.raises(StepFailed):
        recorder.step("predict/before", fail)
    recorder.close()
    begun, failed = map(json.loads, (tmp_path / "steps.jsonl").read_text().splitlines())
    assert {"label": "predict/before", "begun": True} == begun
    assert ("predict/before", "ValueError: no") == (failed["label"], failed["error"])
    assert 0 <= failed["seconds"] <= time.perf_counter() - start


@pytest.mark.parametrize("reading", ["undisturbed", "timed", "unsettled", "immediate"])
def test_a_prediction_is_asked_for_as_a_gradient_is_without_a_second_half(tmp_path: Path, reading: str) -> None:
    lines = carried_out(tmp_path, "predict-only", reading, "prediction")[0].lines
    alike = EXPECTED["gradient", reading].replace(LOOKING, "forward a tested").replace(ASK, "forward a tested")
    assert alike.split(", ") == lines


def test_what_a_double_backward_and_a_restored_network_compute_is_recorded(tmp_path: Path) -> None:
    arrays = carried_out(tmp_path, "gradient", "saved")[1].arrays
    assert ["gradient/first", "reuse/differentiate-twice", "prediction/restored"] == list(arrays)


def test_a_trial_goes_on_where_a_network_cannot_be_reused_and_predicts_nothing_from_what_did_not_load(
    tmp_path: Path,
) -> None:
    class Broken(Diary):
        def reuse(self, model: Model, what: str, x: Tensor, cotangent: Tensor) -> Tensor | None:
            super().reuse(model, what, x, cotangent)
            raise RuntimeError(f"no {what}")

    diary, observation = carried_out(tmp_path, "gradient", "saved", kind=Broken)
    assert REUSED.removesuffix(", predict b").split(", ") == diary.lines[4:]
    errors = {step.label: step.error for step in observation.steps if step.error is not None}
    uses = ("save", "copy", "pickle", "differentiate-twice", "load")
    assert {f"reuse/{what}": f"RuntimeError: no {what}" for what in uses} == errors


def test_an_export_is_between_predictions_and_snapshots(tmp_path: Path) -> None:
    lines = carried_out(tmp_path, "export", asks="export")[0].lines
    expected = "build a for tested, predict a, state a, export a tested, predict a, state a, predict copy"
    assert expected.split(", ") == lines


def test_onnx_files_of_an_export_are_recorded_unless_they_are_links_to_given_ones(tmp_path: Path) -> None:
    arrays = carried_out(tmp_path, "export", asks="export")[1].arrays
    assert {"file/exported.onnx": b"onnx"} == {
        key: value.tobytes() for key, value in arrays.items() if key.startswith("file/")
    }


def test_what_is_compared_with_an_inference_mode_is_left_out_where_there_is_none() -> None:
    modes = [step["mode"] for step in steps(Scenario.GRADIENT, "undisturbed", ["tested"]) if step["do"] == "ask"]
    assert ["tested", "tested"] == modes


@pytest.mark.parametrize(
    ("reading", "moments"),
    [
        ("undisturbed", "after after-second last"),
        ("timed", "built predicted between asked read after second"),
        ("unsettled", "at-once after"),
        ("immediate", "after"),
    ],
)
def test_a_snapshot_has_the_name_of_its_moment_and_four_kinds_of_tensors(
    tmp_path: Path, reading: str, moments: str
) -> None:
    arrays = carried_out(tmp_path, "gradient", reading)[1].arrays
    assert moments.split() == [key.split("/")[1] for key in arrays if key.startswith("state/")]
    later = [moment for moment in moments.split() if moment not in ("built", "predicted")]
    for kind, name in (("parameters", "scale"), ("left", "scale.grad"), ("switched", "bn")):
        expected = later if kind in ("left", "switched") else moments.split()
        assert [f"{kind}/{moment}/{name}" for moment in expected] == [
            key for key in arrays if key.startswith(f"{kind}/")
        ]


@pytest.mark.parametrize("reading", ["undisturbed", "timed", "unsettled", "immediate"])
def test_flags_are_read_right_before_the_call_and_right_after_it(tmp_path: Path, reading: str) -> None:
    taken = carried_out(tmp_path, "gradient", reading)[1].steps
    labels = [step.label for step in taken]
    before, call, after = (labels.index(name) for name in ("flags/before-first", "gradient/first", "flags/after-first"))
    inside = [label for label in labels[before + 1 : after] if label != "gradient/first"]
    assert inside == (["settle/between", "state/between"] if reading == "timed" else [])
    assert before < call < after
    assert ({"training": False}, {"training": True}) == (taken[before].flags, taken[after].flags)


def test_an_array_of_the_caller_is_recorded_only_if_it_changed(tmp_path: Path) -> None:
    class Writes(Diary):
        def write(self, x: Array) -> None:
            x += np.float32(len(self.asked) == 2)

    for kind, changed in ((Diary, {}), (Writes, {"input/second": DIGITS.x + np.float32(1)})):
        arrays = carried_out(tmp_path, "gradient", kind=kind)[1].arrays
        inputs = {key: value.tobytes() for key, value in arrays.items() if "input/" in key}
        assert {key: value.tobytes() for key, value in changed.items()} == inputs


def test_layers_are_read_from_a_new_model_by_their_names(tmp_path: Path) -> None:
    diary, observation = carried_out(tmp_path, "predict-only", "layers", "prediction")
    assert ["build a for tested", "layers a tested"] == diary.lines
    ((name, value),) = observation.arrays.items()
    assert "layer/bn1" == name
    assert np.array_equal(slope(DIGITS.x), value)


def test_what_a_prediction_writes_to_its_input_is_recorded_beside_what_a_call_writes(tmp_path: Path) -> None:
    class Writes(Diary):
        def predict(self, model: Model, x: Tensor) -> Tensor:
            y = super().predict(model, x)
            x += 1
            return y

    arrays = carried_out(tmp_path, "gradient", kind=Writes)[1].arrays
    written = {key: value for key, value in arrays.items() if "input/" in key}
    moments = ("before", "before-again", "after", "after-again", "after-second", "last")
    assert [f"prediction-input/{moment}" for moment in moments] == list(written)
    for value in written.values():
        assert np.array_equal(DIGITS.x + 1, value)


def test_twenty_asks_about_noise_and_predicts_the_image(tmp_path: Path) -> None:
    diary, observation = carried_out(tmp_path, "twenty")
    assert np.array_equal(np.stack(diary.asked), noise(DIGITS))
    assert all(np.array_equal(DIGITS.cotangent, cotangent) for cotangent in diary.cotangents)
    assert ["predict a", "predict a", "classify a"] == diary.lines[1:4]
    assert ["forward a tested", "backward a tested", "read", "predict a", "classify a"] * 20 == diary.lines[4:-2]
    assert ["settle a", "state a"] == diary.lines[-2:]
    assert [f"classes/{step}" for step in range(21)] == [
        key for key in observation.arrays if key.startswith("classes/")
    ]


def test_a_class_is_recorded_with_its_softmax(tmp_path: Path) -> None:
    scores = np.random.default_rng(3).normal(0, 30, (len(IMAGES), 10)).astype(np.float32)
    scores[0, 0] = np.nan

    class Sure(Diary):
        def predict(self, model: Model, x: Tensor) -> Tensor:
            return super().predict(model, x) if len(x) == 1 else scores

    arrays = carried_out(tmp_path, "twenty", kind=Sure)[1].arrays
    exponentials = np.exp(scores.astype(np.float64))
    expected = np.max(exponentials / exponentials.sum(axis=1, keepdims=True), axis=1)
    for step in range(21):
        np.testing.assert_allclose(arrays[f"confidence/{step}"], expected, rtol=1e-6)
        assert np.array_equal(arrays[f"classes/{step}"], np.argmax(scores, axis=1))
    assert np.isnan(arrays["confidence/0"][0])


def test_ascent_climbs_by_a_tenth_of_the_rescaled_gradient_through_shared_layers(tmp_path: Path) -> None:
    diary, observation = carried_out(tmp_path, "ascent")
    assert ["build a for tested", "build b for tested on a", "predict a", "predict a", "classify a"] == diary.lines[:5]
    assert ["forward b tested", "backward b tested", "read", "predict a", "classify a"] * 20 == diary.lines[5:-2]
    assert ["settle a", "state a"] == diary.lines[-2:]
    assert all(np.array_equal(np.ones((1, 1), np.float32), cotangent) for cotangent in diary.cotangents)
    image = DIGITS.x
    for x in diary.asked:
        assert np.array_equal(image, x)
        image = rescale(image + rescale(slope(image)) / np.float32(10))
    assert np.array_equal(image, observation.arrays["image/last"])
    assert (0.0, 1.0) == (image.min(), image.max())


@pytest.mark.parametrize("reading", ["immediate", "undisturbed"])
def test_what_fails_after_the_call_is_no_refusal(tmp_path: Path, reading: str) -> None:
    end = ended(tmp_path, Diary(breaks=True), reading)
    assert ("ok", "predict/after: RuntimeError: broken") == (end["status"], end["reason"])


def test_what_fails_in_the_call_is_a_refusal(tmp_path: Path) -> None:
    class Refuses(Diary):
        def forward(self, model: Model, x: Tensor, mode: str) -> Tensor:
            raise ValueError("no")

    end = ended(tmp_path, Refuses(), "undisturbed")
    assert ("refused", "gradient/first: ValueError: no") == (end["status"], end["reason"])


def ended(folder: Path, adapter: Adapter, reading: str) -> dict[str, Any]:
    """How a trial of the digits ended."""
    inputs = {"x": DIGITS.x, "cotangent": DIGITS.cotangent}
    material = trial.Material(Network(DIGITS.graph, DIGITS.weights, {}, 1, "", ""), None, inputs)
    modes = {"tested": {"name": "tested", "asks": "gradient"}}
    todo = steps(Scenario.GRADIENT, reading, list(modes))
    program: dict[str, Any] = {"sources": {}, "texts": {}}
    request = {"out": str(folder), "network": str(folder), "steps": todo, "modes": modes, "program": program}
    trial.run(adapter, material, request)
    end: dict[str, Any] = json.loads((folder / "end.json").read_text())
    return end


def test_arrays_with_equal_bytes_are_written_once(tmp_path: Path) -> None:
    weight, moved = np.arange(6, dtype="<f4"), np.zeros(6, "<f4")
    recorder = Recorder(str(tmp_path))
    for key, value in {"before": weight, "parameters": weight.reshape(2, 3), "after": moved, "last": weight}.items():
        recorder.array(key, value)
    recorder.close()
    assert weight.tobytes() + moved.tobytes() == (tmp_path / "arrays.bin").read_bytes()
    lines = [json.loads(line) for line in (tmp_path / "keys.jsonl").read_text().splitlines()]
    expected = [
        ["before", "<f4", [6], 0],
        ["parameters", "<f4", [2, 3], 0],
        ["after", "<f4", [6], 24],
        ["last", "<f4", [6], 0],
    ]
    assert expected == lines
