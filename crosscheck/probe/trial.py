"""Runs one trial in this process and leaves its observation in a folder."""

import contextlib
import ctypes
import json
import os
import sys
import time
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional

import numpy as np

from crosscheck.probe.adapter import Adapter, Array, Network
from crosscheck.probe.recorder import EXIT_LACKING, MachineLacks, Recorder, StepFailed, machine_errors, message
from crosscheck.probe.steps import Trial

#: The parameter of glibc's `mallopt` (malloc.h), and the byte whose complement fills new memory.
M_PERTURB = -6
FILLING = 0xA5


class Material(NamedTuple):
    """What the host laid into a network's folder, read once by the server and inherited by every trial."""

    network: Network
    readout: Optional[Network]
    inputs: Mapping[str, Array]


def load_material(folder: str) -> Material:
    """Read a network's folder: `graph.json`, `weights.npz`, `inputs.npz`, `<form>.onnx`, `native/`; `readout/` too."""
    readout = os.path.join(folder, "readout")
    return Material(
        network=load_network(folder),
        readout=load_network(readout) if os.path.isdir(readout) else None,
        inputs=load_arrays(os.path.join(folder, "inputs.npz")),
    )


def run(adapter: Adapter, material: Material, request: Dict[str, Any]) -> None:
    """Carry out `request` ({"out": folder, "steps", "modes": role -> the mode's fields, "program", "fills_memory"}).

    Leaves `end.json` ({"status", "reason", "seconds", "cpu_seconds"}) in `out` beside what the recorder wrote.
    Its absence means that the process died. `seconds` is what the steps took, from the first one on.
    """
    out = request["out"]
    if request.get("fills_memory"):
        fill_memory()
    recorder = Recorder(out)
    places = dict(request["program"], scratch=out, kept=os.path.dirname(out))
    folder = request["network"]
    networks = {"network": material.network._replace(onnx=forms_in(folder), **places)}
    if material.readout is not None:
        networks["readout"] = material.readout._replace(onnx=forms_in(os.path.join(folder, "readout")), **places)
    trial = Trial(adapter, recorder, request["modes"], networks, material.inputs)
    start, start_cpu = time.perf_counter(), time.process_time()
    status = "ok"
    reason: Optional[str] = None
    try:
        trial.run(request["steps"])
    except StepFailed as failure:
        problem = failure.problem
        reason = "{}: {}".format(failure.label, message(problem))
        if isinstance(problem, MemoryError):
            status = "out-of-memory"
        elif not trial.asked:
            status = "refused"
    end = {
        "status": status,
        "reason": reason,
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - start_cpu,
    }
    recorder.close()
    write_end(out, end)


def fill_memory() -> None:
    """Have glibc's allocator fill what it hands out from now on, as `MALLOC_PERTURB_` does; nothing with another."""
    allocator = ctypes.CDLL(None)
    if hasattr(allocator, "mallopt"):
        allocator.mallopt(M_PERTURB, FILLING)


def run_alone(load_adapter: Callable[[], Adapter], request: Dict[str, Any]) -> None:
    """The same in an interpreter that has imported nothing yet; a runtime that cannot be imported is a status."""
    code = 0
    try:
        try:
            adapter = load_adapter()
            adapter.load()
        except Exception as problem:
            write_end(request["out"], {"status": "import-failed", "reason": message(problem)})
        else:
            run(adapter, load_material(request["network"]), request)
    except MachineLacks as lack:
        code = EXIT_LACKING
        with contextlib.suppress(OSError):
            os.write(2, (message(lack) + "\n").encode("utf-8", "replace"))
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)  # as in a forked trial: exit handlers of a runtime are not what is measured


def write_end(out: str, end: Dict[str, Any]) -> None:
    """How the trial ended."""
    with machine_errors(), open(os.path.join(out, "end.json"), "w") as file:
        json.dump(end, file)


def load_network(folder: str) -> Network:
    """The network in `folder`; its files, its scratch folder and the one beside it are the trial's to fill in."""
    with open(os.path.join(folder, "graph.json")) as file:
        graph = json.load(file)
    batch = len(load_arrays(os.path.join(folder, "inputs.npz"))["x"])
    weights = load_arrays(os.path.join(folder, "weights.npz"))
    return Network(graph=graph, weights=weights, onnx={}, batch=batch, scratch="", kept="")


def forms_in(folder: str) -> Dict[str, str]:
    """The ONNX files in a network's folder, by form, and the parts of a user's file in another format, by name.

    The host may write one after the folder was first read.
    """
    forms = {name[: -len(".onnx")]: os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".onnx")}
    native = os.path.join(folder, "native")
    parts = os.listdir(native) if os.path.isdir(native) else []
    return dict(forms, **{name: os.path.join(native, name) for name in parts})


def load_arrays(path: str) -> Dict[str, Array]:
    """Every array of an .npz, none of them pickled."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
