"""Keras 2: functions of the backend, which run the updates that they are given and no others."""

import os
import sys
import tempfile
from typing import Any, Callable, Dict, Optional

import numpy as np

from crosscheck.probe.adapter import Array, Network
from crosscheck.probe.keras_layers import Layers, Maker, Place, from_keras
from crosscheck.probe.modes import Call, Make, Norm, Table
from crosscheck.runtimes.keras import contracts

TABLE = Table("k-function.eval", "k-function.train", until="2.3.1")


#: Every operator in Python, so that no C++ compiler is needed; a check would refuse convolutions for being slow then.
THEANO_FLAGS = "floatX=float32,device=cpu,cxx=,optimizer_excluding=AbstractConvCheck,base_compiledir={}"


class Functional:
    """A functional model of Keras 2, in the default graph of its backend."""

    def __init__(self, keras: Any, network: Network, shares: Optional["Functional"], norm: Norm) -> None:
        self.keras = keras
        self.layers: Layers = shares.layers if shares else {}
        self.calls: Dict[str, Call] = {}
        maker = Maker(keras, pad, network, self.layers, norm)
        self.net = maker.model(network.graph)
        for layer, values in maker.fresh:
            layer.set_weights([self.flipped(value) for value in values])
        self.places: Dict[str, Place] = maker.places
        self.output_shape = (network.batch,) + tuple(network.graph["outputs"][0]["shape"][1:])
        self.cotangent = keras.backend.placeholder(ndim=len(self.output_shape))
        self.answer = self.function([self.net.input], self.net.output, 0)

    def gradients(self, y: Any) -> Any:
        """`K.gradients` of the scalar loss; a list or, where the backend gives none, a tensor."""
        dx = self.keras.backend.gradients(self.keras.backend.sum(y * self.cotangent), self.net.input)
        return dx[0] if isinstance(dx, (list, tuple)) else dx

    def function(self, inputs: Any, output: Any, phase: Optional[int], **keywords: Any) -> Callable[..., Any]:
        """`K.function`; phase is fed to the learning phase, unless it is None."""
        backend = self.keras.backend
        given = [] if phase is None else [backend.learning_phase()]
        function = backend.function(list(inputs) + given, [output], **keywords)
        return lambda *values: function(list(values) + ([] if phase is None else [phase]))[0]

    def predict(self, x: Any) -> Any:
        """The output with learning phase 0."""
        return self.answer(x)

    def state(self) -> Dict[str, Array]:
        """All weights, and the layers' flags."""
        found = self.parameters()
        found["trainable"] = np.array([bool(layer.trainable) for layer in self.layers.values()], np.int64)
        return found

    def parameters(self) -> Dict[str, Array]:
        """What `weights` shows: the statistics, too."""
        values = self.keras.backend.batch_get_value([place.variable for place in self.places.values()])
        return {
            name: from_keras(self.places[name].attribute, self.flipped(value))
            for name, value in zip(self.places, values)
        }

    def flipped(self, value: Array) -> Array:
        """A kernel as the backend has it, or back: Theano's convolutions turn it round, as `convert_kernel` says."""
        if value.ndim < 3 or not backend_is("theano"):
            return value
        return np.array(self.keras.utils.conv_utils.convert_kernel(value))


def set_up_theano() -> None:
    """What Theano is to know before it is imported: its flags, and a folder of its own for compiled code."""
    os.environ["THEANO_FLAGS"] = THEANO_FLAGS.format(tempfile.mkdtemp(dir=os.getcwd()))
    # Graphs of deep networks are walked and pickled by recursion.
    sys.setrecursionlimit(20000)


def backend_is(name: str) -> bool:
    """Whether Keras runs on it."""
    return os.environ.get("KERAS_BACKEND") == name


def pad(x: Any, pads: Any, value: float) -> Any:
    """The backend's own, for Keras 2 has none with a value."""
    if backend_is("theano"):
        from theano import tensor

        shape = [x.shape[axis] + sum(pair) for axis, pair in enumerate(pads)]
        inside = tuple(slice(pair[0], pair[0] + x.shape[axis]) for axis, pair in enumerate(pads))
        return tensor.set_subtensor(tensor.alloc(np.float32(value), *shape)[inside], x)
    import tensorflow as tf

    return tf.pad(x, pads, constant_values=value)


def freeze(model: Functional) -> None:
    """The whole network."""
    model.net.trainable = False


def asked(phase: int, updates: bool) -> Make:
    """The gradient as a function of the backend, with the model's updates or without."""

    def make(model: Functional) -> Call:
        keywords = {"updates": model.net.updates} if updates else {}
        inputs = [model.net.input, model.cotangent]
        function = model.function(inputs, model.gradients(model.net.output), phase, **keywords)
        return lambda x, cotangent, between: function(x, cotangent)

    return make


FUNCTION = (
    "dx, = K.gradients(K.sum(net.output * cotangent), net.input)\n"
    "K.function([net.input, cotangent, K.learning_phase()], [dx]{})([..., ..., {}])"
)
UPDATES = ", updates=net.updates"
for name, intent, phase, updates, frozen, contract in (
    ("train", "training", 1, False, False, contracts.BACKEND_FUNCTION),
    ("train.updates", "training", 1, True, False, contracts.BACKEND_UPDATES),
    ("eval", "inference", 0, False, False, contracts.BACKEND_INFERENCE),
    ("eval.updates", "inference", 0, True, False, contracts.BACKEND_UPDATES_EVAL),
    ("trainable-false.train", "inference", 1, False, True, contracts.KERAS_2_FROZEN),
    ("trainable-false.train.updates", "inference", 1, True, True, contracts.KERAS_2_FROZEN),
):
    TABLE.mode(
        "k-function." + name,
        intent,
        ("net.trainable = False\n" if frozen else "") + FUNCTION.format(UPDATES if updates else "", phase),
        contract,
        default=True,
        prepare=freeze if frozen else None,
    )(asked(phase, updates))


def called(half: str) -> Make:
    """The model called with `training`, the learning phase fed as the other one."""

    def make(model: Functional) -> Call:
        y = model.net(model.net.input, training=half == "train")
        function = model.function([model.net.input, model.cotangent], model.gradients(y), int(half != "train"))
        return lambda x, cotangent, between: function(x, cotangent)

    return make


CALLED = (
    "y = net(net.input, training={})\ndx, = K.gradients(K.sum(y * cotangent), net.input)\n"
    "K.function([net.input, cotangent, K.learning_phase()], [dx])([..., ..., {}])"
)
for half, intent in (("train", "training"), ("eval", "inference")):
    TABLE.mode(
        "k-function.called-" + half,
        intent,
        CALLED.format(half == "train", int(half != "train")),
        contracts.BACKEND_FUNCTION if half == "train" else contracts.BACKEND_INFERENCE,
    )(called(half))
TABLE.mode("session.predict", "inference", "net.predict(x)", contracts.PREDICT, "prediction", default=True)(
    lambda model: model.net.predict
)


def by_method(method: str) -> Make:
    """A learning rate of 0, and a loss that keeps what it was shown in a variable of the backend."""

    def make(model: Functional) -> Call:
        backend = model.keras.backend
        seen = backend.zeros(model.output_shape)

        def loss(target: Any, y: Any) -> Any:
            if backend_is("theano"):
                seen.default_update = y
                return (target * y).sum(axis=1) + 0 * seen.sum()
            import tensorflow as tf

            with tf.control_dependencies([tf.assign(seen, y)]):
                return tf.reduce_sum(target * y, 1)

        model.net.compile(optimizer=model.keras.optimizers.SGD(0.0), loss=loss)

        def ask(x: Any) -> Any:
            getattr(model.net, method)(x, np.ones(model.output_shape, np.float32))
            return backend.get_value(seen)

        return ask

    return make


METHOD = "net.compile(keras.optimizers.SGD(0.0), loss)\nnet.{}(x, ones)"
for name, method, frozen, intent, contract in (
    ("test-on-batch", "test_on_batch", False, "inference", contracts.EVALUATE),
    ("train-on-batch.learning-rate-0", "train_on_batch", False, "training", contracts.TRAIN_ON_BATCH),
    ("trainable-false.train-on-batch.learning-rate-0", "train_on_batch", True, "inference", contracts.KERAS_2_FROZEN),
):
    TABLE.mode(
        "session." + name,
        intent,
        ("net.trainable = False\n" if frozen else "") + METHOD.format(method),
        contract,
        "prediction",
        default=True,
        prepare=freeze if frozen else None,
    )(by_method(method))


@TABLE.mode(
    "export.h5",
    "inference",
    "net.save('network.h5')\nkeras.models.load_model('network.h5')",
    contracts.SAVED,
    "export",
    default=True,
)
def file(model: Functional) -> Call:
    """The whole model in one file."""

    def export(folder: str) -> Any:
        path = os.path.join(folder, "network.h5")
        model.net.save(path)
        return model.keras.models.load_model(path)

    return export
