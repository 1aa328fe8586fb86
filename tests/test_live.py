"""`assert_gradient_is_pure` on live models: users' tests, run with each framework and crosscheck installed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import crosscheck
from crosscheck.environments.interpreters import find, uv
from crosscheck.environments.sources import sources
from crosscheck.live.equinox_module import EquinoxModule
from crosscheck.live.gluon_block import GluonBlock
from crosscheck.live.keras_model import MODES
from crosscheck.live.message import recipe
from crosscheck.live.nnx_module import NnxModule
from crosscheck.live.tensorflow_module import TensorFlowModule
from crosscheck.live.torch_module import TorchModule

ROOT = Path(crosscheck.__file__).parents[1]
USERS = Path(__file__).parent / "live"
#: The environment's name -> what a user has installed besides crosscheck and pytest.
INSTALLED = {
    "torch": ["torch==2.13.0+cpu", "numpy==2.4.6"],
    # The last numpy that has what MXNet imports, but for one name.
    "mxnet": ["mxnet==1.9.1", "numpy==1.26.4", "ml-dtypes==0.5.4"],
    "jax": ["jax==0.10.2", "jaxlib==0.10.2", "flax==0.12.8", "equinox==0.13.8", "keras==3.15.1", "numpy==2.4.6"],
    "tensorflow": ["tensorflow-cpu==2.21.0", "keras==3.15.1", "numpy==2.4.6"],
    "keras-on-torch": ["torch==2.13.0+cpu", "keras==3.15.1", "numpy==2.4.6"],
}
SUMMARY = re.compile(r"^(\d+ \w+(?:, \d+ \w+)*) in ", re.MULTILINE)


def constraints(pins: Sequence[str]) -> list[str]:
    """The pinned versions of crosscheck's own packages, but for those in `pins`."""
    pinned = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["constraint-dependencies"]
    own = {pin.partition("==")[0] for pin in pins}
    return [pin for pin in pinned if pin.partition("==")[0] not in own]


class User:
    """An environment with crosscheck, and tests that run in it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.python, self.folder = folder / "bin" / "python", folder
        pins = INSTALLED[name]
        (folder.parent / "constraints.txt").write_text("\n".join(constraints(pins)))
        done = subprocess.run(
            uv("venv", "--quiet", "--no-project", "--no-config", "--python", str(find(["3.11"]).path), str(folder)),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        command = uv("pip", "install", "--quiet", "--no-config", "--python", str(self.python))
        options = ["--constraints", str(folder.parent / "constraints.txt"), *sources("\n".join(pins))]
        done = subprocess.run([*command, *options, *pins, "pytest", str(ROOT)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def test(self, text: str, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a file of tests as its user does, warnings being errors."""
        place = self.folder.parent / "project"
        place.mkdir(exist_ok=True)
        (place / "test_model.py").write_text(text)
        command = [str(self.python), "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *options]
        outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        return subprocess.run(
            command, cwd=place, env={**outside, **environ}, capture_output=True, text=True, timeout=900
        )


@pytest.fixture(name="user", scope="module")
def _user(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> User:
    return User(tmp_path_factory.mktemp(request.param) / "environment", request.param)


def outcome(done: subprocess.CompletedProcess[str]) -> str:
    """The counts of pytest's last line."""
    counts = SUMMARY.findall(done.stdout)
    assert counts, done.stdout + done.stderr
    return str(counts[-1])


def all_pass(user: User, file: str, **environ: str) -> None:
    """Every test of a file passes; those that are of another backend are skipped."""
    text = (USERS / file).read_text()
    done = user.test(text, **environ)
    counts = dict(part.split()[::-1] for part in outcome(done).split(", "))
    assert counts.keys() <= {"passed", "skipped"}, done.stdout[-6000:]
    assert sum(map(int, counts.values())) >= text.count("\ndef test_") > 0
    assert int(counts.get("skipped", 0)) <= text.count("@pytest.mark.skipif")


def example() -> tuple[str, str]:
    """The README's test, and the text of its failure."""
    section = (ROOT / "README.md").read_text().partition("## The shortest way in")[2].partition("\n## ")[0]
    test, failure = re.findall(r"^```\w+\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return test, failure.strip()


NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])")


@pytest.mark.parametrize("user", ["torch"], indirect=True)
class TestTorch:
    def test_modules(self, user: User) -> None:
        all_pass(user, "of_torch.py")

    @pytest.mark.large
    def test_compiled_modules(self, user: User) -> None:
        all_pass(user, "of_torch_compiled.py")

    def test_the_example_of_the_readme_fails_in_training_and_passes_in_evaluation(self, user: User) -> None:
        test, failure = example()
        done = user.test(test)
        assert "1 failed" == outcome(done)
        told = "\n".join(line[1:] for line in done.stdout.splitlines() if line.startswith("E "))
        told = textwrap.dedent(told.replace("AssertionError: ", "", 1)).strip()
        assert NUMBER.sub("#", failure) == NUMBER.sub("#", told)
        np.testing.assert_allclose(
            [float(number) for number in NUMBER.findall(told)],
            [float(number) for number in NUMBER.findall(failure)],
            rtol=1e-5,
        )
        assert "1 passed" == outcome(user.test(test.replace("pure(model,", "pure(model.eval(),")))

    def test_a_pure_gradient_needs_neither_onnx_nor_another_framework(self, user: User) -> None:
        script = "import sys, torch, crosscheck\n"
        script += "crosscheck.assert_gradient_is_pure(torch.nn.BatchNorm1d(2).eval(), torch.ones(2, 2))\n"
        script += (
            "print(*[name for name in ('onnx', 'autograd', 'jax', 'tensorflow', 'keras') if name in sys.modules])\n"
        )
        done = subprocess.run([user.python, "-c", script], capture_output=True, text=True, check=True)
        assert "" == done.stdout.strip()


@pytest.mark.parametrize("user", ["mxnet"], indirect=True)
def test_gluon_blocks(user: User) -> None:
    all_pass(user, "of_mxnet.py")


@pytest.mark.large
@pytest.mark.parametrize("user", ["jax"], indirect=True)
class TestJax:
    def test_nnx_and_equinox_modules(self, user: User) -> None:
        all_pass(user, "of_jax.py", JAX_PLATFORMS="cpu")

    def test_keras_models_on_jax(self, user: User) -> None:
        all_pass(user, "of_keras.py", JAX_PLATFORMS="cpu", KERAS_BACKEND="jax")

    def test_the_keras_example_of_your_model_md_fails_in_training_and_passes_in_inference(self, user: User) -> None:
        text = (ROOT / "docs" / "your-model.md").read_text()
        (example,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        done = user.test(example, JAX_PLATFORMS="cpu", KERAS_BACKEND="jax")
        assert "1 failed" == outcome(done)
        assert "moving_mean: 0 0 became 0.004 0.0025" in done.stdout
        done = user.test(example.replace("training=True", "training=False"), JAX_PLATFORMS="cpu", KERAS_BACKEND="jax")
        assert "1 passed" == outcome(done)


@pytest.mark.large
@pytest.mark.parametrize("user", ["tensorflow"], indirect=True)
class TestTensorFlow:
    def test_keras_models(self, user: User) -> None:
        all_pass(user, "of_keras.py", KERAS_BACKEND="tensorflow")

    def test_modules(self, user: User) -> None:
        all_pass(user, "of_tensorflow.py", KERAS_BACKEND="tensorflow")


@pytest.mark.large
@pytest.mark.parametrize("user", ["keras-on-torch"], indirect=True)
def test_keras_models_on_torch(user: User) -> None:
    all_pass(user, "of_keras.py", KERAS_BACKEND="torch")


@pytest.mark.parametrize("model", [[1.0], (1, 2), {}, None, lambda x: x])
def test_other_objects_are_refused_in_one_line_with_the_kinds(model: object) -> None:
    with pytest.raises(TypeError) as caught:
        crosscheck.assert_gradient_is_pure(model, [1.0])
    text = str(caught.value)
    assert "\n" not in text
    for kind in ("torch", "keras", "tf.Module", "flax.nnx", "equinox", "mxnet.gluon", type(model).__name__):
        assert kind in text


def test_the_plugin_imports_nothing_before_a_test_asks() -> None:
    script = "import json, sys, pytest; before = set(sys.modules); import crosscheck.pytest_plugin\n"
    script += "print(json.dumps(sorted(set(sys.modules) - before)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ["crosscheck", "crosscheck.pytest_plugin"] == json.loads(done.stdout)


def test_the_fixture_is_the_function(assert_gradient_is_pure: object) -> None:
    assert crosscheck.assert_gradient_is_pure is assert_gradient_is_pure


@pytest.mark.parametrize(
    ("runtime", "mode"),
    [
        *((kind.runtime, kind.mode) for kind in (TorchModule, TensorFlowModule, NnxModule, EquinoxModule, GluonBlock)),
        *(("keras", mode) for mode in MODES.values()),
    ],
)
def test_shown_calls_are_inference_gradients_of_the_default_matrix(runtime: str, mode: str) -> None:
    shown = recipe(runtime, mode)
    assert ("gradient", "inference", True) == (shown.asks, shown.intent, shown.default)
