"""Graphs and sessions: the gradient of a function of layers, with and without the updates that the layers collect."""

from collections.abc import Mapping, Sequence
from typing import Any

from crosscheck.runtimes.family.keras import LEFT_OUT, VIRTUAL_BATCH
from crosscheck.runtimes.mode import Contract, Contracts, Modes

contracts = Contracts(__file__)

#: The last release whose `tf.compat.v1.layers` work; Keras 3 has none. And the last with `tf.contrib`.
LAST, LAST_CONTRIB = "2.15.1", "1.15.5"
#: What is added to a mode's name.
SUFFIX = {"alone": "", "update-ops": ".update-ops", "control": ".control-dependencies"}

GRADIENT = "with graph.as_default():\n    gradient, = tf.gradients(outputs, inputs, cotangents)\n"
CONTROLLED = """\
with graph.as_default(), tf.control_dependencies(update_ops):
    gradient, = tf.gradients(outputs, inputs, cotangents)
"""
FEED = "{{inputs: x, cotangents: cotangent, training: {}}}"


def modes(
    to: Modes,
    prefix: str,
    collected: Contract,
    updated: Contract,
    inference: Contract,
    hows: Sequence[str] = ("alone", "update-ops", "control"),
    norm: Mapping[str, Any] | None = None,
    default: bool = False,
    **more: Any,
) -> None:
    """A way of writing the layer, asked for the gradient in both modes: alone, beside the updates, or after them.

    more: fields of the modes. Layers that answer otherwise than others are compared with themselves.
    """
    for how in hows:
        for training in (True, False):
            feed = FEED.format(training)
            beside = f"dx, _ = session.run([gradient, update_ops], {feed})\n"
            to.gradient(
                f"{prefix}.{'train' if training else 'eval'}{SUFFIX[how]}",
                "training" if training else "inference",
                inference if not training else collected if how == "alone" else updated,
                beside if how == "update-ops" else f"dx = session.run(gradient, {feed})\n",
                once=CONTROLLED if how == "control" else GRADIENT,
                norm=norm or {},
                default=default and (training or how == "alone") and how != "control",
                **own(prefix, training) if more else {},
                **more,
            )


def own(prefix: str, training: bool) -> dict[str, str | None]:
    """The modes with which those of a layer are compared that answers otherwise than others."""
    return {"inference": f"{prefix}.eval", "training": None if training else f"{prefix}.train"}


def predictions(to: Modes, prefix: str, collected: Contract, updated: Contract, inference: Contract) -> None:
    """The output alone, or beside the updates."""
    for name, contract, fetches, training in (
        ("predict", inference, "outputs", False),
        ("forward.train", collected, "outputs", True),
        ("forward.train.update-ops", updated, "[outputs, update_ops]", True),
    ):
        to.prediction(
            f"{prefix}.{name}",
            "training" if training else "inference",
            contract,
            f"y{', _' * fetches.startswith('[')} = session.run({fetches}, {{inputs: x, training: {training}}})\n",
            default=not training and prefix == "graph",
        )


def of_layers(since: str | None = None, until: str = LAST) -> Modes:
    """A collection of modes of `tf.layers`."""
    return Modes(inference="graph.eval", training="graph.train", kind="layers", since=since, until=until)


def of_contrib() -> Modes:
    """A collection of modes of `tf.contrib.layers`."""
    return Modes(inference="contrib.eval", training="contrib.train", kind="contrib", until=LAST_CONTRIB)


LAYERS, CONTRIB = of_layers(), of_contrib()
RENORMALIZED, CONTRIB_RENORMALIZED = of_layers(), of_contrib()
OF_LAYERS = (contracts.UPDATE_OPS_LEFT, contracts.UPDATE_OPS, contracts.LAYERS_INFERENCE)
OF_CONTRIB = (contracts.CONTRIB_COLLECTED, contracts.CONTRIB_UPDATED, contracts.CONTRIB_INFERENCE)
IN_PLACE = (contracts.CONTRIB_IN_PLACE, contracts.CONTRIB_IN_PLACE, contracts.CONTRIB_INFERENCE)
DEBIASED = (contracts.CONTRIB_DEBIASED, contracts.CONTRIB_DEBIASED, contracts.CONTRIB_INFERENCE)
FROZEN = (contracts.LAYERS_FROZEN, contracts.LAYERS_FROZEN, contracts.LAYERS_INFERENCE)

modes(LAYERS, "graph", *OF_LAYERS, default=True)
modes(LAYERS, "graph-trainable-false", *FROZEN, hows=("alone", "update-ops"), norm={"trainable": False})
at_once: dict[str, Any] = {"updates_collections": None}
modes(CONTRIB, "contrib", *OF_CONTRIB, default=True)
modes(CONTRIB, "contrib-in-place", *IN_PLACE, hows=("alone",), norm=at_once, default=True)
modes(CONTRIB, "contrib-fused", *IN_PLACE, hows=("alone",), norm=at_once | {"fused": True})
modes(CONTRIB, "contrib-debiased", *DEBIASED, hows=("alone",), norm=at_once | {"zero_debias_moving_mean": True})
TOLD, CONTRIB_TOLD = of_layers(), of_contrib()
# TensorFlow 1.4 has no virtual batches, and no fused layer of two axes.
for name, fields in {
    **LEFT_OUT,
    "fused-false": {"norm": {"fused": False}},
    "virtual-batch": {"norm": VIRTUAL_BATCH, "since": "1.15"},
}.items():
    modes(TOLD, f"graph-{name}", *OF_LAYERS, hows=("alone", "update-ops"), **fields)
for name, fields in LEFT_OUT.items():
    modes(CONTRIB_TOLD, f"contrib-{name}", *OF_CONTRIB, hows=("alone", "update-ops"), **fields)
predictions(LAYERS, "graph", *OF_LAYERS)
predictions(CONTRIB, "contrib", *OF_CONTRIB)

modes(
    RENORMALIZED,
    "graph-renorm",
    contracts.UPDATE_OPS_LEFT,
    contracts.LAYERS_RENORM,
    contracts.LAYERS_RENORM_INFERENCE,
    hows=("alone", "update-ops"),
    norm={"renorm": True},
    renormalized=True,
)
modes(
    CONTRIB_RENORMALIZED,
    "contrib-renorm",
    contracts.CONTRIB_COLLECTED,
    contracts.CONTRIB_RENORM,
    contracts.CONTRIB_RENORM_INFERENCE,
    hows=("alone", "update-ops"),
    norm={"renorm": True},
    renormalized=True,
)

SAVER = """\
with graph.as_default():
    saver = tf.train.Saver({})
    saver.save(session, "./network")
---
with graph.as_default():
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    saver.restore(session, "./network")
"""
FROZEN_GRAPH = """\
definition = tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), [outputs.op.name])
with open("network.pb", "wb") as file:
    file.write(definition.SerializeToString())
---
definition = tf.GraphDef()
with open("network.pb", "rb") as file:
    definition.ParseFromString(file.read())
graph = tf.Graph()
with graph.as_default():
    inputs, outputs = tf.import_graph_def(definition, return_elements=[inputs.name, outputs.name])
session = tf.Session(graph=graph)
"""
LAYERS.export("export.saver", "inference", contracts.CHECKPOINT, SAVER.format(""), default=True)
LAYERS.export(
    "export.saver-trainable",
    "inference",
    contracts.CHECKPOINT_TRAINABLE,
    SAVER.format("tf.trainable_variables()"),
)
LAYERS.export("export.frozen-graph", "inference", contracts.FROZEN_GRAPH, FROZEN_GRAPH, default=True)

#: Later graphs are those of TensorFlow 2, which has functions for them.
ONNX = of_layers(since="1.15", until=LAST_CONTRIB)
#: The network once more on the same variables, `training` a constant.
CONVERT = """\
import tf2onnx

with graph.as_default():
    example = tf.placeholder(tf.float32, x.shape)
    answer = net(example, training={})
definition = tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), [answer.op.name])
tf2onnx.convert.from_graph_def(
    definition, input_names=[example.name], output_names=[answer.name], opset=13, output_path="network.onnx"
)
"""
for half, training in (("eval", False), ("train", True)):
    ONNX.export(
        f"export.onnx.graph.{half}",
        "training" if training else "inference",
        contracts.TF2ONNX,
        CONVERT.format(training),
        file=True,
        default=True,
    )
