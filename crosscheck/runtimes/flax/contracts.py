"""What Flax's documentation says about the moving statistics, for each way of asking; in our words, with the page."""

from crosscheck.runtimes.mode import Contract

LINEN_GUIDE = "https://flax.readthedocs.io/en/v0.6.10/guides/batch_norm.html"
LINEN_BATCH_NORM = "https://flax.readthedocs.io/en/v0.6.10/api_reference/_autosummary/flax.linen.BatchNorm.html"
LINEN_PACKAGE = "https://flax.readthedocs.io/en/v0.6.10/api_reference/flax.linen.html"
NNX_BATCH_NORM = "https://flax.readthedocs.io/en/latest/api_reference/flax.nnx/nn/normalization.html"
NNX_TRANSFORMS = "https://flax.readthedocs.io/en/latest/guides/transforms.html"
NNX_AND_JAX = "https://flax.readthedocs.io/en/latest/guides/jax_and_nnx_transforms.html"
NNX_VIEWS = "https://flax.readthedocs.io/en/latest/guides/view.html"
NNX_GRAPH = "https://flax.readthedocs.io/en/latest/api_reference/flax.nnx/graph.html"
DONATION = "https://docs.jax.dev/en/latest/buffer_donation.html"

LINEN_ADOPTED = Contract(
    "move",
    "With batch_stats mutable, apply returns the updated statistics, which the training loop keeps for its next step.",
    LINEN_BATCH_NORM,
)
LINEN_DROPPED = Contract(
    "stay",
    "The updated statistics come back beside the output; the variables that were passed in are not written.",
    LINEN_BATCH_NORM,
)
LINEN_IMMUTABLE = Contract(
    "stay",
    "Statistics can be updated where the collection is declared mutable; else a training-mode call is an error.",
    LINEN_GUIDE,
)
LINEN_INFERENCE = Contract(
    "stay",
    "With use_running_average=True the layer normalises by the statistics in batch_stats; none need to be mutable.",
    LINEN_BATCH_NORM,
)
LINEN_BOUND = Contract(
    "undocumented",
    "bind makes a module with its variables inside, for interactive work; gradients of one are not mentioned.",
    LINEN_PACKAGE,
)
LINEN_REMAT = Contract(
    "move",
    "remat recomputes activations in the backward pass; that the statistics move as without it is taken for granted.",
    LINEN_PACKAGE,
)
LINEN_DONATED = Contract(
    "undocumented",
    "A donated buffer must not be used after the call; a caller that keeps the old statistics would do so.",
    DONATION,
)
SAVED = Contract(
    "stay",
    "to_bytes writes a tree of arrays as msgpack; from_bytes reads it into a tree of the same structure.",
    "https://flax.readthedocs.io/en/v0.6.10/api_reference/flax.serialization.html",
)
ONNX = Contract(
    "stay",
    "jax2onnx writes what the traced function does; which inference behaviour that is, is to be made explicit first.",
    "https://github.com/enpasos/jax2onnx/blob/main/docs/user_guide/known_limitations.md",
)
ONNX_TRAINING = ONNX._replace(
    statistics="undocumented",
    says="The file represents what the traced function does; training is out of scope. That batch normalizations in "
    "training mode are written in inference mode is not said.",
)

NNX_TRAINING = Contract(
    "move",
    "After train(), or with use_running_average=False, a call normalises by the batch and updates the statistics; "
    "nnx's transforms carry changes of a module that is an argument out to the caller's.",
    NNX_BATCH_NORM,
)
NNX_INFERENCE = Contract(
    "stay", "After eval(), or with use_running_average=True, a call uses the running averages.", NNX_BATCH_NORM
)
NNX_CLOSURE = Contract(
    "stay",
    "A module that changes cannot be passed by closure: nnx checks that it is an argument, and raises an error.",
    NNX_TRANSFORMS,
)
NNX_JAX = Contract(
    "stay",
    "JAX's own transforms take no modules, only what split makes of them; new state has to be returned from them.",
    NNX_AND_JAX,
)
NNX_FUNCTIONAL = Contract(
    "move", "The new state is returned from the transform and given to the module by update.", NNX_AND_JAX
)
NNX_COPY = Contract(
    "stay", "clone is a deep copy: its variables are new objects, and what is written to one stays there.", NNX_GRAPH
)
NNX_VIEW_TRAINING = Contract(
    "move",
    "A view has mode attributes of its own and shares the variables with the module that it was made of.",
    NNX_VIEWS,
)
NNX_VIEW_INFERENCE = NNX_VIEW_TRAINING._replace(statistics="stay")
NNX_REMAT = NNX_TRAINING._replace(
    says="remat recomputes activations in the backward pass; that statistics move as without it is taken for granted.",
    link=NNX_TRANSFORMS,
)
