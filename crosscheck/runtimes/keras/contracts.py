"""What Keras's documentation says about the moving statistics, for each way of asking; in our words, with the page."""

from crosscheck.runtimes.mode import Contract

API = "https://keras.io/api/"
BATCH_NORM_PAGE = API + "layers/normalization_layers/batch_normalization/"
TRAINING_PAGE = API + "models/model_training_apis/"

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
    "stay", "trainable=False puts the layer into inference mode, whatever training says.", BATCH_NORM_PAGE
)
INSIDE = Contract(
    "stay",
    "A network that a functional model calls with training=False stays in inference mode when that model is trained.",
    "https://keras.io/guides/transfer_learning/",
)
STATELESS_DROPPED = Contract(
    "stay",
    "stateless_call returns updated values of the non-trainable variables and leaves those of the model as they are.",
    "https://keras.io/guides/writing_a_custom_training_loop_in_jax/",
)
STATELESS_ADOPTED = STATELESS_DROPPED._replace(
    statistics="move", says="The user assigns the non-trainable values that come back from stateless_call."
)
STATELESS_INFERENCE = STATELESS_DROPPED._replace(says="With training=False nothing is updated.")
JAX_CALL = Contract(
    "undocumented",
    "JAX asks for functions without side effects, for which there is stateless_call; what a plain call of a model "
    "inside of a transform does to its variables is not said.",
    "https://keras.io/guides/writing_a_custom_training_loop_in_jax/",
)
TORCH_MODULE = Contract(
    "undocumented",
    "With this backend a Keras model is a torch module; what the module's own mode means to Keras's layers is not "
    "said.",
    "https://keras.io/guides/writing_a_custom_training_loop_in_torch/",
)
PREDICT = Contract("stay", "predict and predict_on_batch run the network in inference mode.", TRAINING_PAGE)
EVALUATE = Contract("stay", "evaluate and test_on_batch run the network in test mode.", TRAINING_PAGE)
TRAIN_ON_BATCH = Contract(
    "move",
    "One gradient update on one batch, in training mode; the learning rate is the optimizer's, the moving statistics "
    "are not.",
    TRAINING_PAGE,
)
SAVED = Contract(
    "stay",
    "Saving writes the architecture and all weights of a model to a file.",
    "https://keras.io/guides/serialization_and_saving/",
)

RENORM = Contract(
    "move",
    "renorm=True adds variables for training, which correct what the batch's statistics do; momentum still makes the "
    "means and variances of inference.",
    BATCH_NORM_PAGE,
)
RENORM_INFERENCE = RENORM._replace(statistics="stay", says="Inference is the same whether renorm is True or not.")

BACKEND_FUNCTION = Contract(
    "undocumented",
    "The learning phase, 0 or 1, is passed to a function whose layers behave differently in training; that the updates "
    "of the moving statistics are given to it separately is not said.",
    "https://github.com/keras-team/keras/blob/2.3.1/docs/templates/getting-started/faq.md",
)
BACKEND_UPDATES = BACKEND_FUNCTION._replace(
    says="The learning phase is passed to a function; that a function takes updates, and runs them, is not said."
)
BACKEND_UPDATES_EVAL = BACKEND_FUNCTION._replace(
    says="The learning phase is passed to a function; that a function takes updates, and whether they heed the phase, "
    "is not said."
)
BACKEND_INFERENCE = BACKEND_FUNCTION._replace(
    statistics="stay", says="With learning phase 0 the layers are in test mode."
)
KERAS_2_FROZEN = Contract(
    "undocumented",
    "trainable=False keeps weights from being updated by training; the moving statistics are not mentioned.",
    "https://github.com/keras-team/keras/blob/2.3.1/docs/templates/getting-started/faq.md",
)
