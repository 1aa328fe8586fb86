"""Keras models in a graph: functions of the backend, which run the updates that they are given and no others."""

from typing import Any, Callable, Dict, Mapping, Optional

import numpy as np

from crosscheck.probe.adapter import Array, Network
from crosscheck.probe.keras_layers import Layers, Maker, Place, from_keras
from crosscheck.probe.modes import Call, Make, Table
from crosscheck.runtimes.tensorflow import contracts
from crosscheck.runtimes.tensorflow.graph_networks import Home, version_1
from crosscheck.runtimes.tensorflow.graphs import LAST

TABLE = Table(inference="k-function.eval", training="k-function.train", until=LAST, kind="session")


class Session:
    """A functional model of `tf.keras`, in a graph of its own, whose session is the backend's."""

    def __init__(self, tf: Any, network: Network, shares: Optional["Session"], norm: Mapping[str, Any]) -> None:
        self.tf = version_1(tf)
        self.keras = self.tf.keras
        self.home: Home = shares.home if shares else Home(self.tf)
        self.layers: Layers = shares.layers if shares else {}
        self.calls: Dict[str, Call] = {}
        self.rows = network.batch
        self.output = network.graph["outputs"][0]["shape"][1:]
        with self.home.graph.as_default():
            self.keras.backend.set_session(self.home.session)
            maker = Maker(
                self.keras,
                lambda x, pads, value: self.tf.pad(x, pads, constant_values=value),
                network,
                self.layers,
                norm,
            )
            self.net = maker.model(network.graph)
            self.places: Dict[str, Place] = maker.places
            for layer, values in maker.fresh:
                layer.set_weights(values)
            self.cotangent = self.tf.placeholder(self.tf.float32, [None] + self.output)
            self.answer = self.function([self.net.input], self.net.output, 0)

    def gradients(self, y: Any) -> Any:
        """`K.gradients` of the scalar loss."""
        (dx,) = self.keras.backend.gradients(self.keras.backend.sum(y * self.cotangent), self.net.input)
        return dx

    def function(self, inputs: Any, output: Any, phase: Optional[int], **keywords: Any) -> Callable[..., Any]:
        """`K.function`; phase is fed to the learning phase, unless it is None."""
        backend = self.keras.backend
        given = [] if phase is None else [backend.learning_phase()]
        function = backend.function(list(inputs) + given, [output], **keywords)

        def call(*values: Any) -> Any:
            with self.home.graph.as_default():
                backend.set_session(self.home.session)
                return function([np.array(value) for value in values] + ([] if phase is None else [phase]))[0]

        return call

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
        values = self.home.session.run({name: place.variable for name, place in self.places.items()})
        return {name: from_keras(self.places[name].attribute, value) for name, value in values.items()}


FUNCTION = (
    "dx, = K.gradients(K.sum(net.output * cotangent), net.input)\n"
    "K.function([net.input, cotangent, K.learning_phase()], [dx]{})([..., ..., {}])"
)


def freeze(tf: Any, model: Session) -> None:
    """The whole network."""
    model.net.trainable = False


def asked(phase: Optional[int], updates: bool) -> Make:
    """The gradient as a function of the backend, with the model's updates or without."""

    def make(tf: Any, model: Session) -> Call:
        with model.home.graph.as_default():
            keywords = {"updates": model.net.get_updates_for(model.net.inputs)} if updates else {}
            function = model.function(
                [model.net.input, model.cotangent], model.gradients(model.net.output), phase, **keywords
            )
        return lambda x, cotangent, between: function(x, cotangent)

    return make


UPDATES = ", updates=net.get_updates_for(net.inputs)"
for name, intent, phase, updates, frozen, contract in (
    ("train", "training", 1, False, False, contracts.BACKEND_FUNCTION),
    ("train.updates", "training", 1, True, False, contracts.BACKEND_UPDATES),
    ("eval", "inference", 0, False, False, contracts.BACKEND_INFERENCE),
    ("eval.updates", "inference", 0, True, False, contracts.BACKEND_INFERENCE),
    ("trainable-false.train", "inference", 1, False, True, contracts.KERAS_FROZEN),
    ("trainable-false.train.updates", "inference", 1, True, True, contracts.KERAS_FROZEN),
):
    TABLE.mode(
        "k-function." + name,
        intent,
        ("net.trainable = False\n" if frozen else "") + FUNCTION.format(UPDATES if updates else "", phase),
        contract,
        default=not frozen and name != "eval.updates",
        prepare=freeze if frozen else None,
    )(asked(phase, updates))
TABLE.mode(
    "k-function.unset",
    "inference",
    FUNCTION.replace(", K.learning_phase()", "").format("", "").replace(", ])", "])"),
    contracts.BACKEND_UNSET,
)(asked(None, False))


def called(half: str) -> Make:
    """The model called with `training`, the learning phase fed as the other one."""

    def make(tf: Any, model: Session) -> Call:
        with model.home.graph.as_default():
            y = model.net(model.net.input, training=half == "train")
            inputs = [model.net.input, model.cotangent]
            function = model.function(inputs, model.gradients(y), int(half != "train"))
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
        since="1.15",
    )(called(half))


def phase_set(phase: int) -> Make:
    """The learning phase made a number before the layers are called."""

    def make(tf: Any, model: Session) -> Call:
        backend = model.keras.backend
        with model.home.graph.as_default():
            backend.set_learning_phase(phase)
            y = model.net(model.net.input)
            function = model.function([model.net.input, model.cotangent], model.gradients(y), None)
        return lambda x, cotangent, between: function(x, cotangent)

    return make


for phase, half, intent in ((1, "train", "training"), (0, "eval", "inference")):
    TABLE.mode(
        "k-function.set-learning-phase." + half,
        intent,
        "K.set_learning_phase({})\ny = net(net.input)\ndx, = K.gradients(K.sum(y * cotangent), net.input)\n"
        "K.function([net.input, cotangent], [dx])([..., ...])".format(phase),
        contracts.LEARNING_PHASE,
    )(phase_set(phase))


@TABLE.mode("keras-session.predict", "inference", "net.predict(x)", contracts.PREDICT, "prediction")
def predict(tf: Any, model: Session) -> Call:
    """The model's own method."""

    def ask(x: Any) -> Any:
        with model.home.graph.as_default():
            model.keras.backend.set_session(model.home.session)
            return model.net.predict(np.array(x))

    return ask


def by_method(method: str) -> Make:
    """A learning rate of 0, and a loss that keeps what it was shown."""

    def make(tf: Any, model: Session) -> Call:
        v1 = model.tf
        with model.home.graph.as_default():
            seen = v1.Variable(v1.zeros([model.rows] + model.output), trainable=False)
            model.home.session.run(seen.initializer)

            def loss(target: Any, y: Any) -> Any:
                with v1.control_dependencies([v1.assign(seen, y)]):
                    return v1.reduce_sum(target * y, 1)

            model.net.compile(optimizer=model.keras.optimizers.SGD(0.0), loss=loss)

        def ask(x: Any) -> Any:
            with model.home.graph.as_default():
                model.keras.backend.set_session(model.home.session)
                getattr(model.net, method)(np.array(x), np.ones([model.rows] + model.output, np.float32))
                return model.home.session.run(seen)

        return ask

    return make


METHOD = "net.compile(tf.keras.optimizers.SGD(0.0), loss)\nnet.{}(x, ones)"
for name, method, frozen, intent, contract in (
    ("test-on-batch", "test_on_batch", False, "inference", contracts.EVALUATE),
    ("train-on-batch.learning-rate-0", "train_on_batch", False, "training", contracts.TRAIN_ON_BATCH),
    ("trainable-false.train-on-batch.learning-rate-0", "train_on_batch", True, "inference", contracts.KERAS_FROZEN),
):
    TABLE.mode(
        "keras-session." + name,
        intent,
        ("net.trainable = False\n" if frozen else "") + METHOD.format(method),
        contract,
        "prediction",
        default=name.startswith("train-on"),
        prepare=freeze if frozen else None,
    )(by_method(method))
