"""ONNX Runtime for Node.js: sessions and modes are texts (`network.py`, `modes.py`), and there is nothing else.

A call leaves nothing behind: an `InferenceSession` has no gradients (a gradient is an output of the file like others),
no hooks, no layers, and no mode that a call could switch. Its options are fixed when it is made, and those of `ort.env`
are settings of the package that the user's lines set before.
"""

from crosscheck.probe.node import NodeAdapter


class ONNXRuntimeNode(NodeAdapter):
    """Releases of the `onnxruntime-node` package of npm."""
