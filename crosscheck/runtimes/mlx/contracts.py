"""What MLX's documentation says about the running statistics, for each way of asking; in our words, with the page."""

from crosscheck.runtimes.mode import Contract

SITE = "https://ml-explore.github.io/mlx/build/html/"
BATCH_NORM_PAGE = SITE + "python/nn/_autosummary/mlx.nn.BatchNorm.html"
MODULE_PAGE = SITE + "python/nn/module.html"
COMPILE_PAGE = SITE + "usage/compile.html"

TRAINING = Contract(
    "move",
    "momentum is for updating the running statistics, which are tracked unless track_running_stats is off.",
    BATCH_NORM_PAGE,
)
EVALUATION = Contract(
    "undocumented",
    "Training mode is said to matter to certain layers, with dropout as the example; what batch normalization does in "
    "evaluation is not said.",
    SITE + "python/nn/_autosummary/mlx.nn.Module.train.html",
)
FROZEN = Contract(
    "undocumented",
    "Freezing a parameter means that no gradient is computed for it; the running statistics are not mentioned.",
    SITE + "python/nn/_autosummary/mlx.nn.Module.freeze.html",
)
PURE = Contract(
    "undocumented",
    "Compiled functions are meant to be pure. State that one writes, and compile was not told of, is left holding "
    "placeholders, whose use fails; state that it reads is taken for constant.",
    COMPILE_PAGE,
)
CAPTURED = Contract(
    "move", "With the module's state as inputs and outputs of compile, its changes are carried over.", COMPILE_PAGE
)
CHECKPOINT = Contract(
    "undocumented",
    "Intermediate states are computed again during backward; statistics, which that would update twice, are not "
    "mentioned.",
    SITE + "python/_autosummary/mlx.core.checkpoint.html",
)
SAVED = Contract("stay", "save_weights writes the module's parameters to a file.", MODULE_PAGE)
EXPORTED = Contract(
    "undocumented",
    "export_function traces the function and writes the graph; a function that changes a module is not mentioned.",
    SITE + "usage/export.html",
)
