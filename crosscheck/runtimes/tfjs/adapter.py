"""TensorFlow.js on Node, with its CPU backend: `adapter.js` has what only code can do."""

from crosscheck.probe.node import NodeAdapter


class TensorFlowJS(NodeAdapter):
    """Releases of the `@tensorflow/tfjs` package of npm."""
