"""jaxonnxruntime: its releases, and JAX's gradients of the function that it makes of an ONNX file."""
