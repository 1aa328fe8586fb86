"""What Haiku's documentation says about the moving statistics, for each way of asking; in our words, with the page."""

from crosscheck.runtimes.mode import Contract

API_PAGE = "https://dm-haiku.readthedocs.io/en/latest/api.html"
TRANSFORMS_PAGE = "https://dm-haiku.readthedocs.io/en/latest/transforms.html"
DONATION = "https://docs.jax.dev/en/latest/buffer_donation.html"

ADOPTED = Contract(
    "move",
    "With is_training the layer's averages are updated; apply returns the updated state, for the next step.",
    API_PAGE,
)
DROPPED = Contract("stay", "apply is pure: the updated state comes back, and the one passed in is as it was.", API_PAGE)
INFERENCE = Contract(
    "stay", "Without is_training the layer normalises by its averages and leaves them alone.", API_PAGE
)
LOCAL = Contract(
    "stay",
    "test_local_stats normalises by the batch's own statistics although is_training is false, which alone updates.",
    API_PAGE,
)
INITIALISED = Contract(
    "undocumented",
    "init returns initial parameters and state; that averages of a state made in training mode are the batch's is not "
    "said.",
    API_PAGE,
)
LIFTED = Contract(
    "move",
    "Inside a transformed function Haiku's own grad takes the place of JAX's: what it wraps is made pure, and comes "
    "back as a stateful function.",
    TRANSFORMS_PAGE,
)
UNLIFTED = Contract(
    "undocumented",
    "JAX's transforms inside of a network can have issues with tracing, since its functions have side effects; Haiku's "
    "own are to be used. What becomes of the state is not said.",
    TRANSFORMS_PAGE,
)
REMAT = LIFTED._replace(
    says="hk.remat recomputes activations in the backward pass and carries changes of state through."
)
DONATED = Contract(
    "undocumented",
    "A donated buffer must not be used after the call; a caller that keeps the old state would do so.",
    DONATION,
)
ONNX = Contract(
    "stay",
    "jax2onnx writes what the traced function does; which inference behaviour that is, is to be made explicit first.",
    "https://github.com/enpasos/jax2onnx/blob/main/docs/user_guide/known_limitations.md",
)
