"""What Theano's documentation says about shared variables and moving statistics; in our words, with the page."""

from crosscheck.runtimes.mode import Contract

SITE = "https://theano-pymc.readthedocs.io/en/latest/"
BATCH_NORM_PAGE = SITE + "library/tensor/nnet/bn.html"
SHARED_PAGE = SITE + "library/compile/shared.html"
FUNCTION_PAGE = SITE + "library/compile/function.html"

UPDATED = Contract(
    "move", "updates are pairs of a shared variable and its new value, given after each call.", FUNCTION_PAGE
)
DROPPED = Contract(
    "stay", "batch_normalization_train returns new running values, which go nowhere by themselves.", BATCH_NORM_PAGE
)
DEFAULT_UPDATE = Contract(
    "move",
    "Every function that a shared variable with a default_update is involved in applies it, unless it is told not to.",
    SHARED_PAGE,
)
NO_DEFAULT_UPDATES = Contract("stay", "no_default_updates keeps a function from applying them.", FUNCTION_PAGE)
EVALUATION = Contract(
    "stay", "batch_normalization_test normalises by the mean and variance that it is given.", BATCH_NORM_PAGE
)
SAVED = Contract(
    "stay",
    "A compiled function can be pickled, with the values of its shared variables.",
    SITE + "tutorial/loading_and_saving.html",
)
