"""What is installed in an environment is read from its folder."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from crosscheck.environments.environment import Environment
from crosscheck.environments.installed import installed
from crosscheck.environments.interpreters import Interpreter

Install = Callable[[str, str], None]


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    lock = tmp_path / "1.0.txt"
    lock.write_text("tiny-runtime==1.0\ncolorama==0.4 ; sys_platform == 'win32'\n")
    folder = tmp_path / "environment"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    (folder / "complete.json").write_text("{}")
    return Environment("key", folder, Interpreter(Path("python"), "3.11", "3.11.7"), lock, ())


@pytest.fixture
def install(environment: Environment) -> Install:
    def add(name: str, version: str) -> None:
        place = environment.folder / f"lib/python3.11/site-packages/{name.replace('-', '_')}-{version}.dist-info"
        place.mkdir(parents=True)
        (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")

    return add


def add_to_node(folder: Path, name: str, version: str) -> None:
    path = folder / "node_modules" / name / "package.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"name": name.rpartition("node_modules/")[2], "version": version}))


def test_distributions_are_listed_by_their_normalised_names(environment: Environment, install: Install) -> None:
    install("Tiny_Runtime", "1.0")
    install("numpy", "1.19.5")
    assert {"numpy": "1.19.5", "tiny-runtime": "1.0"} == installed(environment.folder)


def test_npm_packages_are_listed_but_for_those_inside_of_others(environment: Environment) -> None:
    add_to_node(environment.folder, "tiny", "2.0.0")
    add_to_node(environment.folder, "@scope/part", "2.0.1")
    add_to_node(environment.folder, "tiny/node_modules/inner", "0.1.0")
    assert {"@scope/part": "2.0.1", "tiny": "2.0.0"} == installed(environment.folder)


def test_an_environment_without_a_list_gets_one(environment: Environment, install: Install) -> None:
    install("tiny-runtime", "1.0")
    assert {"tiny-runtime": "1.0"} == environment.packages
    assert {"tiny-runtime": "1.0"} == json.loads((environment.folder / "packages.json").read_text())


@pytest.mark.parametrize("damage", ["", "{", "[]", "\0\0"])
def test_a_damaged_list_is_made_anew(environment: Environment, install: Install, damage: str) -> None:
    install("tiny-runtime", "1.0")
    (environment.folder / "packages.json").write_text(damage)
    assert {"tiny-runtime": "1.0"} == environment.packages


def test_an_absent_environment_has_no_packages(environment: Environment, install: Install, tmp_path: Path) -> None:
    assert {} == dataclasses.replace(environment, folder=tmp_path / "absent").packages
    install("tiny-runtime", "1.0")
    (environment.folder / "complete.json").unlink()
    assert {} == environment.packages
