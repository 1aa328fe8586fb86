"""A network as source text: a functional model, on each of the backends of Keras 3 and of Keras 2."""

from __future__ import annotations

from packaging.version import Version

from crosscheck.runtimes.family.keras import TENSORFLOW_OPERATORS, Dialect, functional, targets
from crosscheck.runtimes.family.operators import Library
from crosscheck.runtimes.source import Request, Source

__all__ = ["source"]

#: Keras 3's functions, with channels last.
OPERATORS = Library(
    functions={
        "Clip": "keras.ops.clip({x}, {min}, {max})",
        "Elu": "keras.ops.elu({x}, {alpha})",
        "Erf": "keras.ops.erf",
        "HardSigmoid": "keras.ops.clip({alpha} * {x} + {beta}, 0.0, 1.0)",
        "LeakyRelu": "keras.ops.leaky_relu({x}, {alpha})",
        "Sigmoid": "keras.ops.sigmoid",
        "Softplus": "keras.ops.softplus",
        "Sqrt": "keras.ops.sqrt",
        "Tanh": "keras.ops.tanh",
    },
    array="keras.ops.convert_to_tensor({})",
    transpose="keras.ops.transpose({x}, [{order}])",
    reshape="keras.ops.reshape({x}, [{shape}])",
    mean="keras.ops.mean({x}, axis={axes}, keepdims=True)",
    pad="keras.ops.pad({x}, {widths}, constant_values={value})",
    matmul="keras.ops.matmul({x}, {other})",
    last=True,
)
CURRENT = Dialect("keras.Model", "keras.ops.pad(x, {pads}, constant_values={value})", library=OPERATORS)
TENSORFLOW = Dialect(
    "keras.models.Model",
    "tf.pad(x, {pads}, constant_values={value})",
    read="K.get_value({})",
    library=TENSORFLOW_OPERATORS,
)
#: Theano's convolutions turn the kernel round.
THEANO = Dialect("keras.models.Model", "pad(x, {pads}, {value})", kernel="convert_kernel({})", read="K.get_value({})")

#: Keras 2 pads with zeros alone.
PAD = """\
def pad(x, pads, value):
    shape = [x.shape[axis] + sum(pair) for axis, pair in enumerate(pads)]
    inside = tuple(slice(pair[0], pair[0] + x.shape[axis]) for axis, pair in enumerate(pads))
    return T.set_subtensor(T.alloc(np.float32(value), *shape)[inside], x)

"""
#: A user's file, and what loads it.
FILE = "network.keras"
LOADED = f'net = keras.saving.load_model("{FILE}", compile=False, safe_mode={{}})\n'
#: For modes of kind "trained": the value of y, which is left in a variable.
KEEP = {
    "tensorflow": """\
def keep(variable, y):
    with tf.control_dependencies([tf.assign(variable, y)]):
        return tf.identity(y)

""",
    "theano": """\
def keep(variable, y):
    variable.default_update = y
    return y + 0 * variable

""",
}
#: Theano walks and pickles graphs by recursion, those of deep networks, too.
RECURSION = "sys.setrecursionlimit(20000)\n\n"


def source(request: Request) -> Source:
    """The network for the release's Keras on the variant's backend."""
    backend = request.told.get("backend", "tensorflow")
    return current(request, backend) if request.release >= Version("3") else graph(request, backend)


def current(request: Request, backend: str) -> Source:
    """Keras 3, whose variables are written at once."""
    text, tensors = (LOADED.format(not request.trusted), {}) if request.native else functional(request, CURRENT)
    if request.kind == "trained":
        text += targets(request)
    module = "import tensorflow as tf" if backend == "tensorflow" else f"import {backend}"
    modules = sorted(["import keras", "import numpy as np", module])
    return Source(
        imports="\n".join([*modules, "from keras import layers"]) + "\n",
        text=text,
        predict="y = net(x, training=False)\n",
        tensor="keras.ops.convert_to_tensor({})",
        array="keras.ops.convert_to_numpy({})",
        tensors=tensors,
        public=tuple(tensors),
        files={FILE: FILE} if request.native else {},
    )


def graph(request: Request, backend: str) -> Source:
    """Keras 2, in the default graph of its backend."""
    theano = backend == "theano"
    text, tensors = functional(request, THEANO if theano else TENSORFLOW)
    before = RECURSION if theano and request.first is None else ""
    before += PAD if theano and "pad(x, (" in text else ""
    if request.kind == "trained":
        before += KEEP[backend]
        text += targets(request)
    rank = len(request.graph["outputs"][0]["shape"])
    text += f"cotangents = K.placeholder(ndim={rank})\n"
    text += "predicting = K.function([net.input, K.learning_phase()], [net.output])\n"
    modules = ["keras", "numpy as np", *(["sys"] if theano else ["tensorflow as tf"])]
    names = ["keras import backend as K", "keras import layers"]
    names += ["keras.utils.conv_utils import convert_kernel", "theano import tensor as T"] if theano else []
    lines = [*(f"import {name}" for name in modules), *(f"from {name}" for name in names)]
    return Source(
        imports="\n".join(lines) + "\n",
        text=before + text,
        predict="y, = predicting([x, 0])\n",
        tensor="{}",
        array="{}",
        tensors=tensors,
        public=tuple(tensors),
    )
