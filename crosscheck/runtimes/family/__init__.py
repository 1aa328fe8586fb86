"""What runtimes of one kind share: walks over graphs, writers for readers of ONNX, for libraries on JAX, for Keras."""
