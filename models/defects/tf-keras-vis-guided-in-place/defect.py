# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["tf-keras-vis==0.8.7", "tensorflow-cpu==2.21.0", "keras==3.15.1", "numpy==2.2.6"]
# ///
"""tf-keras-vis 0.8.7: a model that was guided in place trains by guided gradients, and its saved file does not load."""

import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import keras
import numpy as np
import tensorflow as tf
from tf_keras_vis.saliency import Saliency
from tf_keras_vis.utils.model_modifiers import GuidedBackpropagation
from tf_keras_vis.utils.scores import CategoricalScore


def error(step):
    """What a step raises."""
    try:
        step()
    except Exception as raised:
        return type(raised).__name__
    return None


def gradient():
    """The gradient of the first layer's weights, as a training step asks for it."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(net(x)[:, 0])
    return tape.gradient(loss, net.trainable_variables)[0].numpy().ravel().tolist()


net = keras.Sequential(
    [keras.layers.InputLayer((2,)), keras.layers.Dense(2, "relu", kernel_initializer="ones"), keras.layers.Dense(2)]
)
net.layers[1].set_weights([np.float32([[-1, 1], [1, 1]]), np.zeros(2, np.float32)])
x = tf.constant([[1.0, 2.0]])
before, defects = gradient(), []
for clone in True, False:
    Saliency(net, GuidedBackpropagation(), clone=clone)(CategoricalScore([0]), x, keepdims=True)
    after = gradient()
    with tempfile.TemporaryDirectory() as folder:
        net.save(f"{folder}/net.keras")
        loaded = error(lambda path=f"{folder}/net.keras": keras.models.load_model(path))
    cloned = error(lambda: keras.models.clone_model(net))
    print(f"clone={clone}: the gradient of the first weights in training:", after, "| expected:", before)
    print("  loading what save() wrote raises:", loaded, "| expected:", None)
    print("  clone_model raises:", cloned, "| expected:", None)
    defects.append(after != before or loaded is not None or cloned is not None)
print("no defect" if not any(defects) else "defect")
