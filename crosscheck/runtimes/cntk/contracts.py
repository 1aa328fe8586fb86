"""What CNTK's documentation says about the running statistics, for each way of asking; in our words, with the page."""

from crosscheck.probe.adapter import Contract

OPS_PAGE = "https://cntk.azurewebsites.net/pythondocs/cntk.ops.html#cntk.ops.batch_normalization"
FUNCTION_PAGE = "https://cntk.azurewebsites.net/pythondocs/cntk.ops.functions.html"

GRADIENT = Contract(
    "undocumented",
    "grad computes the gradient of a function at given arguments; that the function runs as in training is not said.",
    FUNCTION_PAGE + "#cntk.ops.functions.Function.grad",
)
KEPT = Contract(
    "undocumented",
    "forward keeps, for the outputs that it is told, what backward needs; that this is the switch for training is not "
    "said.",
    FUNCTION_PAGE + "#cntk.ops.functions.Function.forward",
)
EVALUATION = Contract(
    "undocumented",
    "The running mean and variance are said to be used during evaluation; what happens to them then is not.",
    OPS_PAGE,
)
SHARED = Contract(
    "undocumented",
    "A clone by 'share' has the parameters in common with the original; constants, which the running statistics are, "
    "are not mentioned.",
    FUNCTION_PAGE + "#cntk.ops.functions.Function.clone",
)
COPIED = Contract("undocumented", "A clone by 'clone' has parameters of its own.", SHARED.link)
FROZEN = Contract("undocumented", "A clone by 'freeze' has its parameters as constants of its own.", SHARED.link)
BLEND = Contract(
    "undocumented",
    "By blend_time_constant the batch's statistics are mixed with the running ones; with infinity the latter are to "
    "be used alone. Whether they move is not said.",
    OPS_PAGE,
)
NORMALIZATION = Contract(
    "stay", "With a normalization_time_constant of infinity the running statistics are never updated.", OPS_PAGE
)
CUMULATIVE = Contract(
    "move", "A negative normalization_time_constant has the statistics averaged over all samples.", OPS_PAGE
)
SAVED = Contract("stay", "save writes the function to a file.", FUNCTION_PAGE + "#cntk.ops.functions.Function.save")
