"""The facts of a run: the contents of `run.json`, and what a cell's line says of its environment."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import crosscheck
from crosscheck.environments.environment import Environment
from crosscheck.matrix.ledger import Measured
from crosscheck.matrix.plan import Planned
from crosscheck.matrix.selection import Target
from crosscheck.matrix.settings import cores
from crosscheck.networks import Network
from crosscheck.networks.file_summary import summary_of
from crosscheck.records import CellEnvironment
from crosscheck.records.run import EnvironmentFacts, NetworkFacts, Run, RuntimeFacts, ScenarioFacts
from crosscheck.runtimes.catalog import Runtime
from crosscheck.scenarios.facts import SCENARIOS

__all__ = ["environment_facts", "facts_of"]


def environment_facts(planned: Planned, environment: Environment | None) -> CellEnvironment:
    """The environment of a cell's trials; without an interpreter if it could not be described."""
    target = planned.target
    return CellEnvironment(
        python="" if environment is None else environment.interpreter.version,
        lock=target.runtime.lock(target.release, target.variant).name,
        packages={} if environment is None else environment.packages,
        variables=dict(target.variant.environment),
        sources=planned.fingerprint,
    )


def facts_of(
    plan: Sequence[Planned],
    selected: Sequence[Target],
    measured: Measured,
    *,
    command: Sequence[str],
    jobs: int,
    isolation: str,
) -> Run:
    """What is known of a run once it is measured; times (s) are those of its environments."""
    runtimes = {target.runtime.name: target.runtime for target in selected}
    networks = {planned.network.name: planned.network for planned in plan}
    modes = {planned.mode.name for planned in plan}
    scenarios = {planned.cell.scenario for planned in plan}
    return Run(
        crosscheck=crosscheck.__version__,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        command=tuple(command),
        machine=_machine(),
        jobs=jobs,
        isolation=isolation,
        seconds={"environments": round(measured.environment_seconds, 3)},
        import_seconds=measured.import_seconds,
        counts={"cells": len(plan), "trials": measured.ran + measured.reused, "reused": measured.reused},
        runtimes={name: _runtime(runtime, selected, modes) for name, runtime in runtimes.items()},
        networks={name: _network(network) for name, network in networks.items()},
        scenarios={
            scenario.value: ScenarioFacts(facts.question, facts.steps)
            for scenario, facts in SCENARIOS.items()
            if scenario in scenarios
        },
        environments={
            name: EnvironmentFacts(
                environment.lock.name, environment.interpreter.version, environment.packages, environment.key
            )
            for name, environment in measured.environments.items()
        },
    )


def _runtime(runtime: Runtime, selected: Sequence[Target], modes: set[str]) -> RuntimeFacts:
    chosen = {id(target.release) for target in selected}
    return RuntimeFacts(
        title=runtime.title,
        link=runtime.link,
        releases=tuple(release.version for release in runtime.releases if id(release) in chosen),
        modes=tuple(mode.facts(runtime.summary(mode)) for mode in runtime.modes if mode.name in modes),
        clears=runtime.clears,
        base=runtime.base,
        apis=runtime.apis,
        unlisted={
            release.version: release.note for release in runtime.releases if id(release) in chosen and release.locks
        },
    )


def _network(network: Network) -> NetworkFacts:
    if network.own is None:
        return NetworkFacts(network.title, network.name)
    return NetworkFacts(network.title, network.own.short, summary_of(network))


def _machine() -> dict[str, Any]:
    cpu = next(
        (line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.processor()
    )
    return {
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": cpu,
        "cores": cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "python": platform.python_version(),
    }


def _cpuinfo() -> Iterable[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else ()
