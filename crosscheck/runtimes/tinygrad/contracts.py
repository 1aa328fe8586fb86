"""What tinygrad's documentation says about the running statistics, for each way of asking; in our words, with links."""

from crosscheck.runtimes.mode import Contract

LAYERS_PAGE = "https://docs.tinygrad.org/nn/"
QUICKSTART_PAGE = "https://docs.tinygrad.org/quickstart/"
JIT_PAGE = "https://docs.tinygrad.org/tinygrad/#tinygrad.engine.jit.TinyJit"

TRAINING = Contract(
    "undocumented",
    "The page of the layer mentions neither training nor running statistics; the quickstart sets the training flag "
    "before it trains, and does not say what that changes.",
    LAYERS_PAGE,
)
EVALUATION = Contract(
    "undocumented",
    "The page of the layer does not mention running statistics; the quickstart takes the training flag back before it "
    "evaluates, and does not say what that changes.",
    LAYERS_PAGE,
)
FLAG = Contract(
    "undocumented",
    "Tensor.training was the flag up to 0.13. The next release reads the context variable TRAINING instead, and takes "
    "the old attribute without a word.",
    QUICKSTART_PAGE,
)
JIT = Contract(
    "undocumented",
    "From the second call on a jitted function is captured, then replayed; what it did besides is not mentioned.",
    QUICKSTART_PAGE,
)
SAVED = Contract("stay", "A state dict is saved to safetensors and loaded from them.", LAYERS_PAGE)
