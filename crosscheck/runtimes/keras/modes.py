"""Each way of asking, as Keras's users write it: Keras 3 on three backends (`current`), and Keras 2 (`graphs`)."""

from crosscheck.runtimes.keras import current, graphs, own

MODES = (
    *current.TENSORFLOW,
    *current.JAX,
    *current.TORCH,
    *current.EVERY,
    *current.TENSORFLOW_RENORMALIZED,
    *current.JAX_RENORMALIZED,
    *current.TORCH_RENORMALIZED,
    *current.TENSORFLOW_TOLD,
    *current.JAX_TOLD,
    *current.TORCH_TOLD,
    *graphs.FUNCTIONS,
    *graphs.TOLD,
    *own.OWN,
)
