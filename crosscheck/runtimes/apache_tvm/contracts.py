"""What TVM's documentation says about the moving statistics; in our words, with the page."""

from crosscheck.runtimes.mode import Contract

OPERATOR_PAGE = "https://tvm.apache.org/docs/reference/api/python/relax/op.html#tvm.relax.op.nn.batch_norm"

INFERENCE = Contract(
    "stay",
    "In inference mode batch_norm normalises by the given running mean and variance, does not update them, and returns "
    "them as they came in.",
    OPERATOR_PAGE,
)
TRAINING = Contract(
    "undocumented",
    "In training mode batch_norm updates the running statistics (moving * momentum + batch * (1 - momentum)) and "
    "returns them as second and third result. The page calls them auxiliary states, and leaves open whether the arrays "
    "that were given are written to.",
    OPERATOR_PAGE,
)
