"""Reads the runtimes' folders: which releases, variants and modes there are, and where their locks lie.

A folder holds `releases.toml`, `locks/` and `adapter.py`. `releases.toml`:

    [runtime]
    package = "mxnet"                    # what is installed
    title = "Apache MXNet"
    link = "https://..."                 # where its documentation lives
    only_when_named = ["twenty"]         # scenarios that take too long here for what they could show

    [defaults]                           # for every release that does not say otherwise
    python = ["3.11", "3.10", "3.12"]    # interpreters that do, the best first
    requires = ["numpy==1.23.5"]         # everything but the package itself; overrides what the package asks for
    native = []                          # names of [native.*] tables
    environment = {NAME = "value"}       # variables of the probe server

    [native.libgfortran3]                # a shared library that a wheel carries and the release lacks
    requires = "numpy==1.14.6"
    python = "3.6"
    file = "numpy/.libs/libgfortran-*.so.3*"
    link = "libgfortran.so.3"            # the name under which the release looks for it

    [[release]]
    version = "1.9.1"
    released = 2022-05-17
    default = true                       # part of the default matrix

    [[variant]]                          # the release under other switches
    name = "naive-engine"
    environment = {MXNET_ENGINE_TYPE = "NaiveEngine"}
    package = "mxnet-mkl"                # where the variant is another distribution; then also:
    releases = ["1.9.1"]                 # which releases have it; all, if not said
    modes = ["executor.*"]               # globs; all, if not said
    default = ["1.9.1"]                  # for which of them it is part of the default matrix
    about = "every operation is executed at once, in the calling thread"
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from packaging.version import Version

from crosscheck.errors import CatalogError
from crosscheck.probe.adapter import Mode
from crosscheck.probe.server import load_adapter

__all__ = ["Native", "Release", "Runtime", "Variant", "catalog", "load_runtime", "variant_has"]

PLAIN = "plain"


@dataclass(frozen=True)
class Native:
    """A shared library that is taken out of another wheel and linked under the name the release looks for."""

    name: str
    requires: str
    python: str
    file: str
    link: str


@dataclass(frozen=True, eq=False)
class Variant:
    """A release under other switches; `plain` has none. `lock` names the distribution's lock."""

    name: str
    environment: Mapping[str, str]
    package: str
    default: bool
    about: str = ""
    modes: tuple[str, ...] = ("*",)


@dataclass(frozen=True, eq=False)
class Release:
    """One published version, how to install it, and its variants (`plain` first)."""

    version: str
    released: str
    python: tuple[str, ...]
    requires: tuple[str, ...]
    native: tuple[Native, ...]
    default: bool
    variants: tuple[Variant, ...]
    note: str = ""
    link: str = ""

    def has(self, mode: Mode) -> bool:
        """Whether the release lies between the mode's first and last."""
        here = Version(self.version)
        return (mode.since is None or here >= Version(mode.since)) and (
            mode.until is None or here <= Version(mode.until)
        )


@dataclass(frozen=True, eq=False)
class Runtime:
    """One runtime's folder."""

    name: str
    title: str
    package: str
    link: str
    folder: Path = field(repr=False)
    releases: tuple[Release, ...] = field(repr=False)
    modes: tuple[Mode, ...] = field(repr=False)
    only_when_named: tuple[str, ...] = ()

    @property
    def adapter(self) -> Path:
        """The file with the runtime's verbs."""
        return self.folder / "adapter.py"

    def lock(self, release: Release, variant: Variant) -> Path:
        """The hash-pinned requirements of a release in the distribution that the variant uses."""
        suffix = "" if variant.package == self.package else f"+{variant.package}"
        return self.folder / "locks" / f"{release.version}{suffix}.txt"

    def native_lock(self, native: Native) -> Path:
        """The hash-pinned wheel that carries a shared library."""
        return self.folder / "locks" / f"native-{native.name}.txt"


def load_runtime(folder: Path) -> Runtime:
    """Read one runtime's folder. Raises CatalogError where it contradicts itself."""
    path = folder / "releases.toml"
    try:
        data = tomllib.loads(path.read_text())
        about, defaults = data["runtime"], data.get("defaults", {})
        natives = {
            name: Native(name, table["requires"], table["python"], table["file"], table["link"])
            for name, table in data.get("native", {}).items()
        }
        releases = tuple(_release(row, defaults, natives, data.get("variant", []), about) for row in data["release"])
        modes = load_adapter(str(folder / "adapter.py")).modes
    except (OSError, tomllib.TOMLDecodeError, KeyError, ImportError) as problem:
        raise CatalogError(
            f"{folder}: cannot read this runtime ({problem!r}). Mend its releases.toml or adapter.py."
        ) from problem
    return Runtime(
        name=folder.name,
        title=about["title"],
        package=about["package"],
        link=about["link"],
        folder=folder,
        releases=tuple(sorted(releases, key=lambda release: Version(release.version))),
        modes=tuple(modes),
        only_when_named=tuple(about.get("only_when_named", ())),
    )


def _release(
    row: Mapping[str, Any],
    defaults: Mapping[str, Any],
    natives: Mapping[str, Native],
    variants: list[dict[str, Any]],
    about: Mapping[str, Any],
) -> Release:
    merged = {"requires": [], "native": [], "environment": {}, "default": False, **defaults, **row}
    version = merged["version"]
    plain = Variant(PLAIN, merged["environment"], about["package"], default=merged["default"])
    others = tuple(
        Variant(
            name=table["name"],
            environment={**merged["environment"], **table.get("environment", {})},
            package=table.get("package", about["package"]),
            default=version in table.get("default", []),
            about=table.get("about", ""),
            modes=tuple(table.get("modes", ["*"])),
        )
        for table in variants
        if version in table.get("releases", [version])
    )
    return Release(
        version=version,
        released=str(merged["released"]),
        python=tuple(merged["python"]),
        requires=tuple(merged["requires"]),
        native=tuple(natives[name] for name in merged["native"]),
        default=merged["default"],
        variants=(plain, *others),
        note=merged.get("note", ""),
        link=merged.get("link", ""),
    )


@functools.cache
def catalog() -> Mapping[str, Runtime]:
    """Every runtime: the folders here, and those that installed packages name under `crosscheck.runtimes`.

    Such an entry point's value is a module whose folder is a runtime's folder.
    """
    here = Path(__file__).parent
    folders = [path.parent for path in sorted(here.glob("*/releases.toml"))]
    for point in entry_points(group="crosscheck.runtimes"):
        module = point.load()
        folders.append(Path(module.__path__[0]))
    runtimes = [load_runtime(folder) for folder in folders]
    return {runtime.name: runtime for runtime in runtimes}


def variant_has(variant: Variant, mode: Mode) -> bool:
    """Whether the variant is asked in that mode."""
    return any(fnmatchcase(mode.name, pattern) for pattern in variant.modes)
