"""What the API reference of TensorFlow.js says of its layers' moving statistics."""

from crosscheck.runtimes.mode import Contract

SITE = "https://js.tensorflow.org/api/latest/"

BATCH_NORM_PAGE = SITE + "#layers.batchNormalization"
TRAINING = Contract(
    "undocumented",
    "The layer normalizes by the statistics of a batch; which call of a model does that, and which one tracks moving "
    "statistics, is not said.",
    BATCH_NORM_PAGE,
)
EVALUATION = Contract(
    "undocumented",
    "The layer normalizes by the statistics of a batch; that without training=true the moving ones are used instead is "
    "not said.",
    BATCH_NORM_PAGE,
)
PREDICT = Contract(
    "stay", "Makes output predictions for input samples, batch by batch.", SITE + "#tf.LayersModel.predict"
)
PREDICT_ON_BATCH = Contract(
    "stay", "Returns predictions for one batch of samples.", SITE + "#tf.LayersModel.predictOnBatch"
)
TIDY = Contract(
    "undocumented",
    "tidy frees the tensors that its function made, except variables and what it returns; writes to variables are not "
    "mentioned.",
    SITE + "#tidy",
)
TRAINABLE = Contract(
    "undocumented",
    "trainable says whether training updates a layer's weights; what it means for moving statistics is not said.",
    SITE + "#layers",
)
SAVED = Contract("stay", "Saves the model's topology and weights.", SITE + "#tf.LayersModel.save")
