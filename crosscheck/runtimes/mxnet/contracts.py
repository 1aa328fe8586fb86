"""What MXNet's documentation says about the moving statistics, for each way of asking; in our words, with the page."""

from crosscheck.runtimes.mode import Contract

SITE = "https://mxnet.apache.org/versions/"
AUTOGRAD_PAGE = SITE + "1.6/api/python/docs/api/autograd/index.html"
BATCH_NORM_PAGE = SITE + "1.6.0/api/r/docs/api/mx.symbol.BatchNorm.html"
EXECUTOR_PAGE = SITE + "1.6.0/api/python/docs/api/mxnet/executor/index.html"
MODULE_PAGE = "https://mxnet.apache.org/api/perl/docs/tutorials/module"
PREDICT_MODE_PAGE = SITE + "0.11.0/api/python/autograd.html"

TRAINING = Contract(
    "move",
    "BatchNorm's page gives the law by which the moving statistics follow the batches that are trained on.",
    BATCH_NORM_PAGE,
)
FROZEN = Contract("stay", "With use_global_stats the moving statistics replace the batch's own.", BATCH_NORM_PAGE)

EXECUTOR_INFERENCE = Contract(
    "stay",
    "backward's is_train tells training from inference; False is there for gradients during inference.",
    EXECUTOR_PAGE,
)
EXECUTOR_MIXED = Contract(
    "undocumented",
    "backward trains unless told otherwise; what that does after an inference-mode forward pass is not said. "
    "Before 0.11 there was no choice, which users reported as wrong gradients.",
    "https://github.com/apache/mxnet/issues/7189",
)
EXECUTOR_PREDICTION = Contract("stay", "A forward pass with is_train=False is one for evaluation.", EXECUTOR_PAGE)
EXECUTOR_FORWARD = Contract(
    "undocumented",
    "With is_train=True a backward call is expected to follow; what happens without one is not said.",
    EXECUTOR_PAGE,
)

MODULE_INFERENCE = Contract(
    "undocumented", "forward takes is_train, backward takes no mode; the pair's effect is not said.", MODULE_PAGE
)
MODULE_FORWARD = EXECUTOR_FORWARD._replace(link=MODULE_PAGE)

SECTION = Contract(
    "move",
    "A train_section is for training code: its operators run with is_train=True.",
    SITE + "1.9.0/api/python/docs/api/contrib/autograd/index.html",
)
AUTOGRAD_INFERENCE = Contract(
    "stay",
    "To take a gradient in prediction mode, as for adversarial examples, give record and backward train_mode=False.",
    PREDICT_MODE_PAGE,
)
AUTOGRAD_MIXED = Contract(
    "undocumented",
    "After record(train_mode=False) the gradient of any other backward is undefined; the statistics are not mentioned.",
    AUTOGRAD_PAGE,
)
AUTOGRAD_INSIDE = Contract(
    "undocumented",
    "predict_mode() sets the forward passes inside it; which mode backward then has is not mentioned.",
    AUTOGRAD_PAGE,
)
AUTOGRAD_FORWARD = Contract(
    "undocumented",
    "The forward pass behaves as in training; whether the statistics move in it or in a backward pass is not said.",
    AUTOGRAD_PAGE,
)
PREDICTION = Contract("stay", "MXNet is in prediction mode by default; BatchNorm heeds it.", PREDICT_MODE_PAGE)
PAUSED = Contract("stay", "pause() is for code that needs no gradient, in prediction mode by default.", AUTOGRAD_PAGE)

SAVED = Contract(
    "stay",
    "Saving writes symbol and parameters to files.",
    SITE + "1.9.0/api/python/docs/api/gluon/hybrid_block.html",
)
EXPORTED = Contract(
    "stay",
    "export writes the block in a format that SymbolBlock.imports and Module read.",
    SITE + "1.9.0/api/python/docs/api/gluon/symbol_block.html",
)
ONNX_EXPORTED = Contract(
    "stay",
    "export_model converts a symbol and its parameters into an ONNX file.",
    SITE + "1.8.0/api/python/docs/api/contrib/onnx/index.html",
)
