"""Files of Keras networks and SavedModels, exported by tf2onnx."""

from __future__ import annotations

import mmap
import zipfile
from pathlib import Path

from crosscheck.runtimes.format import Format
from crosscheck.runtimes.tensorflow.own import KERAS, SAVED_MODEL

__all__ = ["FORMATS"]

#: The class of layers that hold functions, in a configuration.
LAMBDA = b'"Lambda"'

#: Keras 3 computes a batch normalization by arithmetic, of which nothing but a factor and an addend is left when
#: constants are folded. So each is one operator here, which has the layer's momentum and the names of its variables.
NORMALIZATION = """\
import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from tf2onnx.optimizer import back_to_back_optimizer

layers = {}


def normalized(layer, x, training=None, mask=None):
    axis, rank = layer.axis % len(x.shape), len(x.shape)
    order = [number for number in range(rank) if number != axis] + [axis]
    last = tf.transpose(x, order) if order != sorted(order) else x
    flat = last if rank == 4 else tf.reshape(last, (-1, 1, 1, x.shape[axis]))
    mean, variance = (tf.convert_to_tensor(value) for value in (layer.moving_mean, layer.moving_variance))
    scale = tf.convert_to_tensor(layer.gamma) if layer.scale else tf.ones_like(mean)
    bias = tf.convert_to_tensor(layer.beta) if layer.center else tf.zeros_like(mean)
    y = tf.raw_ops.FusedBatchNormV3(
        x=flat, scale=scale, offset=bias, mean=mean, variance=variance, epsilon=layer.epsilon, is_training=False
    )[0]
    layers[y.op.name] = layer
    y = y if rank == 4 else tf.reshape(y, tf.shape(last))
    return tf.transpose(y, np.argsort(order)) if order != sorted(order) else y


def with_layers(model):
    values = {item.name: item for item in model.graph.initializer}
    for node in model.graph.node:
        layer = layers.get(node.name)
        if node.op_type == "BatchNormalization" and layer is not None:
            node.attribute.append(onnx.helper.make_attribute("momentum", layer.momentum))
            for place, role in enumerate(("gamma", "beta", "moving_mean", "moving_variance"), 1):
                variable = getattr(layer, role, None)
                name = layer.path + "/" + role if variable is None else variable.path
                if name not in values:
                    values[name] = onnx.TensorProto()
                    values[name].CopyFrom(values[node.input[place]])
                    values[name].name = name
                node.input[place] = name
    read = {name for node in model.graph.node for name in node.input}
    del model.graph.initializer[:]
    model.graph.initializer.extend(item for name, item in values.items() if name in read)
    return model


"""
EXPORT = """\
net = keras.saving.load_model("{}", compile=False, safe_mode=not trusted)
if not net.inputs:
    refuse("declares no inputs; call the model once before it is saved.")
keras.layers.BatchNormalization.call = normalized
back_to_back_optimizer._func_map.pop(("Conv", "BatchNormalization"))  # which folds one into the other
signature = [tf.TensorSpec(x.shape, x.dtype, name=x.name) for x in net.inputs]
model, _ = tf2onnx.convert.from_keras(net, input_signature=signature, opset=13)
onnx.save(with_layers(model), "network.onnx")
"""
#: A SavedModel has that arithmetic in its graph, before constants are folded. It knows no momentum.
SERVED = """\
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tf2onnx.optimizer import back_to_back_optimizer


def inputs(name, op):
    node = nodes[name]
    if node.op != op:
        raise LookupError(name)
    return [given for given in node.input if not given.startswith("^")]


def normalization(name):
    product, shift = inputs(name, "AddV2")
    x, factor = inputs(product, "Mul")
    beta, moved = inputs(shift, "Sub")
    mean, again = inputs(moved, "Mul")
    root, gamma = inputs(factor, "Mul") if nodes[factor].op == "Mul" else (factor, None)
    variance, epsilon = inputs(*inputs(root, "Rsqrt"), "AddV2")
    if again != factor or graph.get_tensor_by_name(variance + ":0").shape.rank != 1:
        raise LookupError(name)
    return x, gamma, beta, mean, variance, float(tf.make_ndarray(nodes[epsilon].attr["value"].tensor))


def added(op, name, given, **attributes):
    node = definition.node.add(op=op, name=name, input=given)
    for key, value in attributes.items():
        node.attr[key].CopyFrom(value)
    return name


def constant(name, value):
    value = np.asarray(value)
    kind = tf.compat.v1.AttrValue(type=tf.as_dtype(value.dtype).as_datatype_enum)
    return added("Const", name, [], dtype=kind, value=tf.compat.v1.AttrValue(tensor=tf.make_tensor_proto(value)))


net = tf.saved_model.load("saved")
if "serving_default" not in net.signatures:
    refuse("has no signature 'serving_default', but %s; save it with one." % (sorted(net.signatures) or "none"))
serve = net.signatures["serving_default"]
frozen = convert_variables_to_constants_v2(serve)
graph, definition = frozen.graph, frozen.graph.as_graph_def()
nodes = {node.name: node for node in definition.node}
number = tf.compat.v1.AttrValue(type=tf.float32.as_datatype_enum)
index = tf.compat.v1.AttrValue(type=tf.int32.as_datatype_enum)
for name, node in list(nodes.items()):
    try:
        x, gamma, beta, mean, variance, epsilon = normalization(name)
    except (LookupError, ValueError):
        continue  # it is no batch normalization
    shape = graph.get_tensor_by_name(x + ":0").shape
    rows = constant(name + "/rows", np.array([-1, 1, 1, shape[-1]], np.int32))
    flat = x if shape.rank == 4 else added("Reshape", name + "/flat", [x, rows], T=number, Tshape=index)
    gamma = gamma or constant(name + "/gamma", np.ones(shape[-1], np.float32))
    normalized = added(
        "FusedBatchNormV3",
        name + "/normalized",
        [flat, gamma, beta, mean, variance],
        T=number,
        U=number,
        epsilon=tf.compat.v1.AttrValue(f=epsilon),
        is_training=tf.compat.v1.AttrValue(b=False),
        data_format=tf.compat.v1.AttrValue(s=b"NHWC"),
    )
    whole = added("Shape", name + "/whole", [x], T=number, out_type=index)
    del node.input[:]
    node.attr.clear()
    node.op = "Reshape"
    node.input.extend([normalized, whole])
    node.attr["T"].CopyFrom(number)
    node.attr["Tshape"].CopyFrom(index)
back_to_back_optimizer._func_map.pop(("Conv", "BatchNormalization"))  # which folds one into the other
given = [tensor.name for tensor in frozen.inputs if tensor.dtype != tf.resource]
answers = [tensor.name for tensor in frozen.outputs]
model, _ = tf2onnx.convert.from_graph_def(definition, input_names=given, output_names=answers, opset=13)
named = {name: name.partition(":")[0] for name in given}
named.update(zip(answers, sorted(serve.structured_outputs)))
for item in list(model.graph.input) + list(model.graph.output):
    item.name = named[item.name]
for node in model.graph.node:
    for names in (node.input, node.output):
        names[:] = [named.get(name, name) for name in names]
onnx.save(model, "network.onnx")
"""


def lambdas(path: Path) -> str:
    """Why opening a Keras network would run code: a Lambda layer holds a marshalled function."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                has_one = LAMBDA in archive.read("config.json")
        else:  # HDF5 has the same configuration in plain letters
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                has_one = content.find(LAMBDA) >= 0
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return ""  # its loader refuses it
    return "has a Lambda layer, whose code runs when it is opened" if has_one else ""


FORMATS = (
    Format(
        name=KERAS,
        title="a Keras network",
        parts={"network.keras": r"\.keras"},
        release="2.21.0",
        variant="tf2onnx",
        export=NORMALIZATION + EXPORT.format("network.keras"),
        runs_code=lambdas,
    ),
    Format(
        name="keras-hdf5",
        title="a Keras network in HDF5",
        parts={"network.h5": r"\.h5"},
        release="2.21.0",
        variant="tf2onnx",
        export=NORMALIZATION + EXPORT.format("network.h5"),
        runs_code=lambdas,
    ),
    Format(
        name=SAVED_MODEL,
        title="a SavedModel",
        parts={"saved": ""},
        marker="saved_model.pb",
        release="2.21.0",
        variant="tf2onnx",
        export=SERVED,
    ),
)
