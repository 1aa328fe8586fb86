"""What TensorFlow's documentation says about the moving statistics, for each way of asking; in our words."""

from crosscheck.runtimes.mode import Contract

API = "https://www.tensorflow.org/api_docs/python/tf/"
V1 = "https://www.tensorflow.org/versions/r1.15/api_docs/python/tf/"
BATCH_NORM_PAGE = API + "keras/layers/BatchNormalization"
FUNCTION_GUIDE = "https://www.tensorflow.org/guide/function"

TRAINING = Contract(
    "move",
    "Called with training=True, the layer normalises by the batch and updates its moving mean and variance.",
    BATCH_NORM_PAGE,
)
INFERENCE = Contract(
    "stay", "Called with training=False, the layer normalises by its moving mean and variance.", BATCH_NORM_PAGE
)
UNSET = INFERENCE._replace(says="training=False is what a layer or a model is called with if nobody says otherwise.")
FROZEN = Contract(
    "stay",
    "trainable=False puts the layer into inference mode, whatever training says: an exception that batch normalization "
    "makes from TensorFlow 2.0 on.",
    BATCH_NORM_PAGE,
)
INSIDE = Contract(
    "stay",
    "A network that a functional model calls with training=False stays in inference mode when that model is trained.",
    "https://www.tensorflow.org/guide/keras/transfer_learning",
)
TRACED_TRAINING = TRAINING._replace(
    says="A tf.function keeps what its Python code does to variables, each time it is called.", link=FUNCTION_GUIDE
)
TRACED_FROZEN = FROZEN._replace(
    statistics="undocumented",
    says="Python values that a tf.function reads are those of the time when it was traced; that trainable is one of "
    "them is not said.",
    link=FUNCTION_GUIDE,
)
LEARNING_PHASE = Contract(
    "undocumented",
    "Sets the learning phase to a fixed value, 0 for test and 1 for train; the moving statistics are not mentioned.",
    "https://www.tensorflow.org/versions/r2.2/api_docs/python/tf/keras/backend/set_learning_phase",
)
RECOMPUTE = Contract(
    "undocumented",
    "The function runs again in backpropagation; what that does to variables which it writes to is not said.",
    API + "recompute_grad",
)
RECOMPUTE_INFERENCE = INFERENCE._replace(
    says="The function runs again in backpropagation; in inference mode it writes nothing."
)
PREDICT = Contract(
    "stay", "predict and predict_on_batch run the network in inference mode.", API + "keras/Model#predict"
)
EVALUATE = Contract("stay", "evaluate runs the network in test mode.", API + "keras/Model#evaluate")
TRAIN_ON_BATCH = Contract(
    "move",
    "One gradient update on one batch, in training mode; the learning rate is the optimizer's, the moving statistics "
    "are not.",
    API + "keras/Model#train_on_batch",
)
SAVED_MODEL = Contract(
    "stay",
    "A SavedModel is a complete program with its variables, written beside the network.",
    "https://www.tensorflow.org/guide/saved_model",
)
SAVED = Contract(
    "stay",
    "Saving writes the architecture and all weights of a model to a file.",
    "https://www.tensorflow.org/guide/keras/serialization_and_saving",
)
LITE = Contract(
    "stay",
    "The converter makes a program for inference, with the weights as constants.",
    API + "lite/TFLiteConverter",
)

TF2ONNX = Contract(
    "undocumented",
    "tf2onnx makes an ONNX model of a Keras model, a function or a graph whose variables are constants; what becomes "
    "of layers in training mode, and of the variables that they update, is not mentioned.",
    "https://github.com/onnx/tensorflow-onnx/blob/main/README.md",
)
EXPORT_METHOD = Contract(
    "stay",
    "export with format='onnx' writes the model as an artifact for inference.",
    "https://keras.io/api/models/model_saving_apis/export",
)

UPDATE_OPS = Contract(
    "move",
    "In training the updates of the moving statistics stand in the collection UPDATE_OPS, and are to be run with the "
    "training operation.",
    V1 + "layers/batch_normalization",
)
UPDATE_OPS_LEFT = UPDATE_OPS._replace(
    statistics="stay", says="The updates of the moving statistics stand in UPDATE_OPS; nobody runs them here."
)
LAYERS_INFERENCE = Contract(
    "stay", "With training=False the moving statistics normalise.", V1 + "layers/batch_normalization"
)
LAYERS_FROZEN = Contract(
    "undocumented",
    "trainable=False keeps the variables out of TRAINABLE_VARIABLES; the moving statistics are not mentioned.",
    V1 + "layers/batch_normalization",
)
CONTRIB_IN_PLACE = Contract(
    "move",
    "updates_collections=None forces the updates to be made in place when the layer is computed.",
    V1 + "contrib/layers/batch_norm",
)
CONTRIB_COLLECTED = UPDATE_OPS_LEFT._replace(link=V1 + "contrib/layers/batch_norm")
CONTRIB_UPDATED = UPDATE_OPS._replace(link=V1 + "contrib/layers/batch_norm")
CONTRIB_INFERENCE = LAYERS_INFERENCE._replace(
    says="With is_training=False the moving statistics normalise.", link=V1 + "contrib/layers/batch_norm"
)
CONTRIB_DEBIASED = CONTRIB_IN_PLACE._replace(
    says="zero_debias_moving_mean makes the moving mean a debiased one; its updates are made in place here."
)
RENORM = Contract(
    "move",
    "renorm=True adds variables for training, which correct what the batch's statistics do; momentum still makes the "
    "means and variances of inference.",
    BATCH_NORM_PAGE,
)
RENORM_INFERENCE = RENORM._replace(statistics="stay", says="Inference is the same whether renorm is True or not.")
LAYERS_RENORM = RENORM._replace(link=V1 + "layers/batch_normalization")
LAYERS_RENORM_INFERENCE = RENORM_INFERENCE._replace(link=V1 + "layers/batch_normalization")
CONTRIB_RENORM = RENORM._replace(link=V1 + "contrib/layers/batch_norm")
CONTRIB_RENORM_INFERENCE = RENORM_INFERENCE._replace(link=V1 + "contrib/layers/batch_norm")
BACKEND_FUNCTION = Contract(
    "undocumented",
    "A function of the backend has inputs, outputs and a list of update ops; that batch normalization has some, which "
    "nobody gave it here, is not mentioned.",
    V1 + "keras/backend/function",
)
BACKEND_UPDATES = BACKEND_FUNCTION._replace(
    statistics="move", says="updates is the function's list of update ops; here it has those of the model."
)
BACKEND_INFERENCE = BACKEND_FUNCTION._replace(
    statistics="stay", says="With learning phase 0 the layers are in test mode."
)
KERAS_FROZEN = Contract(
    "undocumented",
    "trainable=False keeps weights from being updated by training; of the moving statistics nothing is said "
    "before 2.0.",
    V1 + "keras/layers/BatchNormalization",
)
FROZEN_GRAPH = Contract(
    "stay",
    "Writes a copy of the graph in which variables are constants.",
    V1 + "graph_util/convert_variables_to_constants",
)
CHECKPOINT = Contract(
    "stay", "Saver writes all saveable variables to a checkpoint, and restores them from it.", V1 + "train/Saver"
)
CHECKPOINT_TRAINABLE = CHECKPOINT._replace(
    statistics="undocumented",
    says="Saver writes the variables that it was given; that no moving statistics are among the trainable ones is not "
    "said.",
)
BACKEND_UNSET = BACKEND_FUNCTION._replace(
    says="The learning phase is fed to a function that behaves differently in training; what it is if nobody feeds it "
    "is not said.",
    link=V1 + "keras/backend/learning_phase",
)
