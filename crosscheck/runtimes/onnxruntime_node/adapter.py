"""ONNX Runtime for Node.js: sessions and modes are texts (`network.py`, `modes.py`), and there is nothing else.

What a call leaves behind: nothing, for the reason in `runtimes/family/onnxruntime_js.py`.
"""

from crosscheck.probe.node import NodeAdapter


class ONNXRuntimeNode(NodeAdapter):
    """Releases of the `onnxruntime-node` package of npm."""
