# /// script
# requires-python = ">=3.11"
# dependencies = ["crosscheck", "tensorflow==2.21.0"]
#
# [tool.uv.sources]
# crosscheck = { path = "..", editable = true }
# ///
"""Makes models/<name>/network.tflite, the networks as LiteRT reads them, with TensorFlow's converter.

Run `uv run models/make_tflite.py`, for some of the networks with their names; `--out` writes FOLDER/<name>.tflite
instead. A file has the signatures of crosscheck/runtimes/litert/signatures.py, made of the Keras model that
crosscheck's runtime `tensorflow` asks; their variables are resource variables of the file. `--show` prints the programs
instead, which need TensorFlow alone, and the weights.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from textwrap import indent

from crosscheck.cells import Array
from crosscheck.networks import Network, load, names
from crosscheck.networks.readout import readout
from crosscheck.runtimes.catalog import catalog
from crosscheck.runtimes.litert.signatures import FILE, READOUT, SIGNATURES, STATE, statistic
from crosscheck.runtimes.program import Subject, source_of
from crosscheck.runtimes.source import Source

MODELS = Path(__file__).resolve().parent
RELEASE, MODE = "2.21.0", "tape.eval"

#: `rows` is that of the probe, or any for classifiers, which are asked about many images at once: compiled models
#: have no outputs whose shapes are known only when they run (https://github.com/google-ai-edge/LiteRT/issues/5774).
SPECIFICATIONS = """\
X = tf.TensorSpec([rows, *net.input_shape[1:]])
COTANGENT = tf.TensorSpec([rows, *net.output_shape[1:]])
"""
#: LiteRT has no operators for the gradients of Keras's relu and pools; of these it has.
PIECES = {
    'Activation("relu")': "Activation(relu)",
    "layers.MaxPooling2D": "MaxPooling2D",
    "layers.AveragePooling2D": "AveragePooling2D",
    'float("-inf")': "-1e30",
}
DEFINITIONS = """\
def relu(x):
    return tf.maximum(x, 0.0)


def pool(reduce, size, strides):
    \"\"\"A pool whose windows are the channels of a convolution.\"\"\"
    kernel = tf.reshape(tf.eye(size[0] * size[1]), (*size, 1, size[0] * size[1]))

    def pooled(x):
        height, width, channels = x.shape[1:]
        planes = tf.reshape(tf.transpose(x, [0, 3, 1, 2]), [-1, height, width, 1])
        windows = tf.nn.conv2d(planes, kernel, strides, "VALID")
        found = tf.reshape(reduce(windows, 3), [-1, channels, *windows.shape[1:3]])
        return tf.transpose(found, [0, 2, 3, 1])

    return layers.Lambda(pooled)


def MaxPooling2D(size, strides):
    return pool(tf.reduce_max, size, strides)


def AveragePooling2D(size, strides):
    return pool(tf.reduce_mean, size, strides)


"""
#: Keras numbers the layers of a process; a file does not depend on what was made before it.
FIRST_NAMES = "tf.keras.backend.clear_session()"
#: Keras's archive alone tells the converter what the variables hold: a file of `tf.saved_model.save` has no values.
ARCHIVE = """\
archive = tf.keras.export.ExportArchive()
archive.track(net)
"""
CONVERT = f"""\
archive.write_out("saved", verbose=False)
converter = tf.lite.TFLiteConverter.from_saved_model("saved")
converter.experimental_enable_resource_variables = True
with open("{FILE}", "wb") as file:
    file.write(converter.convert())
"""


def program(network: Network) -> str:
    """The program in TensorFlow that makes the file in the working folder; it reads `weights`."""
    source = keras(network)
    rows = None if network.images is not None else len(network.x)
    text = f"{source.imports}\n{FIRST_NAMES}\n\n{DEFINITIONS}{source.text}\n{ARCHIVE}\nrows = {rows}\n\n\n"
    text += "def add_signatures(net, prefix):\n"
    text += indent(SPECIFICATIONS + endpoints(SIGNATURES, "prefix + "), "    ") + '\n\nadd_signatures(net, "")\n'
    statistics = [name for norm in network.batch_norms for name in (norm.mean, norm.variance)]
    if statistics:
        entries = "".join(f'    "{statistic(name)}": {source.tensors[name][0]},\n' for name in statistics)
        text += f"\nstatistics = {{\n{entries}}}\n{endpoints(STATE)}"
    if network.target is not None:
        second = keras(readout(network, network.target), network)
        text += f'\n{second.text}archive.track(net)\nadd_signatures(net, "{READOUT}")\n'
    return f"{text}\n{CONVERT}"


def held(network: Network) -> Mapping[str, Array]:
    """What the program reads: a read-out has its network's weights, too."""
    return network.weights if network.target is None else readout(network, network.target).weights


def keras(network: Network, first: Network | None = None) -> Source:
    """The network in Keras's layers; with `first`, on those of that one."""
    runtime = catalog()["tensorflow"]
    release = next(release for release in runtime.releases if release.version == RELEASE)
    mode = next(mode for mode in runtime.modes if mode.name == MODE)
    first_subject = None if first is None else subject(first)
    source = source_of(runtime, release, release.variants[0], mode, subject(network), first_subject)
    text = source.text
    for name, other in PIECES.items():
        text = text.replace(name, other)
    return replace(source, text=text)


def subject(network: Network) -> Subject:
    """The network as its source text needs it."""
    return Subject(network.graph, network.weights, len(network.x))


def endpoints(definitions: Mapping[str, str], prefix: str = "") -> str:
    """The definitions, each traced, and added to the archive; prefix: an expression for what names begin with."""
    return "".join(
        f'\n{definition}\n{name}.get_concrete_function()\narchive.add_endpoint({prefix}"{name}", {name})\n'
        for name, definition in definitions.items()
    )


def main() -> None:
    """Make the files, or print their programs."""
    words = argparse.ArgumentParser(description="Makes models/<name>/network.tflite.")
    words.add_argument("names", nargs="*", default=names())
    words.add_argument("--show", action="store_true", help="print the programs instead")
    words.add_argument("--out", type=Path, metavar="FOLDER", help="write <name>.tflite to an existing folder instead")
    options = words.parse_args()
    out = options.out and options.out.resolve()
    for name in options.names:
        network = load(name)
        text = program(network)
        if options.show:
            print(text)
            continue
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            Path("make.py").write_text(text, encoding="utf-8")  # TensorFlow reads the source of functions
            exec(compile(text, "make.py", "exec"), {"weights": held(network)})  # noqa: S102 - the text above
            made = Path(FILE).read_bytes()
            os.chdir(MODELS)
        (out / f"{name}.tflite" if out else MODELS / name / FILE).write_bytes(made)
        print(f"{name}: {len(made)} bytes")


if __name__ == "__main__":
    main()
