"""Each way of asking, as TensorFlow's users write it.

Keras models executed at once (`eager.py`), and their files (`files.py`); functions of `tf.layers` and
`tf.contrib.layers` in a graph (`graphs.py`); Keras models in a graph (`sessions.py`); batch renormalization in most of
them; and layers that are told other settings.
"""

from crosscheck.runtimes.tensorflow import eager, files, graphs, own, sessions

MODES = (
    *eager.TAPES,
    *eager.METHODS,
    *files.FILES,
    *graphs.LAYERS,
    *graphs.CONTRIB,
    *sessions.SESSIONS,
    *eager.RENORMALIZED,
    *graphs.RENORMALIZED,
    *graphs.CONTRIB_RENORMALIZED,
    *eager.TOLD,
    *graphs.TOLD,
    *graphs.CONTRIB_TOLD,
    *files.ONNX,
    *graphs.ONNX,
    *own.OWN,
)
