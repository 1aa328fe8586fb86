"""MNN: ONNX files through its converter, and its own autograd."""
