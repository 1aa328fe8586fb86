"""Graphs and sessions: the gradient of a network in a graph, with and without the updates that its layers collect."""

import os
from typing import Any, Callable, Optional, Sequence

import numpy as np

from crosscheck.probe.adapter import Contract
from crosscheck.probe.modes import PLAIN, Between, Call, Make, Norm, Table
from crosscheck.runtimes.tensorflow import contracts
from crosscheck.runtimes.tensorflow.graph_networks import Graph

#: The last release whose `tf.compat.v1.layers` work; Keras 3 has none. And the last with `tf.contrib`.
LAST, LAST_CONTRIB = "2.15.1", "1.15.5"

TABLE = Table(inference="graph.eval", training="graph.train", until=LAST, kind="layers")
CONTRIB = Table(inference="contrib.eval", training="contrib.train", until=LAST_CONTRIB, kind="contrib")

ASK = {
    "alone": "session.run(dx, {x: ..., training: %s})",
    "update-ops": (
        "update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)\nsession.run([dx, update_ops], {x: ..., training: %s})"
    ),
    "control": "session.run(dx, {x: ..., training: %s})",
}
GRADIENT = "dx, = tf.gradients(y, x, cotangent)\n"
CONTROLLED = (
    "update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)\n"
    "with tf.control_dependencies(update_ops):\n    dx, = tf.gradients(y, x, cotangent)\n"
)


def asked(how: str, training: bool) -> Make:
    """The gradient alone, beside the updates, or after them."""

    def make(tf: Any, model: Graph) -> Call:
        fetches: Any = {"alone": model.dx, "update-ops": [model.dx, model.updates]}.get(how)
        if how == "control":
            with model.home.graph.as_default(), model.tf.control_dependencies(model.updates):
                (fetches,) = model.tf.gradients(model.y, model.x, model.cotangent)

        def ask(x: Any, cotangent: Any, between: Between) -> Any:
            found = model.run(fetches, x, training, cotangent)
            return found[0] if how == "update-ops" else found

        return ask

    return make


def predicted(how: str, training: bool) -> Make:
    """The output alone, or beside the updates."""

    def make(tf: Any, model: Graph) -> Call:
        fetches = [model.y, model.updates] if how == "update-ops" else [model.y]
        return lambda x: model.run(fetches, x, training)[0]

    return make


def modes(
    table: Table,
    prefix: str,
    layer: str,
    collected: Contract,
    updated: Contract,
    inference: Contract,
    default: bool = False,
    norm: Norm = PLAIN,
    hows: Sequence[str] = ("alone", "update-ops", "control"),
    since: Optional[str] = None,
    prepare: Optional[Callable[..., None]] = None,
) -> None:
    """A way of writing the layer, asked for the gradient in both modes, with the updates and without."""
    for how in hows:
        suffix = {"alone": "", "update-ops": ".update-ops", "control": ".control-dependencies"}[how]
        for training in (True, False):
            contract = inference if not training else collected if how == "alone" else updated
            code = layer + (CONTROLLED if how == "control" else GRADIENT) + ASK[how] % training
            table.mode(
                "{}.{}{}".format(prefix, "train" if training else "eval", suffix),
                "training" if training else "inference",
                code,
                contract,
                since=since,
                default=default and (training or how == "alone") and how != "control",
                norm=norm,
                prepare=prepare,
            )(asked(how, training))


LAYER = "h = tf.layers.batch_normalization(h, training=training{})\n"
modes(
    TABLE,
    "graph",
    LAYER.format(""),
    contracts.UPDATE_OPS_LEFT,
    contracts.UPDATE_OPS,
    contracts.LAYERS_INFERENCE,
    default=True,
)
modes(
    TABLE,
    "graph-trainable-false",
    LAYER.format(", trainable=False"),
    contracts.LAYERS_FROZEN,
    contracts.LAYERS_FROZEN,
    contracts.LAYERS_INFERENCE,
    norm={"trainable": False},
    hows=("alone", "update-ops"),
)
CONTRIB_LAYER = "h = tf.contrib.layers.batch_norm(h, is_training=training{})\n"
modes(
    CONTRIB,
    "contrib",
    CONTRIB_LAYER.format(""),
    contracts.CONTRIB_COLLECTED,
    contracts.CONTRIB_UPDATED,
    contracts.CONTRIB_INFERENCE,
    default=True,
)
modes(
    CONTRIB,
    "contrib-in-place",
    CONTRIB_LAYER.format(", updates_collections=None"),
    contracts.CONTRIB_IN_PLACE,
    contracts.CONTRIB_IN_PLACE,
    contracts.CONTRIB_INFERENCE,
    default=True,
    norm={"updates_collections": None},
    hows=("alone",),
)
modes(
    CONTRIB,
    "contrib-fused",
    CONTRIB_LAYER.format(", updates_collections=None, fused=True"),
    contracts.CONTRIB_IN_PLACE,
    contracts.CONTRIB_IN_PLACE,
    contracts.CONTRIB_INFERENCE,
    norm={"updates_collections": None, "fused": True},
    hows=("alone",),
)
modes(
    CONTRIB,
    "contrib-debiased",
    CONTRIB_LAYER.format(", updates_collections=None, zero_debias_moving_mean=True"),
    contracts.CONTRIB_DEBIASED,
    contracts.CONTRIB_DEBIASED,
    contracts.CONTRIB_INFERENCE,
    norm={"updates_collections": None, "zero_debias_moving_mean": True},
    hows=("alone",),
)
for table, name, layer, collected, updated, inference in (
    (TABLE, "graph", LAYER, contracts.UPDATE_OPS_LEFT, contracts.UPDATE_OPS, contracts.LAYERS_INFERENCE),
    (
        CONTRIB,
        "contrib",
        CONTRIB_LAYER,
        contracts.CONTRIB_COLLECTED,
        contracts.CONTRIB_UPDATED,
        contracts.CONTRIB_INFERENCE,
    ),
):
    for suffix, how, training, contract in (
        ("predict", "alone", False, inference),
        ("forward.train", "alone", True, collected),
        ("forward.train.update-ops", "update-ops", True, updated),
    ):
        words = "session.run({}, {{x: ..., training: {}}})".format(
            "y" if how == "alone" else "[y, update_ops]", training
        )
        table.mode(
            "{}.{}".format(name, suffix),
            "training" if training else "inference",
            layer.format("") + words,
            contract,
            "prediction",
            default=not training and name == "graph",
        )(predicted(how, training))


class Reader:
    """A session that something was read back into: it predicts."""

    def __init__(self, session: Any, x: Any, y: Any) -> None:
        self.session, self.x, self.y = session, x, y

    def predict(self, x: Any) -> Any:
        """The output."""
        return self.session.run(self.y, {self.x: np.array(x)})


def saver(only_trainable: bool) -> Make:
    """A checkpoint, restored into another session, whose other variables are new."""

    def make(tf: Any, model: Graph) -> Call:
        def export(folder: str) -> Reader:
            v1 = model.tf
            with model.home.graph.as_default():
                written = v1.train.Saver(v1.trainable_variables() if only_trainable else None)
                path = written.save(model.session, os.path.join(folder, "network"))
                other = v1.Session(graph=model.home.graph)
                other.run(v1.global_variables_initializer())
                written.restore(other, path)
            return Reader(other, model.x, model.y)

        return export

    return make


SAVER = (
    "saver = tf.train.Saver({})\nsaver.save(session, path)\n"
    "other.run(tf.global_variables_initializer())\nsaver.restore(other, path)"
)
for name, argument, contract in (
    ("export.saver", "", contracts.CHECKPOINT),
    ("export.saver-trainable", "tf.trainable_variables()", contracts.CHECKPOINT_TRAINABLE),
):
    TABLE.mode(name, "inference", SAVER.format(argument), contract, "export", default=not argument)(
        saver(bool(argument))
    )


@TABLE.mode(
    "export.frozen-graph",
    "inference",
    "definition = tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ['y'])\n"
    "tf.import_graph_def(definition)",
    contracts.FROZEN_GRAPH,
    "export",
    default=True,
)
def frozen_graph(tf: Any, model: Graph) -> Call:
    """Variables made constants, written, read into another graph."""

    def export(folder: str) -> Reader:
        v1 = model.tf
        definition = v1.graph_util.convert_variables_to_constants(
            model.session, model.home.graph.as_graph_def(), [model.y.op.name]
        )
        path = os.path.join(folder, "network.pb")
        with open(path, "wb") as file:
            file.write(definition.SerializeToString())
        read = v1.GraphDef()
        with open(path, "rb") as file:
            read.ParseFromString(file.read())
        graph = v1.Graph()
        with graph.as_default():
            x, y = v1.import_graph_def(read, return_elements=[model.x.name, model.y.name])
        return Reader(v1.Session(graph=graph), x, y)

    return export
