# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["keras==3.15.1", "tensorflow-cpu==2.21.0"]
# ///
"""Keras 3.15.1: `training=True` of a functional model overrides an inner network's `training=False`."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import keras
import numpy as np

norm = keras.layers.BatchNormalization(epsilon=0.001, momentum=0.9)
inner = keras.Sequential([keras.layers.InputLayer((1,)), norm])
inputs = keras.Input((1,))
outer = keras.Model(inputs, inner(inputs, training=False))
x = np.float32([[1], [3]])
y = keras.ops.convert_to_numpy(outer(x, training=True))
moving = keras.ops.convert_to_numpy(norm.moving_mean)[0]
expected = x / np.sqrt(1.001)  # by the moving statistics, mean 0 and variance 1
print("output:", *y.ravel(), "| expected:", *expected.ravel(), "| by the batch's:", *((x - 2) / np.sqrt(1.001)).ravel())
print("moving mean afterwards:", moving, "| expected:", 0.0)
print("no defect" if np.allclose(y, expected, rtol=1e-4) and moving == 0 else "defect")
