"""Composes a program: the sources and texts by which a cell is measured, for the probe and for scripts."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import hashlib
import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from packaging.version import Version

from crosscheck.runtimes.catalog import Release, Runtime, Variant
from crosscheck.runtimes.mode import Mode
from crosscheck.runtimes.source import Array, Graph, Request, Source

__all__ = ["Subject", "compose", "fingerprint", "shown", "source_of"]


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """A network as programs need it: its plain graph, its weights, and the number of rows of the probe input.

    trusted: whether the user's file that it was made of may run code when it is opened.
    """

    graph: Graph
    weights: Mapping[str, Array]
    batch: int
    trusted: bool = False


def compose(
    runtime: Runtime,
    release: Release,
    variant: Variant,
    modes: Mapping[str, Mode],
    networks: Mapping[str, Subject],
    steps: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """The program of a cell: {"sources": use -> source, "texts": mode name -> texts}, JSON types only.

    modes: role ("tested", "inference", "training") -> mode. networks: "network" and, for `ascent`, "readout". A use is
    "network/tested", or, for a network on the layers of "network", "readout/tested/shared". What only the reading
    `layers` needs is left out of the others, and so are a training step, the reuse of a network and a look at it.
    """
    sources = {}
    done = {step["do"] for step in steps}
    for step in steps:
        if step["do"] == "build":
            role, shared = step["mode"], step["shares"] is not None
            use = "/".join([step["network"], role, *(["shared"] if shared else [])])
            first = networks["network"] if shared else None
            source = source_of(runtime, release, variant, modes[role], networks[step["network"]], first)
            layers, train = (
                text if do in done else "" for do, text in (("layers", source.layers), ("train", source.train))
            )
            reuse = source.reuse if "reuse" in done else {}
            looks = source.looks if any(step.get("looks") for step in steps) else ""
            used = dataclasses.replace(source, layers=layers, train=train, reuse=reuse, looks=looks)
            sources[use] = {**vars(used), "files": _files(used, modes.values())}
            asked = networks[step["network"]].graph  # that of the network which is built last
    texts = {mode.name: _texts(mode, release, asked) for mode in modes.values()}
    return {"sources": sources, "texts": texts}


def shown(runtime: Runtime, release: Release, variant: Variant, mode: Mode, network: Subject) -> str:
    """The mode's text, after those lines of the network's source that the mode asks for.

    These are the lines that the source of a plain network lacks: of the first mode with the same text that takes such a
    network, a file or not, and tells its layers nothing, if there is one; or of the same mode without what it tells the
    layers. Of a user's file that is read as it is, they are all.
    """
    here = mode.in_release(release.version)
    if mode.native:
        return source_of(runtime, release, variant, mode, network).text + here.call
    same = _first_alike(runtime, release, mode.name)
    plain = dataclasses.replace(mode, norm={}) if same.name == mode.name else same
    before, after = (source_of(runtime, release, variant, one, network).text for one in (plain, mode))
    text = here.call_on(*_names(network.graph))
    if before == after:
        return text
    added = [line[2:] for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line.startswith("+ ")]
    lines = textwrap.dedent("\n".join(added)).strip("\n")
    return f"{lines}\n{text}" if lines else text


@functools.cache
def _first_alike(runtime: Runtime, release: Release, name: str) -> Mode:
    """The first mode with the text of that one that tells its layers nothing; else the first with that text."""
    mode = next(mode for mode in runtime.modes if mode.name == name)
    call = mode.in_release(release.version).call
    alike = [
        other
        for other in runtime.modes
        if (other.asks, other.reads_files, other.native) == (mode.asks, mode.reads_files, "")
        and release.has(other)
        and other.in_release(release.version).call == call
    ]
    return next((one for one in alike if not one.norm), alike[0] if alike else mode)


def fingerprint(runtime: Runtime, release: Release, variant: Variant, mode: Mode, network: Subject) -> str:
    """SHA-256 (hexadecimal) of the texts that a mode executes on a network."""
    source = {**vars(source_of(runtime, release, variant, mode, network))}
    del source["answer"], source["looks"]  # of scripts alone
    texts = json.dumps([source, _texts(mode, release, network.graph)], sort_keys=True)
    return hashlib.sha256(texts.encode()).hexdigest()


def source_of(
    runtime: Runtime, release: Release, variant: Variant, mode: Mode, network: Subject, first: Subject | None = None
) -> Source:
    """The network's source text for one mode; with `first`, on the layers of that network."""
    norm = tuple(sorted(mode.norm.items()))
    of_mode = mode.kind, norm, mode.form, mode.fed, mode.intent, mode.asks, mode.native
    return _source(runtime, release, variant, of_mode, network, first)


@functools.lru_cache(maxsize=1024)
def _source(
    runtime: Runtime,
    release: Release,
    variant: Variant,
    of_mode: tuple[str, tuple[tuple[str, Any], ...], str, bool, str, str, str],
    network: Subject,
    first: Subject | None,
) -> Source:
    kind, norm, form, fed, intent, asks, native = of_mode
    request = Request(
        network.graph,
        network.weights,
        network.batch,
        Version(variant.base or release.executes),
        kind,
        dict(norm),
        form,
        fed,
        intent,
        asks,
        variant.told,
        None if first is None else first.graph,
        native,
        network.trusted,
    )
    return runtime.write(request)


def _files(source: Source, modes: Iterable[Mode]) -> dict[str, str]:
    """File name -> form of all that the source and the modes open; texts may name the parts of a file by a prefix."""
    opened = source.text + source.predict + source.classify + source.layers
    files = {name: form for name, form in source.files.items() if name in opened or name == form}
    return files | {f"{mode.form}.onnx": mode.form for mode in modes if mode.form}


def _texts(mode: Mode, release: Release, graph: Graph) -> dict[str, str]:
    here = mode.in_release(release.version)
    forward, backward = here.parts
    parts = {"once": here.once, "forward": forward, "backward": backward, "predict": here.predict}
    names = _names(graph)
    return {
        "asks": here.asks,
        "leaves": here.leaves,
        **{part: mode.named(text, *names) for part, text in parts.items()},
    }


def _names(graph: Graph) -> tuple[list[str], str]:
    """The names of the inputs and of the output."""
    return [str(value["name"]) for value in graph["inputs"]], str(graph["outputs"][0]["name"])
