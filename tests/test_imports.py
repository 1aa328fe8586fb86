"""Imports between the packages and modules of crosscheck point down one list, never up."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import crosscheck

ROOT = Path(crosscheck.__file__).parent
PAGE = ROOT.parent / "docs" / "development.md"

#: What lies in `crosscheck/`, from the top: each imports only what stands on a later line.
HOUSE = (
    ("cli", "pytest_plugin"),
    ("commands",),
    ("configuration",),
    ("bisect", "forecast", "merging", "reduce"),
    ("ending", "job"),
    ("options",),
    ("marks", "progress", "shards"),
    ("locate", "script"),
    ("judgements",),
    ("publication", "recorded_arrays", "run_facts"),
    ("live",),
    ("exchange", "report"),
    ("expectations",),
    ("conversion", "judge"),
    ("matrix",),
    ("subnetworks",),
    ("oracle",),
    ("environments",),
    ("networks",),
    ("gradients",),
    ("onnx_models",),
    ("repeatability", "scenarios"),
    ("runtimes",),
    ("records",),
    ("cells", "probe", "terminal", "toml_text", "whole_files"),
    ("errors",),
)
FLOOR = {name: floor for floor, names in enumerate(HOUSE) for name in names}


def imported(source: str) -> set[str]:
    """The packages and modules of crosscheck that a text imports, at its beginning or in a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    parts = [name.split(".") for name in names if name.startswith("crosscheck.")]
    return {name for _, name, *_ in parts if name != "__version__"}


def upward(package: str, source: str) -> set[str]:
    """What a file of a package imports that does not stand below the package."""
    return {name for name in imported(source) if name != package and FLOOR[name] <= FLOOR[package]}


def files() -> Iterator[tuple[str, Path]]:
    """Every file but the package's own `__init__.py`, with what it belongs to."""
    for path in sorted(ROOT.rglob("*.py")):
        package = path.relative_to(ROOT).with_suffix("").parts[0]
        if package != "__init__":
            yield package, path


def test_imports_point_down_the_house() -> None:
    found = {str(path.relative_to(ROOT)): upward(package, path.read_text()) for package, path in files()}
    assert {} == {file: names for file, names in found.items() if names}


def test_everything_in_the_package_has_its_place() -> None:
    assert set(FLOOR) == {package for package, _ in files()}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from crosscheck.oracle import layers", {"oracle"}),
        ("from crosscheck import oracle", {"oracle"}),
        ("import crosscheck.judge.case", {"judge"}),
        ("def late():\n    from crosscheck.matrix.plan import Planned", {"matrix"}),
        ("from crosscheck.errors import NetworkError\nfrom crosscheck.networks.graph import Node\nimport numpy", set()),
    ],
)
def test_every_way_to_import_is_seen(source: str, expected: set[str]) -> None:
    assert expected == upward("networks", source)


def test_the_documentation_lists_packages_in_that_order() -> None:
    (sentence,) = [part for part in PAGE.read_text().split("\n\n") if "imports point one way" in part]
    names = [name for name in sentence.split("`")[1::2] if name in FLOOR]
    assert sorted(names, key=FLOOR.__getitem__) == names
    assert {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()} <= set(names)
