"""Writes a network to a folder as input of the probe: JSON, .npz and ONNX, nothing pickled."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

import numpy as np
import onnx

from crosscheck.cells import Array
from crosscheck.networks.dialects import DIALECTS, build_dialect, unwritable
from crosscheck.networks.forms import FORMS, build_model
from crosscheck.networks.network import Network
from crosscheck.networks.onnx_files import file_forms
from crosscheck.networks.readout import readout
from crosscheck.whole_files import whole

__all__ = ["noise", "prepared", "write_arrays", "write_form"]

#: Calls of scenario `twenty`.
STEPS = 20
#: The seed of its noise.
NOISE_SEED = 2017


def prepared(network: Network, folder: Path, forms: Iterable[str] = ()) -> None:
    """Write `graph.json`, `weights.npz`, `inputs.npz` and `<form>.onnx` for each of `forms`; make `folder` if missing.

    `inputs.npz` has `x` and `cotangent`, where a row of the output is a vector `classes` (`Network.classes_asked`),
    for a classifier also `images` and `noise`, (20, *x.shape): the probe input plus uniform noise in [0, 1). A
    classifier also gets the folder `readout`, with the same files for the network of scenario `ascent`. Equal
    networks give equal bytes. An exported file has separate forms (`file_forms`). Links to the parts of a user's
    file in another format are in the folder `native`.
    Raises KeyError for an unknown form.
    """
    forms = tuple(forms)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "graph.json").write_text(json.dumps(network.graph, indent=1) + "\n", encoding="utf-8")
    write_arrays(folder / "weights.npz", network.weights)
    inputs = {"x": network.x, "cotangent": network.cotangent}
    if network.classes_asked is not None:
        inputs["classes"] = network.classes_asked
    if network.images is not None:
        inputs |= {"images": network.images, "noise": noise(network)}
    write_arrays(folder / "inputs.npz", inputs)
    if network.own is not None and network.own.foreign is not None:
        (folder / "native").mkdir(exist_ok=True)
        for name, part in network.own.foreign.parts.items():
            (folder / "native" / name).symlink_to(part.resolve())
    if network.file is not None:
        for name, model in file_forms(network).items():
            onnx.save(model, folder / f"{name}.onnx")
        (folder / "file.onnx").write_bytes(network.file.content)
        return
    for name in forms:
        if not unwritable(network.graph, name):  # the plan asks no cell about others
            write_form(network, name, folder)
    if network.target is not None:
        prepared(readout(network, network.target), folder / "readout", forms)


def write_form(network: Network, name: str, folder: Path) -> None:
    """Write one form or dialect to `folder`, unless it is there. Raises KeyError for an unknown one."""
    path = folder / f"{name}.onnx"
    if path.exists():
        return
    dialect = DIALECTS.get(name)
    if dialect is None:
        model = build_model(network.graph, network.weights, FORMS[name])
    else:
        model = build_dialect(network.graph, network.weights, dialect)
    with whole(path) as unfinished:
        onnx.save(model, unfinished, "protobuf")


def noise(network: Network) -> Array:
    """The probe input plus uniform noise in [0, 1), float32 (20, *x.shape): the inputs of scenario `twenty`."""
    drawn = np.random.default_rng(NOISE_SEED).random((STEPS, *network.x.shape), np.float32)
    result: Array = network.x + drawn
    return result


def write_arrays(path: Path | IO[bytes], arrays: Mapping[str, Array], packed_from: int = 0) -> None:
    """Write an .npz with arbitrary file names as keys, whose bytes depend on the arrays only.

    Arrays of `packed_from` bytes or more are compressed.
    """
    with zipfile.ZipFile(path, "w") as file:
        for name, value in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")  # dated 1980, unlike ZipFile.write's entries
            entry.compress_type = zipfile.ZIP_DEFLATED if value.nbytes >= packed_from else zipfile.ZIP_STORED
            with file.open(entry, "w") as member:
                np.lib.format.write_array(member, np.asarray(value), version=(1, 0), allow_pickle=False)
