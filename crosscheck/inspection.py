"""Command `inspect`: what a user's file is, and what each runtime could be asked about it; measures nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import onnx

from crosscheck.conversion import load
from crosscheck.errors import UsageError
from crosscheck.matrix.plan import Planned, Wanted, expand
from crosscheck.matrix.selection import Target
from crosscheck.networks import FileOptions, Network
from crosscheck.networks.facts import Facts
from crosscheck.networks.onnx_files import BATCH_GRADIENT, GRADIENT, missing_forms
from crosscheck.runtimes.catalog import Runtime, catalog

__all__ = ["inspect"]

#: The number of names in a line.
SHOWN = 6
#: The scenarios that are asked about.
SCENARIOS = ("gradient", "predict-only")


def inspect(path: str, options: FileOptions) -> Iterator[str]:
    """Lines about the file at `path`. Raises NetworkError for a file that crosscheck cannot use, with the remedy."""
    network = load(path, options)
    file = network.as_it_is
    assert file is not None, "a path is a user's file"
    assert file.own is not None
    yield from file.own.said
    yield from _contents(file)
    yield from _batch_norms(file)
    lowered = "as it is alone (the reason is above)" if network.file is not None else "as it is, and lowered"
    yield f"{'asked':14}{lowered}"
    for title, form in (("gradient", GRADIENT), ("in training", BATCH_GRADIENT)):
        yield f"{title:14}{missing_forms(file).get(form, 'crosscheck writes it')}"
    for runtime in catalog().values():
        yield f"{runtime.name:24}{_asked(runtime, network)}"


def _contents(file: Network) -> Iterator[str]:
    model = file.model
    opset = next(item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))
    yield f"{'file':14}opset {opset}, IR {model.ir_version}, {len(model.graph.node)} nodes"
    values = {file.graph["inputs"][0]["name"]: file.x, **file.weights}
    for name, value in values.items():
        how = "differentiated" if value is file.x else "held"
        yield f"{'input':14}{name}: {value.dtype} {_sizes(value.shape)}, {how}"
    first, *others = (item.name for item in model.graph.output)
    yield f"{'output':14}{first}: {_sizes(file.cotangent.shape)}" + "".join(f"; {name}" for name in others)
    counts = Counter(node.op_type for node in model.graph.node if node.op_type != "Constant")
    yield f"{'operators':14}{', '.join(f'{count} {op}' for op, count in sorted(counts.items()))}"


def _batch_norms(file: Network) -> Iterator[str]:
    """A line for all with the same attributes."""
    facts = Facts(file.model, file.name)
    alike: dict[str, list[str]] = {}
    for index, node in enumerate(file.model.graph.node):
        if node.op_type == "BatchNormalization":
            attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
            (channels,) = facts.shape(node.input[1]) or ("?",)
            alike.setdefault(_said(attributes), []).append(f"{node.name or index} ({channels})")
    if not alike:
        yield f"{'batch norms':14}none: there are no moving statistics that could leak"
    for said, names in alike.items():
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        yield f"{'batch norms':14}{said}: {', '.join(names[:SHOWN])}{more}"


def _said(attributes: Mapping[str, Any]) -> str:
    momentum = attributes.get("momentum", 0.9)
    usual = "" if "momentum" in attributes else " by default"
    kept = ", so that training keeps the old statistics and no leak can be seen" if momentum == 1 else ""
    return f"epsilon {attributes.get('epsilon', 1e-5):.3g}, momentum {momentum:.3g}{usual}{kept}"


def _asked(runtime: Runtime, network: Network) -> str:
    """How many ways of the newest release can be asked, and why others cannot."""
    release = runtime.releases[-1]
    wanted = Wanted(scenarios=SCENARIOS, networks=[network.name])
    plan = [cell for cell in _plan(Target(runtime, release, release.variants[0]), network, wanted) if not cell.lacking]
    if not plan:
        return f"{release.version}: reads no file, and the network cannot be lowered"
    reasons = Counter(cell.refused for cell in plan if cell.refused)
    asked = f"{release.version}: {len(plan) - reasons.total()} of {len(plan)} cells of its default modes"
    return "; ".join([asked, *(f"{count} not, {reason}" for reason, count in reasons.items())])


def _plan(target: Target, network: Network, wanted: Wanted) -> list[Planned]:
    try:
        return expand([target], [network], wanted)
    except UsageError:  # nothing is left
        return []


def _sizes(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "one number"
