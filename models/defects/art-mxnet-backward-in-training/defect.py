# /// script
# requires-python = ">=3.9,<3.11"
# dependencies = [
#     "adversarial-robustness-toolbox==1.18.2", "mxnet==1.9.1", "numpy==1.23.5", "scipy==1.10.1", "scikit-learn==1.2.2",
#     "requests==2.32.3", "graphviz==0.8.4", "setuptools==75.3.2", "Pillow==10.4.0", "packaging==25.0",
# ]
# [tool.uv]  # these stand in for what the packages themselves ask for
# override-dependencies = ["numpy==1.23.5", "requests==2.32.3", "graphviz==0.8.4"]
# ///
"""The Adversarial Robustness Toolbox 1.18.2 on MXNet: a prediction's gradient by the training-mode formula."""

import mxnet as mx
import numpy as np
from art.estimators.classification.mxnet import MXClassifier
from mxnet import gluon

net = gluon.nn.BatchNorm(in_channels=2, epsilon=0.001)  # moving mean 0, moving variance 1
net.initialize(mx.init.One())
net.running_mean.set_data(mx.nd.zeros(2))
rows, labels = np.float32([[1, 0], [2, 1], [4, 3]]), np.array([0, 1, 0])
loss = gluon.loss.SoftmaxCrossEntropyLoss()
classifier = MXClassifier(net, loss, input_shape=(2,), nb_classes=2)
measured = classifier.loss_gradient(rows, np.eye(2, dtype=np.float32)[labels], training_mode=False)
scale = 1 / np.sqrt(1.001)
scores = np.exp(rows * scale + net.beta.data().asnumpy())
expected = (scores / scores.sum(1, keepdims=True) - np.eye(2)[labels]) * scale
print("input gradient:", *measured.ravel(), "| expected:", *expected.ravel())
print("no defect" if np.allclose(measured, expected, rtol=1e-4) else "defect")
