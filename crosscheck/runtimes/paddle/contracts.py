"""What Paddle's documentation says about the moving statistics, for each way of asking; in our words, with links."""

from crosscheck.runtimes.mode import Contract

SITE = "https://www.paddlepaddle.org.cn/documentation/docs/en/api/paddle/"
BATCH_NORM_PAGE = SITE + "nn/functional/batch_norm_en.html"
LAYER_PAGE = SITE + "nn/BatchNorm2D_en.html"
OLD_LAYER_PAGE = SITE + "nn/BatchNorm_en.html"
STATIC_PAGE = SITE + "static/nn/batch_norm_en.html"

TRAINING = Contract(
    "move",
    "With training=True the layer computes with the batch's statistics and tracks the global ones.",
    BATCH_NORM_PAGE,
)
EVALUATION = Contract(
    "stay",
    "With training=False, which is inference mode, the layer computes with the global mean and variance that were "
    "tracked in training.",
    BATCH_NORM_PAGE,
)
SWITCHED = Contract(
    "undocumented",
    "eval() tells layers how to compute from then on; what backward of an earlier forward does is not said.",
    SITE + "nn/Layer_en.html",
)
NO_GRAD = Contract(
    "undocumented",
    "no_grad keeps gradients from being computed; statistics are not mentioned.",
    SITE + "no_grad_en.html",
)
FROZEN_PARAMETERS = Contract(
    "undocumented",
    "stop_gradient keeps the gradient of a tensor from being computed; that of statistics is not mentioned.",
    SITE + "Tensor_en.html",
)
GLOBAL = Contract(
    "undocumented",
    "With use_global_stats=True the global statistics normalize in training, too; whether they are still tracked there "
    "is not said.",
    LAYER_PAGE,
)
MINI_BATCH = Contract(
    "undocumented",
    "With use_global_stats=False the statistics of the mini-batch normalize; whether the global ones move in "
    "evaluation mode is not said.",
    LAYER_PAGE,
)
MINI_BATCH_TRAINING = Contract(
    "move", "With use_global_stats=False training is as with None: the global statistics are tracked.", BATCH_NORM_PAGE
)
TRAINABLE = Contract(
    "undocumented",
    "With trainable_statistics=True evaluation computes with the batch's statistics; whether the global ones move by "
    "it is not said.",
    OLD_LAYER_PAGE,
)
RECOMPUTE = Contract(
    "undocumented",
    "The forward pass runs again during backward, with the random state restored; statistics are not mentioned.",
    SITE + "distributed/fleet/utils/recompute_en.html",
)
VJP = Contract(
    "undocumented",
    "vjp calls the function and returns the product; nothing is said of layers that have a state.",
    SITE + "incubate/autograd/vjp_en.html",
)
TO_STATIC = Contract(
    "undocumented",
    "to_static turns a layer into a static program; statistics are not mentioned, nor what eval() does to it.",
    SITE + "jit/to_static_en.html",
)
STATIC_TRAINING = Contract(
    "move", "Out of test mode the moving mean and variance follow the mini-batches'.", STATIC_PAGE
)
STATIC_TEST = Contract("stay", "A program that is one for testing uses the global mean and variance.", STATIC_PAGE)
STATIC_GLOBAL = Contract(
    "stay",
    "With use_global_stats=True the global statistics normalize, and training behaves as testing does.",
    STATIC_PAGE,
)
CLONED = Contract(
    "stay",
    "A clone for testing has is_test set in operators such as batch_norm; gradients are to be added after cloning.",
    "https://www.paddlepaddle.org.cn/documentation/docs/en/2.6/api/paddle/static/Program_en.html",
)
SAVED = Contract("stay", "save writes what state_dict gave.", SITE + "save_en.html")
JIT_SAVED = Contract(
    "undocumented",
    "Saves a layer's translated program and its variables, for inference or for going on with training; what that does "
    "to the layer, and which of its modes is saved, is not said.",
    SITE + "jit/save_en.html",
)
STATIC_SAVED = Contract(
    "undocumented",
    "Saves a model and its parameters, to infer with; what becomes of operators that are in training is not said.",
    SITE + "static/save_inference_model_en.html",
)
ONNX = Contract(
    "undocumented",
    "Exports a layer to ONNX; which of its modes is written, and whether the layer is changed, is not said.",
    SITE + "onnx/export_en.html",
)

# Releases before 2.0: the docstrings of the release, of which its documentation is made.
SOURCE = "https://github.com/PaddlePaddle/Paddle/blob/v1.8.5/python/paddle/fluid/"
FLUID_LAYER = SOURCE + "dygraph/nn.py"
FLUID_STATIC = SOURCE + "layers/nn.py"

FLUID_TRAINING = Contract(
    "move",
    "By default the mini-batch's statistics normalize in training, and moving ones are averages of them by the "
    "momentum.",
    FLUID_STATIC,
)
FLUID_EVALUATION = Contract(
    "undocumented",
    "eval() puts layers such as BatchNorm into evaluation mode; what that does to statistics, or to gradients, is not "
    "said.",
    SOURCE + "dygraph/layers.py",
)
FLUID_IS_TEST = Contract(
    "move", "is_test has an effect in static graphs only; eval() is the word for dynamic ones.", FLUID_LAYER
)
FLUID_GLOBAL = Contract(
    "undocumented",
    "With use_global_stats=True the global statistics normalize in training, too; whether they are still tracked there "
    "is not said.",
    FLUID_LAYER,
)
FLUID_TRAINABLE = Contract(
    "undocumented",
    "With trainable_statistics=True evaluation computes with the batch's statistics; whether the global ones move by "
    "it is not said.",
    FLUID_LAYER,
)
FLUID_NO_GRAD = Contract(
    "undocumented",
    "no_grad switches off that gradients are calculated; statistics are not mentioned.",
    SOURCE + "dygraph/base.py",
)
FLUID_TRACED = Contract(
    "undocumented",
    "trace calls the layer and makes a static model of it; which of its modes that has, and whether it shares the "
    "layer's statistics, is not said.",
    SOURCE + "dygraph/jit.py",
)
FLUID_SAVED = Contract("stay", "Saves what state_dict gave.", SOURCE + "dygraph/checkpoint.py")
FLUID_STATIC_TRAINING = Contract(
    "move", "The moving mean and variance become averages of themselves and of the mini-batch's.", FLUID_STATIC
)
FLUID_STATIC_TEST = Contract(
    "stay",
    "is_test is for test and inference programs alone, which normalize by the global statistics; it cannot be set in a "
    "training program.",
    FLUID_STATIC,
)
FLUID_STATIC_GLOBAL = Contract(
    "stay",
    "With use_global_stats=True the global statistics normalize, and training behaves as testing does.",
    FLUID_STATIC,
)
FLUID_CLONED = Contract(
    "stay",
    "A clone for testing has is_test set in operators such as batch_norm.",
    SOURCE + "framework.py",
)
INFERENCE_MODEL = Contract(
    "stay",
    "Prunes the program to one for inference and saves it with its parameters.",
    SOURCE + "io.py",
)
PROGRAM_TO_ONNX = Contract(
    "undocumented",
    "Converts what save_inference_model saved to ONNX; what becomes of operators that are in training is not said.",
    "https://github.com/PaddlePaddle/Paddle2ONNX",
)
