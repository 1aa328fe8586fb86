"""Batch renormalization: layers that keep more averages, which correct in training what the batch's statistics do.

All of them are tensors of the network, which was trained for long: its further averages hold what the moving statistics
do.
"""

from typing import Any, Dict

import numpy as np

from crosscheck.probe.adapter import Array
from crosscheck.probe.modes import Table
from crosscheck.runtimes.tensorflow import contracts, graphs
from crosscheck.runtimes.tensorflow.eager import CALLS, TAPE, TRACED, Eager, at_once, traced
from crosscheck.runtimes.tensorflow.eager import TABLE as EAGER
from crosscheck.runtimes.tensorflow.graph_networks import Graph

NORM = {"renorm": True}
TABLE = Table(inference=EAGER.inference, training=EAGER.training, since="2.0", kind="eager")
LAYERS = Table(inference="graph.eval", training="graph.train", until=graphs.LAST, kind="layers")
CONTRIB = Table(inference="contrib.eval", training="contrib.train", until=graphs.LAST_CONTRIB, kind="contrib")
TABLES = (TABLE, LAYERS, CONTRIB)


def held(mean: Array, variance: Array, epsilon: float) -> Dict[str, Array]:
    """What the further variables of a layer hold that was trained for long; a release has some of them."""
    spread = np.sqrt(variance + np.float32(epsilon))
    one = np.ones((), np.float32)
    return {
        "moving_stddev": spread,
        "renorm_mean": mean,
        "renorm_mean_weight": one,
        "renorm_stddev": spread,
        "renorm_stddev_weight": one,
    }


def trained_layers(tf: Any, model: Eager) -> None:
    """Give the further variables of Keras layers what training would have given them."""
    for layer in model.net.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            mean, variance = np.array(layer.moving_mean), np.array(layer.moving_variance)
            for name, value in held(mean, variance, layer.epsilon).items():
                if hasattr(layer, name):
                    getattr(layer, name).assign(value)


def trained_graph(tf: Any, model: Graph) -> None:
    """The same for variables of a graph."""
    weights = model.network.weights
    here = {variable.op.name: variable for variable in model.hidden}
    norms = [node for node in model.network.graph["nodes"] if node["op"] == "BatchNormalization"]
    with model.home.graph.as_default():
        for node in norms:
            mean, variance = (weights[name] for name in node["inputs"][3:5])
            for name, value in held(mean, variance, node["attributes"]["epsilon"]).items():
                variable = here.get("{}/{}".format(model.scope(node), name))
                if variable is not None:
                    variable.load(value, model.session)


NET = "net = ...  # its layers are tf.keras.layers.BatchNormalization(renorm=True)\n"
for name, text, make in (("tape", TAPE, at_once), ("function", TRACED.replace("{}", "@tf.function", 1), traced())):
    for half, intent, contract in (
        ("train", "training", contracts.RENORM),
        ("eval", "inference", contracts.RENORM_INFERENCE),
    ):
        TABLE.mode(
            "{}-renorm.{}".format(name, half),
            intent,
            NET + text.format(CALLS[half]),
            contract,
            norm=NORM,
            prepare=trained_layers,
        )(make(half))
graphs.modes(
    LAYERS,
    "graph-renorm",
    graphs.LAYER.format(", renorm=True"),
    contracts.UPDATE_OPS_LEFT,
    contracts.LAYERS_RENORM,
    contracts.LAYERS_RENORM_INFERENCE,
    norm=NORM,
    hows=("alone", "update-ops"),
    prepare=trained_graph,
)
graphs.modes(
    CONTRIB,
    "contrib-renorm",
    graphs.CONTRIB_LAYER.format(", renorm=True"),
    contracts.CONTRIB_COLLECTED,
    contracts.CONTRIB_RENORM,
    contracts.CONTRIB_RENORM_INFERENCE,
    norm=NORM,
    hows=("alone", "update-ops"),
    prepare=trained_graph,
)
