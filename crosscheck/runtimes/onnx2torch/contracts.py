"""What is documented about the running statistics of a converted module: by torch for its layers, by onnx2torch."""

from crosscheck.runtimes.mode import Contract

BATCH_NORM_PAGE = "https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html"
FUNCTIONAL_PAGE = "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.batch_norm.html"
README = "https://github.com/ENOT-AutoDL/onnx2torch#readme"

TRAINING = Contract(
    "move",
    "The imported layer is torch's: by default it tracks estimates of mean and variance in training, and normalises by "
    "them in evaluation.",
    BATCH_NORM_PAGE,
)
EVALUATION = Contract("stay", "In evaluation torch's layer normalises by the estimates that it has.", BATCH_NORM_PAGE)
AS_CONVERTED = Contract(
    "undocumented",
    "The module that convert() returns is to be run like the torch module that it was; in which mode it comes is not "
    "said.",
    README,
)
FED = Contract(
    "undocumented",
    "Statistics that are inputs of the file become running mean and variance of torch's functional form; what that "
    "does with them in training is not said.",
    FUNCTIONAL_PAGE,
)
EXPORTED = Contract(
    "stay",
    "By default export() takes the model in inference mode, and puts it back into its own mode afterwards.",
    "https://docs.pytorch.org/docs/1.12/onnx.html#torch.onnx.export",
)
