"""Runtimes of installed packages: a broken one, or one with a taken name, is left out and said, and ends no command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RELEASES = """
[runtime]
name = "{name}"
title = "Third"
package = "third"
link = "https://example.org"

[[release]]
version = "1.0"
released = 2020-01-01
python = ["3.11"]
requires = ["third==1.0"]
"""
MODES = """
from crosscheck.runtimes.mode import Contract, Modes
MODES = Modes(inference="a")
MODES.gradient("a/b", "inference", Contract("stay", "", ""), "dx = x", inference=None)
"""


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """Two installed packages: a good one, and `stranger`, whose module is the folder `stranger`."""
    for name in ("good", "stranger"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").touch()
        (folder / "releases.toml").write_text(RELEASES.format(name=name))
        (folder / "modes.py").write_text("MODES = ()\n")
        (folder / "network.py").write_text("def source(request): ...\n")
        information = tmp_path / f"{name}-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: the-{name}\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text(f"[crosscheck.runtimes]\n{name} = {name}\n")
    return tmp_path


def listed(packages: Path) -> tuple[set[str], list[str]]:
    """The runtimes that `crosscheck list runtimes` prints, and its standard error."""
    program = f"import sys; sys.path.insert(0, {str(packages)!r}); from crosscheck.cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", program, "list", "runtimes"], capture_output=True, text=True)
    assert 0 == done.returncode, done.stderr
    return {line.split()[0] for line in done.stdout.splitlines() if line.strip()}, done.stderr.splitlines()


def test_runtimes_of_installed_packages_are_listed(packages: Path) -> None:
    names, errors = listed(packages)
    assert {"good", "stranger", "mxnet", "torch"} < names
    assert [] == errors


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("__init__.py", "raise RuntimeError('[/no] markup \\x1b[31m')", "RuntimeError: [/no] markup \\x1b[31m"),
        ("__init__.py", "import sys; sys.exit(3)", "SystemExit: 3"),
        ("__init__.py", "def (", "SyntaxError"),
        ("modes.py", "MODES = 5", "TypeError"),
        ("network.py", "", "AttributeError"),
        ("releases.toml", "[runtime", "CatalogError"),
        ("releases.toml", RELEASES.format(name="mxnet"), "CatalogError: the name mxnet is taken by"),
        ("releases.toml", RELEASES.format(name="good"), "CatalogError: the name good is taken by"),
        ("releases.toml", RELEASES.format(name="../../out"), "'../../out' is no name"),
        ("releases.toml", RELEASES.format(name="a@b"), "'a@b' is no name"),
        ("releases.toml", RELEASES.format(name="strange").replace('"1.0"', '"one"'), "InvalidVersion"),
        ("modes.py", MODES, "'a/b' is no name"),
    ],
)
def test_a_package_that_cannot_be_used_is_left_out(packages: Path, file: str, text: str, reason: str) -> None:
    (packages / "stranger" / file).write_text(text)
    names, errors = listed(packages)
    assert {"good", "mxnet", "torch"} < names
    assert "stranger" not in names
    (error,) = errors
    assert error.startswith("crosscheck: the package the-stranger offers the runtime stranger, which is left out: ")
    assert reason in error
