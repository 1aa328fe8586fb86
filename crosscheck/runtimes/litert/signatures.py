"""What the shipped `.tflite` files hold: functions of a Keras model `net`, each of which is a signature of the file.

`models/make_tflite.py` executes these texts, and each way of asking shows the one that it calls. `X` and `COTANGENT`
are the specifications of the input and of the cotangent.
"""

__all__ = ["FILE", "READOUT", "SIGNATURES", "STATE", "statistic"]

#: The file of a shipped network.
FILE = "network.tflite"
#: What the names of the signatures of a classifier's read-out begin with, which is built on the network's layers.
READOUT = "readout_"

_PREDICT = """\
@tf.function(input_signature=[X])
def {name}(x):
    return {{"y": net(x, training={training})}}
"""
_GRADIENT = """\
@tf.function(input_signature=[X, COTANGENT])
def {name}(x, cotangent):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = net(x, training={training})
    return {{"dx": tape.gradient(y, x, cotangent)}}
"""
#: Name -> the definition in TensorFlow.
SIGNATURES = {
    "predict": _PREDICT.format(name="predict", training=False),
    "gradient": _GRADIENT.format(name="gradient", training=False),
    "train_predict": _PREDICT.format(name="train_predict", training=True),
    "train_gradient": _GRADIENT.format(name="train_gradient", training=True),
}
#: Those that read and write the statistics of a network that has any, under the names of `statistic`.
STATE = {
    "state": """\
@tf.function(input_signature=[])
def state():
    return {name: tf.identity(variable) for name, variable in statistics.items()}
""",
    "restore": """\
@tf.function(input_signature=[tf.TensorSpec(variable.shape, name=name) for name, variable in statistics.items()])
def restore(*values):
    for variable, value in zip(statistics.values(), values):
        variable.assign(value)
    return {"restored": tf.constant(True)}
""",
}


def statistic(name: str) -> str:
    """What the signatures call a weight of the graph."""
    return name.replace(".", "_")
