"""ONNX files by tf2onnx: of a Keras model, of a function of it in either mode, and of a graph."""

import os
from typing import Any

from crosscheck.probe.modes import INTENT, Call, Make, Table
from crosscheck.runtimes.tensorflow import contracts
from crosscheck.runtimes.tensorflow.eager import TABLE as EAGER
from crosscheck.runtimes.tensorflow.eager import Eager, call_in
from crosscheck.runtimes.tensorflow.graph_networks import Graph

TABLE = Table(inference=EAGER.inference, training=EAGER.training, since="2.0", kind="eager")
#: Later graphs are those of TensorFlow 2, which has functions for them.
LAYERS = Table(inference="graph.eval", training="graph.train", since="1.15", until="1.15.5", kind="layers")
OPSET = 13


def path(folder: str) -> str:
    """Where the exporters write."""
    return os.path.join(folder, "network.onnx")


def signature(tf: Any, model: Eager) -> Any:
    """The input as it is: its rows are not left open."""
    return [tf.TensorSpec(model.output_shape[:1] + tuple(model.net.input_shape[1:]), tf.float32, name="x")]


def traced(half: str) -> Make:
    """A function that calls the network in one mode."""

    def make(tf: Any, model: Eager) -> Call:
        def export(folder: str) -> None:
            import tf2onnx

            tf2onnx.convert.from_function(
                tf.function(call_in(half, model.net)),
                input_signature=signature(tf, model),
                opset=OPSET,
                output_path=path(folder),
            )

        return export

    return make


SIGNATURE = "signature = [tf.TensorSpec(x.shape, x.dtype, name='x')]\n"
for half in ("eval", "train"):
    TABLE.mode(
        "export.onnx.function." + half,
        INTENT[half],
        SIGNATURE
        + "f = tf.function(lambda x: net(x, training={}))\n".format(half == "train")
        + "tf2onnx.convert.from_function(f, input_signature=signature, opset=13, output_path=file)",
        contracts.TF2ONNX,
        "export",
        file=True,
        default=True,
    )(traced(half))


@TABLE.mode(
    "export.onnx.keras",
    "inference",
    SIGNATURE + "tf2onnx.convert.from_keras(net, input_signature=signature, opset=13, output_path=file)",
    contracts.TF2ONNX,
    "export",
    file=True,
    default=True,
)
def from_keras(tf: Any, model: Eager) -> Call:
    """The model as it is, no word about training."""

    def export(folder: str) -> None:
        import tf2onnx

        tf2onnx.convert.from_keras(
            model.net, input_signature=signature(tf, model), opset=OPSET, output_path=path(folder)
        )

    return export


@TABLE.mode(
    "export.onnx.method",
    "inference",
    SIGNATURE + "net.export(file, format='onnx', input_signature=signature, opset_version=13)",
    contracts.EXPORT_METHOD,
    "export",
    since="2.21",
    file=True,
    default=True,
)
def by_method(tf: Any, model: Eager) -> Call:
    """Keras's own method, which calls tf2onnx."""

    def export(folder: str) -> None:
        model.net.export(
            path(folder), format="onnx", input_signature=signature(tf, model), opset_version=OPSET, verbose=False
        )

    return export


def frozen(training: bool) -> Make:
    """The network once more in the same variables, `training` a number now; then the variables made constants."""

    def make(tf: Any, model: Graph) -> Call:
        def export(folder: str) -> None:
            import tf2onnx

            v1 = model.tf
            fed, model.training = model.training, training
            with model.home.graph.as_default():
                x = v1.placeholder(v1.float32, [model.network.batch] + model.network.graph["inputs"][0]["shape"][1:])
                y = model.outputs(x)
                model.training = fed
                definition = v1.graph_util.convert_variables_to_constants(
                    model.session, model.home.graph.as_graph_def(), [y.op.name]
                )
            tf2onnx.convert.from_graph_def(
                definition, input_names=[x.name], output_names=[y.name], opset=OPSET, output_path=path(folder)
            )

        return export

    return make


for half in ("eval", "train"):
    LAYERS.mode(
        "export.onnx.graph." + half,
        INTENT[half],
        "y = ...  # of layers with training={}, reuse=True\n".format(half == "train")
        + "definition = tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ['y'])\n"
        "tf2onnx.convert.from_graph_def(\n"
        "    definition, input_names=['x:0'], output_names=['y:0'], opset=13, output_path=file)",
        contracts.TF2ONNX,
        "export",
        file=True,
        default=True,
    )(frozen(half == "train"))
