"""What CNTK's documentation says about the running statistics, for each way of asking; in our words, with the page."""

from crosscheck.runtimes.mode import Contract

MANUAL_PAGE = "https://learn.microsoft.com/en-us/previous-versions/cognitive-toolkit/batchnormalization"
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
    "stay",
    "In inference CNTK sets both time constants by itself, so that the running statistics are used and not updated.",
    MANUAL_PAGE,
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
    "The running statistics are taken for a prior whose weight blend_time_constant gives. What infinity does, and "
    "whether they move then, is not said.",
    MANUAL_PAGE,
)
NORMALIZATION = Contract(
    "undocumented",
    "normalization_time_constant is that of the running averages, which at 0 are those of the last minibatch; that "
    "they stand still at infinity is not said.",
    MANUAL_PAGE,
)
CUMULATIVE = Contract(
    "undocumented",
    "normalization_time_constant is that of the running averages; what a negative one means is not said.",
    MANUAL_PAGE,
)
SAVED = Contract("stay", "save writes the function to a file.", FUNCTION_PAGE + "#cntk.ops.functions.Function.save")
