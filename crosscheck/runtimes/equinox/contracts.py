"""What Equinox's documentation says about the moving statistics, for each way of asking; our words, with the page."""

from crosscheck.runtimes.mode import Contract

BATCH_NORM_PAGE = "https://docs.kidger.site/equinox/api/nn/normalisation"
STATEFUL_PAGE = "https://docs.kidger.site/equinox/examples/stateful"
INFERENCE_PAGE = "https://docs.kidger.site/equinox/api/nn/inference/"
OLD_PAGE = "https://github.com/patrick-kidger/equinox/releases/tag/v0.3.0"
OLD_STATEFUL_PAGE = (
    "https://github.com/patrick-kidger/equinox/blob/4c503b3513f5978361ff7c8535e377bb16d17fbc"
    "/docs/api/experimental/stateful.md"
)
TRANSFORMATIONS_PAGE = "https://docs.kidger.site/equinox/api/transformations/"

ADOPTED = Contract(
    "move",
    "In training mode='batch' normalises by the batch and moves what inference uses, the exponential running mean and "
    "the unbiased variance; they are in the state that comes back, which replaces the one that was passed.",
    BATCH_NORM_PAGE,
)
DROPPED = Contract(
    "stay",
    "The updated statistics are in the state that comes back; they are an additional output of the layer.",
    STATEFUL_PAGE,
)
INFERENCE = Contract(
    "stay",
    "In inference mode the running statistics are used, and inference_mode returns a copy of the model.",
    INFERENCE_PAGE,
)
FLAG = Contract(
    "stay",
    "inference=True in a call takes priority over the layer's own flag, and uses the running statistics.",
    BATCH_NORM_PAGE,
)
EMA = Contract(
    "move",
    "With mode='ema' running means are kept, which the batch's fill until they are populated.",
    BATCH_NORM_PAGE,
)
CHECKPOINTED = Contract(
    "move",
    "filter_checkpoint recomputes activations in the backward pass; the state is not mentioned.",
    TRANSFORMATIONS_PAGE,
)
DONATED = Contract(
    "undocumented",
    "filter_jit(donate='all') donates the memory of all arrays that go in; a state that is kept would be used again.",
    TRANSFORMATIONS_PAGE,
)
SAVED = Contract(
    "stay",
    "tree_serialise_leaves writes the leaves of a tree, model or state, and reads them into one of the same structure.",
    "https://docs.kidger.site/equinox/api/serialisation/",
)

EXPERIMENTAL = Contract(
    "move",
    "The running statistics are updated as a side effect of the forward pass, by a callback on the host; users do not "
    "return them.",
    OLD_PAGE,
)
EXPERIMENTAL_INFERENCE = Contract(
    "stay",
    "In inference mode, by tree_inference or by the layer's own argument, the running statistics are used and not set.",
    OLD_PAGE,
)
EXPERIMENTAL_CHECKPOINTED = Contract(
    "undocumented",
    "Stateful operations, by which the layer keeps its statistics, will not produce correct results under "
    "jax.checkpoint; what becomes of them instead is not said.",
    OLD_STATEFUL_PAGE,
)

ONNX = Contract(
    "stay",
    "jax2onnx writes what the traced function does; which inference behaviour that is, is to be made explicit first. A "
    "primitive that it does not know is an error.",
    "https://github.com/enpasos/jax2onnx/blob/main/docs/user_guide/known_limitations.md",
)
