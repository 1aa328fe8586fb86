"""A network as source text: a Keras model, executed at once or in a graph, or functions of `tf.layers` in a graph."""

from __future__ import annotations

import dataclasses
from textwrap import indent

from packaging.version import Version

from crosscheck.runtimes.family.keras import TENSORFLOW_OPERATORS, Dialect, functional, targets
from crosscheck.runtimes.family.keras_texts import CALLS, LOOKS
from crosscheck.runtimes.source import Request, Source
from crosscheck.runtimes.tensorflow import layers
from crosscheck.runtimes.tensorflow.own import SERVED

__all__ = ["TRAINS", "source"]

TRAINS = True

KERAS = Dialect("tf.keras.Model", "tf.pad(x, {pads}, constant_values={value})", library=TENSORFLOW_OPERATORS)
#: Kind -> the name of a user's file, what loads it, and its documented prediction.
OWN = {
    "eager": (
        "network.keras",
        'net = tf.keras.models.load_model("network.keras", compile=False, safe_mode={})\n',
        f"y = {CALLS['eval']}\n",
    ),
    "served": (
        "saved",
        'net = tf.saved_model.load("saved")\n'
        'serve = net.signatures["serving_default"]\n'
        "name, = serve.structured_input_signature[1]\n",
        SERVED,
    ),
}
#: One step of plain gradient descent.
TRAIN = """\
with tf.GradientTape() as tape:
    loss = tf.reduce_sum(net(x, training=True) * cotangent)
for variable, gradient in zip(net.trainable_variables, tape.gradient(loss, net.trainable_variables)):
    variable.assign_sub(0.01 * gradient)
"""
#: What users do with a model later. The norm of a gradient is differentiated by those who keep it small.
REUSE = {
    "save": 'net.save_weights("net.weights.h5")\n',
    "load": 'net.load_weights("net.weights.h5")\n',
    "copy": "tf.keras.models.clone_model(net)\n",
    "differentiate-twice": """\
with tf.GradientTape() as outer:
    outer.watch(x)
    with tf.GradientTape() as inner:
        inner.watch(x)
        loss = tf.reduce_sum(tf.nn.log_softmax(net(x, training=False)) * cotangent)
    norm = tf.norm(inner.gradient(loss, x))
dx = outer.gradient(norm, x)
""",
}
#: The same in a graph, where nothing updates the statistics by itself.
TRAIN_SESSION = """\
loss = tf.reduce_sum(net.output * cotangents)
step = tf.train.GradientDescentOptimizer(0.01).minimize(loss, var_list=net.trainable_weights)
session.run([step, net.updates], {net.input: x, cotangents: cotangent, K.learning_phase(): 1})
"""
#: Since 2.0 images are resized by the centres of their pixels.
CENTRES = {"Resize (linear, half_pixel)": 'tf.image.resize({x}, {sizes}, "bilinear")'}
EAGER = dataclasses.replace(
    KERAS,
    library=dataclasses.replace(TENSORFLOW_OPERATORS, functions={**TENSORFLOW_OPERATORS.functions, **CENTRES}),
)
#: Before this release numpy made an object, not numbers, of a variable.
ARRAY_OF_VARIABLE = Version("2.5")
#: A graph that a session executes, in one thread: what runs first is the same every time.
SESSION = """\
graph = tf.Graph()
threads = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
session = tf.Session(graph=graph, config=threads)
"""


def source(request: Request) -> Source:
    """The network in the API that the mode is of."""
    if request.native:
        return own(request)
    if request.kind in ("eager", "trained"):
        return eager(request)
    found = session(request) if request.kind in ("session", "trained-session") else layers.source(request)
    name = "tensorflow" if request.release < Version("2") else "tensorflow.compat.v1"
    imports = found.imports.replace("import tensorflow as", f"import {name} as")
    return dataclasses.replace(found, imports=imports, text=(SESSION if request.first is None else "") + found.text)


def own(request: Request) -> Source:
    """The user's file."""
    name, text, predict = OWN[request.kind]
    return Source(
        imports="import tensorflow as tf\n",
        text=text.format(not request.trusted),
        predict=predict,
        tensor="tf.constant({})",
        array="{}",
        files={name: name},
    )


def eager(request: Request) -> Source:
    """A functional model, whose variables are written at once."""
    text, tensors = functional(request, EAGER)
    if request.kind == "trained":
        text += targets(request)
    return Source(
        imports="import numpy as np\nimport tensorflow as tf\n\nlayers = tf.keras.layers\n",
        text=text,
        predict="y = net(x, training=False)\n",
        tensor="tf.constant({})",
        array="{}" if request.release >= ARRAY_OF_VARIABLE else "tf.convert_to_tensor({}).numpy()",
        train=TRAIN,
        reuse=REUSE,
        looks=LOOKS,
        tensors=tensors,
        public=tuple(tensors),
    )


def session(request: Request) -> Source:
    """A functional model in a graph of its own, whose session is the backend's."""
    text, tensors = functional(request, dataclasses.replace(KERAS, model="tf.keras.models.Model"))
    output = (None, *request.graph["outputs"][0]["shape"][1:])
    text += f"cotangents = tf.placeholder(tf.float32, {output})\n"
    text += "predicting = K.function([net.input, K.learning_phase()], [net.output])\n"
    if request.kind == "trained-session":
        text += targets(request)
    return Source(
        imports="import numpy as np\nimport tensorflow as tf\n\nlayers, K = tf.keras.layers, tf.keras.backend\n",
        text=layers.BLOCK + indent(text, "    "),
        predict=layers.BLOCK + "    y, = predicting([x, 0])\n",
        train=layers.BLOCK + indent(TRAIN_SESSION, "    "),
        looks=LOOKS,
        tensor="{}",
        array="{}",
        tensors={name: (f"session.run({variable})", axes) for name, (variable, axes) in tensors.items()},
        public=tuple(tensors),
    )
